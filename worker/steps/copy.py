"""Copy: the final pass, on a source that nothing uses."""

from cluster.values import Manifest
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import manifests, stillness
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop
from worker.steps import copying


def tick(context: Context) -> Outcome:
    def render(transfer: Transfer) -> Manifest:
        return manifests.mover_job(
            context.migration, transfer, purpose="copy", attempt=context.run.attempt, final=True
        )

    if context.migration.runs.filter(step="deploy").exists():
        # The application has its data there by now: a pass would throw that away.
        return Stop(_handed_over())
    problem = stillness.check(context)
    if problem is not None:
        return problem
    if not context.memory.get("read"):
        results = copying.run_all(context, render)
        if not isinstance(results, dict):
            return results
        copying.remember_results(context, results, "copy")
        context.memory["read"] = True
        return Again("The final pass is done.", after_s=0.1)
    return copying.remove_all(context, render) or Done("The final pass is done.")


def _handed_over() -> Problem:
    return Problem(
        "The application was deployed on the copy already, so it is not copied to again.",
        "Source and destination are both there.",
        "Roll back to start again from the source.",
        code="handed-over",
    )
