"""Preflight: runs every check and keeps the list. One stop is enough to stop."""

from migrations_app.problems import Problem
from migrations_app.states import State, Verdict
from worker import checks
from worker.context import Context
from worker.outcomes import Done, Outcome, Stop


def tick(context: Context) -> Outcome:
    found = checks.run(context)
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
