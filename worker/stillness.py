"""Proves that nothing can write to the source: no pod but ours, before, during and after the final pass."""

from cluster.values import Pod
from migrations_app.problems import Problem
from worker.context import Context
from worker.manifests import LABEL
from worker.outcomes import Outcome, Stop


def users(context: Context, namespace: str, claim_name: str) -> list[Pod]:
    """Pods that use the claim and are not this migration's movers."""
    return [
        pod
        for pod in context.cluster.list_pods(namespace)
        if claim_name in (*pod.claims, *pod.ephemeral_claims)
        and pod.labels.get(LABEL) != context.migration.reference
    ]


def check(context: Context) -> Outcome | None:
    """None while the sources are still; otherwise the problem, since whatever was copied may be torn."""
    for transfer in context.transfers:
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        if claim is None or claim.uid != transfer.source_uid:
            return Stop(
                Problem(
                    f"Claim {transfer.source_name} is not the one that was inspected.",
                    "Nothing was deleted by Holdfast.",
                    "Find out who deleted or replaced it. Abort, or roll back.",
                    f"kubectl get pvc -n {context.migration.source_namespace} {transfer.source_name} -o yaml",
                    "source-replaced",
                )
            )
        found = users(context, context.migration.source_namespace, transfer.source_name)
        if found:
            names = ", ".join(pod.name for pod in found)
            return Stop(
                Problem(
                    f"{names} uses {transfer.source_name} although it was quiesced: what is copied may be torn.",
                    "The source is complete and unchanged by Holdfast. The copy counts for nothing.",
                    "Find out who started it and stop it there, then retry: the whole pass is made again.",
                    f"kubectl get pod -n {context.migration.source_namespace} {found[0].name} -o yaml",
                    "source-in-use",
                )
            )
    return None
