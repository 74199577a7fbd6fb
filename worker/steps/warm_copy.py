"""Warm copy: passes while the application runs. They shrink the outage; they prove nothing."""

from migrations_app.models import Transfer
from worker import manifests
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Skipped
from worker.steps import copying


def tick(context: Context) -> Outcome:
    passes = context.migration.warm_passes
    if passes == 0:
        return Skipped("No warm pass was asked for.")
    number = context.memory.setdefault("pass", 1)
    if context.memory.get("nodes") is None:
        context.remember(nodes={str(t.number): _node(context, t) for t in context.transfers})
    nodes = context.memory["nodes"]

    def render(transfer: Transfer):  # type: ignore[no-untyped-def]
        return manifests.mover_job(
            context.migration,
            transfer,
            purpose="warm",
            attempt=context.run.attempt,
            sequence=number,
            final=False,
            node=nodes[str(transfer.number)],
        )

    # Results first: what is removed below was read in an earlier tick.
    if not context.memory.get("read"):
        results = copying.run_all(context, render)
        if not isinstance(results, dict):
            return results
        copying.remember_results(context, results, "warm-copy")
        context.memory["read"] = True
        return Again(f"Warm pass {number} of {passes} is done.", after_s=0.1)
    removing = copying.remove_all(context, render)
    if removing is not None:
        return removing
    if number < passes:
        context.memory.update({"pass": number + 1, "read": False, "nodes": None})
        return Again(f"Warm pass {number + 1} of {passes} begins.", after_s=0.1)
    return Done(f"{passes} warm passes.")


def _node(context: Context, transfer: Transfer) -> str:
    """The node of the pod that uses the source: a ReadWriteOnce volume can be mounted beside it, nowhere else."""
    if set(transfer.access_modes) & {"ReadWriteMany", "ReadOnlyMany"}:
        return ""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
    if claim is None:
        return ""
    return next(iter(sorted(pod.node for pod in context.cluster.consumers_of(claim).pods if pod.node)), "")
