"""Preflight: runs every check and keeps the list. One stop is enough to stop."""

from migrations_app.problems import Problem
from migrations_app.states import State, Verdict
from worker import checks
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop

# A pass of Flux takes seconds as a rule; one that never ends is what the check then reports.
PASS_LOOKS = 30


def tick(context: Context) -> Outcome:
    passing = _in_a_pass(context)
    looks = context.memory.get("pass_looks", 0)
    if passing and looks < PASS_LOOKS:
        context.memory["pass_looks"] = looks + 1
        return Again(
            f"Waiting for {passing} to end its pass: in the middle of it, it is neither ready nor not."
        )
    found = checks.run(context)
    begun = [check for check in found if check.passing]
    if begun and looks < PASS_LOOKS:  # it began after the look above
        context.memory["pass_looks"] = looks + 1
        return Again(f"{begun[0].text}. The checks run again when its pass has ended.")
    listed = [check.as_json() for check in found]
    context.evidence("checks", {"checks": listed})
    stops = [check for check in found if check.verdict == Verdict.STOP]
    # The wizard shows the list as it is; a plan is rendered all the same, so that a person sees what it would be.
    context.migration.plan = {**context.migration.plan, "checks": listed}
    context.keep("plan")
    if stops and context.migration.state != State.PREPARING:
        first = stops[0]
        return Stop(
            Problem(
                f"{first.title}: {first.text}",
                "Nothing was changed.",
                first.next,
                first.command,
                first.key,
            )
        )
    warnings = sum(check.verdict == Verdict.WARN for check in found)
    return Done(f"{len(found)} checks: {len(stops)} stop, {warnings} warn.")


def _in_a_pass(context: Context) -> str:
    """The name of an owner that is reconciling right now; empty when none is."""
    for owner in (context.migration.source_owner, context.migration.destination_owner):
        if owner.get("path") is None:
            continue
        kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
        ready = kustomization.ready if kustomization else None
        if ready is not None and ready.status == "Unknown":
            return f"Kustomization {owner['namespace']}/{owner['name']}"
    return ""
