"""Changes the state of a migration: the one place that does."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit.trail import Actor, record
from migrations_app.actions.notifying import notify_of_state
from migrations_app.doorbell import ring
from migrations_app.models import Migration
from migrations_app.problems import Refused, Stale
from migrations_app.states import TICKING, TRANSITIONS, State


def snapshot(migration: Migration) -> dict[str, Any]:
    """What the audit trail keeps of where a migration stands."""
    return {
        "state": str(migration.state),
        "step": migration.current_step,
        "course": str(migration.course),
        "plan_digest": migration.started_plan_digest or migration.plan_digest,
    }


def move(
    migration: Migration,
    to: State,
    *,
    actor: Actor,
    verb: str,
    note: str = "",
    lease_token: str | None = None,
    next_tick_at: datetime | None = None,
    **fields: Any,
) -> None:
    """Moves `migration` to state `to` if it still is as it was read, with its audit event, or raises `Stale`.

    With `lease_token`, the change is the engine's and holds only while that lease does. `fields` are set with it.
    """
    if to != migration.state and to not in TRANSITIONS[migration.state]:
        raise Refused(f"A migration cannot go from {migration.state_value.label} to {to.label}.")
    before = snapshot(migration)
    fields["state"] = to
    fields["version"] = F("version") + 1
    fields["changed_at"] = timezone.now()
    fields["next_tick_at"] = (next_tick_at or timezone.now()) if to in TICKING else None
    guard = {"pk": migration.pk, "state": migration.state, "version": migration.version}
    if lease_token is not None:
        guard["lease_token"] = lease_token
    with transaction.atomic():
        if Migration.objects.filter(**guard).update(**fields) != 1:
            raise Stale
        migration.refresh_from_db()
        record(
            actor=actor,
            verb=verb,
            kind="migration",
            key=migration.reference,
            namespace=migration.source_namespace,
            cluster=migration.cluster.name,
            before=before,
            after=snapshot(migration),
            note=note,
        )
        if to != before["state"]:
            notify_of_state(migration, note)
        if to in TICKING:
            ring(migration.pk)
