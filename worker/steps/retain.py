"""Retain: keeps the source volumes until the deadline, and says at once when one is no longer kept."""

from datetime import timedelta

from django.utils import timezone

from migrations_app.models import Migration
from migrations_app.problems import Problem
from worker.context import Context
from worker.outcomes import Keep, Outcome


def deadline(migration: Migration):  # type: ignore[no-untyped-def]
    return migration.retain_until or timezone.now() + timedelta(days=migration.retention_days)


def tick(context: Context) -> Outcome:
    until = deadline(context.migration)
    lost = []
    for transfer in context.transfers:
        volume = context.cluster.get_volume(transfer.source_volume)
        if volume is None or volume.uid != transfer.source_volume_uid:
            lost.append(f"volume {transfer.source_volume} is gone")
        elif volume.reclaim_policy != "Retain":
            lost.append(f"volume {transfer.source_volume} is no longer on Retain")
    if lost:
        return Keep(until, f"Undo is not certain any more: {'; '.join(lost)}.", _lost(lost))
    if until <= timezone.now():
        return Keep(
            until,
            "The time is over: a person may purge the source volumes. Undo is still possible until then.",
        )
    return Keep(
        until,
        f"The source volumes are kept until {until:%Y-%m-%d %H:%M} UTC. Undo is possible until they are purged.",
    )


def _lost(lost: list[str]) -> Problem:
    return Problem(
        f"Undo is not certain any more: {'; '.join(lost)}.",
        "The application and its data in the destination are not touched by this.",
        "Set a volume that is still there to Retain again. If one is gone, the destination holds the only copy: see that it has a backup.",
        code="source-not-kept",
    )
