"""Start, pause, resume, retry, abort, roll back, undo, purge, close."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit.trail import Actor
from migrations_app.actions.moving import move
from migrations_app.actions.signing import withdraw_live
from migrations_app.models import Course, Evidence, Migration, StepRun
from migrations_app.models.evidence import digest_of
from migrations_app.problems import Refused
from migrations_app.rules import possible
from migrations_app.rules.claims import holders
from migrations_app.states import State, StepState

_COURSE_STATE = {
    Course.FORWARD: State.RUNNING,
    Course.ABORT: State.ABORTING,
    Course.ROLL_BACK: State.ROLLING_BACK,
    Course.UNDO: State.UNDOING,
    Course.PURGE: State.PURGING,
}
# Where a retry begins when repeating the failed step alone could not help.
_RETRY_FROM = {"differences": "copy", "unproven": "copy", "source-in-use": "quiesce"}
NOT_WAITING: dict[str, Any] = {"waiting_for": "", "waiting_permission": "", "waiting_since": None}


def start(*, by: User, migration: Migration, plan_digest: str) -> None:
    """Starts the reviewed plan. `plan_digest` is that of the page on which Start was pressed.

    The engine inspects and plans again first, and asks when the plan has changed since it was reviewed.
    """
    possible.check_start(migration)
    if plan_digest != migration.plan_digest:
        raise Refused(
            "The plan changed since you opened the page. Nothing was started.",
            next="Review the plan as it is now.",
        )
    if migration.stopped_by_checks:
        raise Refused("A check says stop.", next="Do what the check says, then run the checks again.")
    with transaction.atomic():
        # Serialises starts in one cluster: two drafts can name one claim, but only one of them may start.
        type(migration.cluster).objects.select_for_update(no_key=True).get(pk=migration.cluster_id)
        for claim, other in holders(migration):
            raise Refused(
                f"Claim {claim} is held by migration {other}.", next="Finish or roll back that one first."
            )
        # The checks of the draft are looked at again as the first thing of the run.
        migration.runs.all().delete()
        move(
            migration,
            State.RUNNING,
            actor=Actor.of(by),
            verb="migration.start",
            course=Course.FORWARD,
            current_step="inspect",
            started_at=timezone.now(),
            started_by_name=by.get_username(),
            started_plan_digest=migration.plan_digest,
        )


def pause(*, by: User, migration: Migration) -> None:
    possible.check_pause(migration)
    move(migration, State.PAUSED, actor=Actor.of(by), verb="migration.pause", **NOT_WAITING)


def resume(*, by: User, migration: Migration) -> None:
    possible.check_resume(migration)
    move(migration, State.RUNNING, actor=Actor.of(by), verb="migration.resume")


def retry(*, by: User, migration: Migration) -> None:
    """A new attempt at the failed step, the same way as before."""
    possible.check_retry(migration)
    forward, step = migration.course == Course.FORWARD, migration.current_step
    if forward:
        step = _RETRY_FROM.get((migration.problem or {}).get("code", ""), step)
    with transaction.atomic():
        new_attempt(migration, step if forward else migration.run_key)
        move(
            migration,
            _COURSE_STATE[Course(migration.course)],
            actor=Actor.of(by),
            verb="migration.retry",
            current_step=step,
            problem=None,
            message="",
        )


def abort(*, by: User, migration: Migration) -> None:
    possible.check_abort(migration)
    with transaction.atomic():
        withdraw_live(migration, "The migration was aborted.", actor=Actor.of(by))
        move(
            migration,
            State.ABORTING,
            actor=Actor.of(by),
            verb="migration.abort",
            course=Course.ABORT,
            problem=None,
            **NOT_WAITING,
        )


def roll_back(*, by: User, migration: Migration, reason: str = "") -> None:
    with transaction.atomic():
        # The engine writes each act down under this lock: either it is seen here, or it is not made any more.
        Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
        possible.check_roll_back(migration)
        withdraw_live(migration, "The migration is rolled back.", actor=Actor.of(by))
        move(
            migration,
            State.ROLLING_BACK,
            actor=Actor.of(by),
            verb="migration.roll-back",
            note=reason,
            course=Course.ROLL_BACK,
            problem=None,
            **NOT_WAITING,
        )


def undo(*, by: User, migration: Migration, reason: str = "") -> None:
    possible.check_undo(migration)
    move(
        migration,
        State.UNDOING,
        actor=Actor.of(by),
        verb="migration.undo",
        note=reason,
        course=Course.UNDO,
        problem=None,
        **NOT_WAITING,
    )


def purge(*, by: User, migration: Migration, typed: str) -> None:
    """Deletes the kept source volume. `typed` must be the application's name: this cannot be undone."""
    possible.check_purge(migration)
    if typed.strip() != migration.application:
        raise Refused(f"Type {migration.application} to confirm. Nothing was purged.")
    move(
        migration,
        State.PURGING,
        actor=Actor.of(by),
        verb="migration.purge",
        course=Course.PURGE,
        problem=None,
        **NOT_WAITING,
    )


def close(*, by: User, migration: Migration, typed: str, reason: str = "") -> None:
    """Ends an Undo or a Purge that cannot end by itself, with what is known. Nothing is changed in the cluster."""
    possible.check_close(migration)
    if typed.strip() != migration.application:
        raise Refused(f"Type {migration.application} to confirm. Nothing was closed.")
    problem = migration.problem or {}
    with transaction.atomic():
        last = migration.runs.filter(step=migration.run_key).order_by("-attempt").first()
        data = {"closed_by": by.get_username(), "reason": reason.strip(), "problem": problem}
        Evidence.objects.create(
            migration=migration,
            step=migration.run_key,
            attempt=last.attempt if last else 1,
            kind="closed",
            data=data,
            digest=digest_of(data),
        )
        move(
            migration,
            State.UNDONE if migration.course == Course.UNDO else State.COMPLETED,
            actor=Actor.of(by),
            verb="migration.close",
            note=reason,
            message=f"Closed as it is by {by.get_username()}. {problem.get('happened', '')}",
            finished_at=timezone.now(),
            **NOT_WAITING,
        )


def new_attempt(migration: Migration, step: str) -> StepRun:
    """The next attempt at `step`. What the last one remembered and is still true is observed again, not copied."""
    last = migration.runs.filter(step=step).order_by("-attempt").first()
    if last is not None and last.state not in {StepState.FAILED, StepState.DONE, StepState.SKIPPED}:
        return last
    return StepRun.objects.create(migration=migration, step=step, attempt=last.attempt + 1 if last else 1)
