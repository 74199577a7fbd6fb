"""Proves that nothing can write to the source: no pod but ours, before, during and after the final pass."""

from cluster.values import Pod
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker.context import LABEL, Context
from worker.outcomes import Outcome, Stop

# In these steps the copy is made anew by a retry. Later it may hold what the application wrote in its new place.
_COPYING = frozenset({"copy", "verify"})


def users(context: Context, namespace: str, claim_name: str) -> list[Pod]:
    """Pods that use the claim and are not this migration's movers. Finished ones write no more, and are left out."""
    return [pod for pod in holders(context, namespace, claim_name) if not pod.finished]


def holders(context: Context, namespace: str, claim_name: str) -> list[Pod]:
    """As `users`, with the finished pods: none of them writes, and each keeps a deleted claim from going."""
    return [
        pod
        for pod in context.cluster.list_pods(namespace)
        if claim_name in (*pod.claims, *pod.ephemeral_claims) and not is_mover(context, pod)
    ]


def is_mover(context: Context, pod: Pod) -> bool:
    """A pod of one of our Jobs. A copy of one that somebody made by hand carries our label and is none."""
    job = pod.controller
    return pod.labels.get(LABEL) == context.migration.reference and job is not None and job.kind == "Job"


def check(context: Context, transfers: list[Transfer] | None = None) -> Outcome | None:
    """None while the sources are still; otherwise the problem, since whatever was copied may be torn."""
    namespace = context.migration.source_namespace
    for transfer in context.transfers if transfers is None else transfers:
        claim = context.cluster.get_claim(namespace, transfer.source_name)
        if claim is None or claim.uid != transfer.source_uid:
            return Stop(
                Problem(
                    f"Claim {transfer.source_name} is not the one that was inspected.",
                    "Nothing was deleted by Holdfast.",
                    "Find out who deleted or replaced it. Abort, or roll back.",
                    f"kubectl get pvc -n {namespace} {transfer.source_name} -o yaml",
                    "source-replaced",
                )
            )
        found = users(context, namespace, transfer.source_name)
        if found:
            return Stop(_in_use(context, transfer, found))
    return None


def _in_use(context: Context, transfer: Transfer, pods: list[Pod]) -> Problem:
    names = ", ".join(pod.name for pod in pods)
    command = f"kubectl get pod -n {context.migration.source_namespace} {pods[0].name} -o yaml"
    if context.run.step in _COPYING:
        return Problem(
            f"{names} uses {transfer.source_name} although it was quiesced: what is copied may be torn.",
            "The source is complete and unchanged by Holdfast. The copy counts for nothing.",
            "Find out who started it and stop it there, then retry: the whole pass is made again.",
            command,
            "source-in-use",
        )
    return Problem(
        f"{names} uses {transfer.source_name} again: it may write what the destination does not have.",
        "Nothing was deleted. Source and destination are both there.",
        "Find out who started it and stop it there, then retry. The source is hashed again before anything is deleted.",
        command,
        "source-in-use-again",
    )
