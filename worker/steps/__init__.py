"""One module a step. Each has `tick(context) -> Outcome`: observe, then at most one act."""

from collections.abc import Callable

from worker.context import Context
from worker.outcomes import Outcome
from worker.steps import (
    copy,
    deploy,
    hand_over,
    inspect,
    plan,
    preflight,
    quiesce,
    release,
    retain,
    sign_off,
    stage,
    test,
    verify,
    warm_copy,
)

STEPS: dict[str, Callable[[Context], Outcome]] = {
    "inspect": inspect.tick,
    "preflight": preflight.tick,
    "plan": plan.tick,
    "stage": stage.tick,
    "warm-copy": warm_copy.tick,
    "quiesce": quiesce.tick,
    "copy": copy.tick,
    "verify": verify.tick,
    "hand-over": hand_over.tick,
    "deploy": deploy.tick,
    "test": test.tick,
    "sign-off": sign_off.tick,
    "release": release.tick,
    "retain": retain.tick,
}


def tick(context: Context) -> Outcome:
    """One tick of the migration's current step."""
    return STEPS[context.run.step](context)
