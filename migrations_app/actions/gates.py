"""Answers that people give at gates."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit.trail import Actor
from migrations_app.actions.moving import move
from migrations_app.actions.running import NOT_WAITING
from migrations_app.models import Evidence, Migration, StepRun
from migrations_app.models.evidence import digest_of
from migrations_app.problems import Refused
from migrations_app.rules import possible
from migrations_app.states import State


def _current_run(migration: Migration) -> StepRun:
    run = migration.runs.filter(step=migration.current_step).order_by("-attempt").first()
    if run is None:
        raise Refused("The step has not begun yet.")
    return run


def go_on(*, by: User, migration: Migration, plan_digest: str = "") -> None:
    """Continues at a gate that waits for a person's go: a changed plan, the outage, a change of Git by hand.

    `plan_digest` is that of the page on which Continue was pressed; it counts where a changed plan is accepted.
    """
    possible.check_continue(migration)
    with transaction.atomic():
        # The migration's row first, as the engine takes them: the two never wait for each other.
        current = Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
        if migration.current_step == "plan" and plan_digest != current.plan_digest:
            raise Refused(
                "The plan changed since you opened the page. Nothing was accepted.",
                next="Review the plan as it is now.",
            )
        run = StepRun.objects.select_for_update(no_key=True).get(pk=_current_run(migration).pk)
        run.memory["go_by"] = by.get_username()
        run.memory["go_at"] = timezone.now().isoformat()
        run.save(update_fields=["memory"])
        # A changed plan is accepted by its digest: what was shown is what runs.
        accepted: dict[str, Any] = (
            {"started_plan_digest": plan_digest} if migration.current_step == "plan" else {}
        )
        move(
            migration, State.RUNNING, actor=Actor.of(by), verb="migration.continue", **NOT_WAITING, **accepted
        )


def confirm_test(*, by: User, migration: Migration, note: str) -> None:
    """A person confirms that the application works in the destination."""
    possible.check_confirm_test(migration)
    if not note.strip():
        raise Refused(
            "Say what you tested.", next="A sentence is enough: it is part of what the approver sees."
        )
    with transaction.atomic():
        Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
        run = StepRun.objects.select_for_update(no_key=True).get(pk=_current_run(migration).pk)
        data = {"confirmed_by": by.get_username(), "note": note.strip(), "at": timezone.now().isoformat()}
        Evidence.objects.create(
            migration=migration,
            step="test",
            attempt=run.attempt,
            kind="test",
            data=data,
            digest=digest_of(data),
        )
        run.memory["confirmed_by"] = by.get_username()
        run.save(update_fields=["memory"])
        move(
            migration,
            State.RUNNING,
            actor=Actor.of(by),
            verb="migration.confirm-test",
            note=note.strip(),
            test_confirmed_by_name=by.get_username(),
            **NOT_WAITING,
        )
