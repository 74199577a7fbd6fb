"""The wizard's draft: made, filled in page by page, checked, discarded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit.trail import Actor, record
from dashboard.models import Cluster
from migrations_app.actions.moving import move
from migrations_app.models import Course, GitMode, Migration, ReleasePath, Transfer
from migrations_app.problems import Refused, Stale
from migrations_app.rules import pushing
from migrations_app.rules.drafts import snapshot
from migrations_app.rules.possible import check_edit
from migrations_app.states import DRAFTS, State


def create_draft(
    *, by: User, cluster: Cluster, namespace: str, application: str, claims: Sequence[str]
) -> Migration:
    """A new draft for moving `claims` of one application out of `namespace`."""
    if not claims:
        raise Refused("No claim was chosen.", next="Choose at least one claim.")
    _check_name(application)
    with transaction.atomic():
        migration = Migration.objects.create(
            cluster=cluster,
            application=application,
            source_namespace=namespace,
            requested_by=by,
            requested_by_name=by.get_username(),
        )
        for number, name in enumerate(dict.fromkeys(claims), start=1):
            Transfer.objects.create(
                migration=migration, number=number, source_name=name, destination_name=name
            )
        _record(migration, by, "migration.draft", before=None)
    return migration


def set_source(*, by: User, migration: Migration, application: str, claims: Sequence[str]) -> None:
    """Replaces the chosen claims. Destination names that still fit are kept."""
    if not claims:
        raise Refused("No claim was chosen.", next="Choose at least one claim.")
    _check_name(application)
    with _editing(migration) as before:
        known = {transfer.source_name: transfer for transfer in migration.transfers.all()}
        migration.transfers.all().delete()
        for number, name in enumerate(dict.fromkeys(claims), start=1):
            old = known.get(name)
            Transfer.objects.create(
                migration=migration,
                number=number,
                source_name=name,
                destination_name=old.destination_name if old else name,
                destination_class=old.destination_class if old else "",
                destination_bytes=old.destination_bytes if old else 0,
            )
        _edit(migration, application=application)
        _record(migration, by, "migration.edit", before=before)


def set_destination(
    *,
    by: User,
    migration: Migration,
    namespace: str,
    claims: Mapping[str, tuple[str, str, int]],
    owner: Mapping[str, Any],
) -> None:
    """Where the claims go. `claims` maps a source name to (destination name, storage class or "", bytes or 0).

    `owner` names the Kustomization that applies the destination (keys namespace and name), or is empty.
    """
    with _editing(migration) as before:
        names = [name for name, _, _ in claims.values()]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise Refused(f"Two claims would get the name {doubled[0]}.", next="Give each its own name.")
        # Free all names first: a swap of two names must not trip over the unique constraint.
        for transfer in migration.transfers.all():
            Transfer.objects.filter(pk=transfer.pk).update(destination_name=f"#{transfer.pk}")
        for transfer in migration.transfers.all():
            name, storage_class, size = claims[transfer.source_name]
            Transfer.objects.filter(pk=transfer.pk).update(
                destination_name=name, destination_class=storage_class, destination_bytes=size
            )
        _edit(migration, destination_namespace=namespace, destination_owner=dict(owner))
        _record(migration, by, "migration.edit", before=before)


def set_options(
    *,
    by: User,
    migration: Migration,
    warm_passes: int,
    retention_days: int,
    pause_before_quiesce: bool,
    git_mode: GitMode,
    release_path: ReleasePath = ReleasePath.ORPHAN,
    test_note: str,
    limits: Mapping[str, int],
) -> None:
    """Options of the procedure: how many warm passes, how long the source volume is kept, how Git is changed, how the source claims leave."""
    for row in pushing.repositories(migration):
        if forbidden := pushing.too_much(row, git_mode):
            raise Refused(forbidden, next="Choose another way, or ask an admin to allow it under Settings.")
    with _editing(migration) as before:
        values: dict[str, Any] = {
            "warm_passes": warm_passes,
            "retention_days": retention_days,
            "pause_before_quiesce": pause_before_quiesce,
            "git_mode": git_mode,
            "release_path": release_path,
            "test_note": test_note,
            "limits": dict(limits),
        }
        _edit(migration, **values)
        _record(migration, by, "migration.edit", before=before)


def request_checks(*, by: User, migration: Migration) -> None:
    """Asks the worker to inspect, check and plan. The pages show the answer when it is there."""
    check_edit(migration)
    if not migration.destination_namespace:
        raise Refused("The destination is not chosen yet.", next="Choose a destination namespace.")
    with transaction.atomic():
        migration.runs.all().delete()
        migration.evidence.all().delete()
        move(
            migration,
            State.PREPARING,
            actor=Actor.of(by),
            verb="migration.check",
            current_step="inspect",
            course=Course.FORWARD,
            plan={},
            plan_digest="",
            problem=None,
            message="",
        )


def discard(*, by: User, migration: Migration) -> None:
    """Throws a draft away. Nothing was created in the cluster."""
    if migration.state not in DRAFTS:
        raise Refused("Only a draft can be discarded.", next="Abort it or roll it back.")
    move(migration, State.DISCARDED, actor=Actor.of(by), verb="migration.discard", finished_at=timezone.now())


def _check_name(application: str) -> None:
    """One line of plain text: it goes into commit messages, whose further lines mean something."""
    if not application.strip() or not application.isprintable():
        raise Refused(
            "The application's name is not one line of plain text.",
            next="Choose a name without odd characters.",
        )


@contextmanager
def _editing(migration: Migration) -> Iterator[dict[str, Any]]:
    """One transaction in which the draft is locked and is still as it was read; what it says at first."""
    with transaction.atomic():
        current = Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
        check_edit(current)
        if current.version != migration.version:
            raise Stale
        yield snapshot(migration)


def _edit(migration: Migration, **values: Any) -> None:
    """Saves a page of the wizard. The plan of an earlier check no longer holds, nor does what stopped it."""
    now = {**values, "state": State.DRAFT, "plan": {}, "plan_digest": "", "problem": None}
    for name, value in now.items():
        setattr(migration, name, value)
    migration.version += 1
    migration.save(update_fields=[*now, "version", "changed_at"])


def _record(migration: Migration, by: User, verb: str, *, before: Mapping[str, Any] | None) -> None:
    record(
        actor=Actor.of(by),
        verb=verb,
        kind="migration",
        key=migration.reference,
        namespace=migration.source_namespace,
        cluster=migration.cluster.name,
        before=before,
        after=snapshot(migration),
    )
