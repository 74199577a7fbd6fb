"""One tick of one migration: observe, at most one act, save, return.

The engine knows the order of the steps and what an outcome means for the state. What a step does is in `worker.steps`,
what Abort, Roll back, Undo and Purge do in `worker.courses`.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from cluster import errors as cluster_errors
from cluster.errors import ClusterError
from gitops.errors import GitOpsError, RepositoryUnavailable
from migrations_app import procedure
from migrations_app.actions.moving import move
from migrations_app.actions.notifying import notify_of_problem, notify_of_wait
from migrations_app.actions.running import NOT_WAITING, new_attempt
from migrations_app.models import Migration, StepRun
from migrations_app.problems import Problem, Stale
from migrations_app.states import FINISHED, State, StepState
from worker import courses, steps
from worker.clusters import adapter
from worker.context import WORKER, Context
from worker.lease import LostLease, check_held, lease
from worker.outcomes import Again, Done, GoBack, Keep, Outcome, Skipped, Stop, Wait

log = logging.getLogger(__name__)

# Outages of the cluster and of Git are waited out; everything else that is expected stops the step and is shown.
_WAITED_OUT = (cluster_errors.Unavailable, cluster_errors.EngineDown, RepositoryUnavailable)
OUTAGE_RETRY_S = 5.0
CONFLICT_RETRY_S = 1.0
MAX_CONFLICTS = 20


def tick(migration_id: int) -> float | None:
    """Works on the migration once. Returns the seconds until it is worth looking again, or None."""
    with lease(migration_id) as migration:
        if migration is None:
            return None
        run = new_attempt(migration, migration.run_key)
        context = Context(migration, run, adapter(migration.cluster.name))
        try:
            outcome = _work(context)
            _apply(context, outcome)
        except (LostLease, Stale):
            # A person was faster (pause, abort, roll back). Everything that was done is in the intents.
            return 0.0
    return outcome.after_s if isinstance(outcome, Again | Wait) else 0.0


def _work(context: Context) -> Outcome:
    """The outcome of this tick; expected errors become outcomes that a person can read."""
    course = courses.FOR_STATE.get(State(context.migration.state), steps.tick)
    try:
        outcome = course(context)
        for noted in ("away_since", "conflicts"):
            context.memory.pop(noted, None)
        return outcome
    except _WAITED_OUT as error:
        return _away(context, error)
    except cluster_errors.Conflict as error:
        conflicts = context.memory.get("conflicts", 0) + 1
        context.memory["conflicts"] = conflicts
        if conflicts > MAX_CONFLICTS:
            return Stop(_problem(error))
        return Again(f"{error.happened} It is read again.", after_s=CONFLICT_RETRY_S, blind=True)
    except ClusterError as error:
        return Stop(_problem(error))
    except GitOpsError as error:
        # What to do by hand, or what would have been pushed: a conflict is shown, never forced.
        by_hand = getattr(error, "by_hand", "") or getattr(error, "diff", "") or error.command
        return Stop(
            Problem(error.what, error.safe, error.next_step or "Retry when it is mended.", by_hand, "git")
        )
    except SoftTimeLimitExceeded:
        message = "The cluster or the Git server answered too slowly for one look. It is looked at again."
        return Again(message, after_s=OUTAGE_RETRY_S, blind=True)
    except LostLease:
        raise
    except Exception:
        reference = uuid.uuid4().hex[:8]
        log.exception("error %s in step %s of %s", reference, context.run.step, context.migration.reference)
        return Stop(
            Problem(
                f"An unexpected error happened in Holdfast. Its id in the worker's log is {reference}.",
                "Nothing more is done. Every change that was made is listed under Changes.",
                "Retry; if it comes again, report the id and the log.",
                code="unexpected",
            )
        )


def _away(context: Context, error: Exception) -> Again:
    """An outage is waited out, however long; the sentence says since when."""
    since = context.memory.setdefault("away_since", f"{timezone.now():%Y-%m-%d %H:%M:%S} UTC")
    return Again(f"Since {since}: {error}", after_s=OUTAGE_RETRY_S, blind=True)


def _problem(error: ClusterError) -> Problem:
    return Problem(error.happened, error.safe, error.next, error.command, type(error).__name__.lower())


def _apply(context: Context, outcome: Outcome) -> None:
    """Saves evidence, the attempt and the state in one transaction that holds only while the lease does."""
    with transaction.atomic():
        check_held(context.migration)
        for found in context.new_evidence:
            found.save()
        _APPLY[type(outcome)](context, outcome)


def _again(context: Context, outcome: Again) -> None:
    migration = context.migration
    state = StepState.WAITING if outcome.blind and migration.state == State.WAITING else StepState.RUNNING
    _save_run(context.run, state, outcome.message)
    due = timezone.now() + timedelta(seconds=outcome.after_s)
    if migration.state == State.WAITING and not outcome.blind:
        move(
            migration,
            State.RUNNING,
            actor=WORKER,
            verb="migration.continue",
            lease_token=migration.lease_token,
            next_tick_at=due,
            message=outcome.message,
            **NOT_WAITING,
        )
        return
    cleared = {} if outcome.blind else NOT_WAITING
    Migration.objects.filter(pk=migration.pk).update(message=outcome.message, next_tick_at=due, **cleared)


def _wait(context: Context, outcome: Wait) -> None:
    migration = context.migration
    due = timezone.now() + timedelta(seconds=outcome.after_s)
    _save_run(context.run, StepState.WAITING, outcome.message or outcome.waiting_for)
    if migration.state != State.RUNNING:
        if not migration.waiting_for:
            # On the way back it waits without leaving its state, which would tell people.
            notify_of_wait(migration, outcome.waiting_for)
        Migration.objects.filter(pk=migration.pk).update(
            message=outcome.message,
            waiting_for=outcome.waiting_for,
            waiting_permission=outcome.permission,
            waiting_since=migration.waiting_since or timezone.now(),
            next_tick_at=due,
        )
        return
    move(
        migration,
        State.WAITING,
        actor=WORKER,
        verb="migration.wait",
        note=outcome.waiting_for,
        lease_token=migration.lease_token,
        next_tick_at=due,
        message=outcome.message,
        waiting_for=outcome.waiting_for,
        waiting_permission=outcome.permission,
        waiting_since=timezone.now(),
    )


def _done(context: Context, outcome: Done | Skipped) -> None:
    migration = context.migration
    _save_run(
        context.run, StepState.SKIPPED if isinstance(outcome, Skipped) else StepState.DONE, outcome.message
    )
    end = courses.END_STATE.get(State(migration.state))
    if end is not None:
        finished = {"finished_at": timezone.now()} if end in FINISHED else {}
        _move(context, end, f"migration.{end}", message=outcome.message, **finished)
        return
    if migration.state == State.PREPARING and migration.current_step == procedure.PREPARATION[-1]:
        _move(context, State.READY, "migration.ready", message=outcome.message)
        return
    following = procedure.following(migration.current_step)
    assert following is not None  # noqa: S101 - the last step never ends in Done: it keeps
    state = State.PREPARING if migration.state == State.PREPARING else State.RUNNING
    _move(context, state, "migration.step", current_step=following.key, message="", note=outcome.message)


def _stop(context: Context, outcome: Stop) -> None:
    migration = context.migration
    if migration.state == State.RETAINED:
        # Nothing is done in this state, so nothing can fail: it is said, and looked at again.
        due = timezone.now() + timedelta(seconds=60)
        Migration.objects.filter(pk=migration.pk).update(
            message=outcome.problem.happened, problem=outcome.problem.as_json(), next_tick_at=due
        )
        return
    problem = outcome.problem.as_json()
    context.run.problem = problem
    _save_run(context.run, StepState.FAILED, outcome.problem.happened)
    if migration.state == State.PREPARING:
        _move(context, State.DRAFT, "migration.check-failed", note=outcome.problem.happened, problem=problem)
        return
    _move(context, State.FAILED, "migration.fail", note=outcome.problem.happened, problem=problem)


def _go_back(context: Context, outcome: GoBack) -> None:
    _save_run(context.run, StepState.FAILED, outcome.reason)
    new_attempt(context.migration, outcome.step)
    _move(
        context,
        State.RUNNING,
        "migration.go-back",
        note=outcome.reason,
        current_step=outcome.step,
        message=outcome.reason,
    )


def _keep(context: Context, outcome: Keep) -> None:
    migration = context.migration
    _save_run(context.run, StepState.WAITING, outcome.message)
    due = timezone.now() + timedelta(seconds=60)
    problem = outcome.problem.as_json() if outcome.problem else None
    if outcome.problem and (migration.problem or {}).get("happened") != outcome.problem.happened:
        notify_of_problem(migration, outcome.problem)
    if migration.state == State.RETAINED:
        Migration.objects.filter(pk=migration.pk).update(
            message=outcome.message, problem=problem, next_tick_at=due
        )
        return
    _move(
        context,
        State.RETAINED,
        "migration.retain",
        message=outcome.message,
        problem=problem,
        retain_until=outcome.until,
        next_tick_at=due,
    )


def _move(context: Context, to: State, verb: str, **fields: Any) -> None:
    migration = context.migration
    waiting = NOT_WAITING if to != State.WAITING else {}
    move(migration, to, actor=WORKER, verb=verb, lease_token=migration.lease_token, **{**waiting, **fields})


def _save_run(run: StepRun, state: StepState, message: str) -> None:
    run.state = state
    run.message = message
    if state in {StepState.DONE, StepState.SKIPPED, StepState.FAILED}:
        run.finished_at = timezone.now()
    run.save(update_fields=["state", "message", "problem", "memory", "finished_at"])


_APPLY: dict[type, Callable[[Context, Any], None]] = {
    Again: _again,
    Wait: _wait,
    Done: _done,
    Skipped: _done,
    Stop: _stop,
    GoBack: _go_back,
    Keep: _keep,
}
