"""Where a warm mover runs: beside the pod that uses the source, and out of its way as soon as that pod goes elsewhere.

A ReadWriteOnce volume is on one node at a time. A mover that held it on another node than the application's would keep the
application down.
"""

from collections.abc import Mapping

from cluster.values import Pod
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import stillness
from worker.context import Context
from worker.outcomes import Again, Outcome, Stop

# So often a mover makes way; then a person is asked before it begins anew.
MAX_MOVES = 3
Place = Mapping[str, str]  # node, tolerations; empty: wherever the application may run
Places = dict[str, Place]  # by the transfer's number


def places(context: Context) -> Places | Outcome:
    """A place for each mover. While a pod that uses the source is coming or going nobody knows where it will be: that is waited for."""
    found: Places = {}
    for transfer in context.transfers:
        users = _users(context, transfer, context.cluster.list_pods(context.migration.source_namespace))
        moving = [pod.name for pod in users if pod.deleting or not pod.node]
        if moving:
            return Again(
                f"Waiting until {', '.join(moving)} is gone, or has a node: the mover goes beside it.",
                after_s=1.0,
            )
        first = min(users, key=lambda pod: (pod.node, pod.name), default=None)
        # What the pod tolerates and no more: on a node that is being drained, the mover would come back as often as it is evicted.
        place = {"node": first.node, "tolerations": first.tolerations_json} if first else {}
        found[str(transfer.number)] = place
    return found


def in_the_way(context: Context, known: Places) -> str:
    """A sentence about the pods that a mover keeps from their volume or their node; empty when it keeps none."""
    pods = context.cluster.list_pods(context.migration.source_namespace)
    for transfer in context.transfers:
        users = [pod for pod in _users(context, transfer, pods) if not pod.deleting]
        movers = [
            pod
            for pod in pods
            if transfer.source_name in pod.claims and stillness.is_mover(context, pod) and not pod.finished
        ]
        placed = known[str(transfer.number)].get("node", "")
        where = {pod.node for pod in movers if pod.node} or ({placed} if placed else set())
        nodes = {pod.node for pod in users if pod.node}
        if movers and where and nodes and not where & nodes:
            names = ", ".join(pod.name for pod in users)
            return f"{names} uses {transfer.source_name} on another node now"
        stuck = [pod.name for pod in users if _finds_no_node(pod)]
        if movers and where and stuck:
            return f"{', '.join(stuck)} uses {transfer.source_name} and finds no node"
    return ""


def moved_too_often(context: Context) -> Stop | None:
    """None as long as another attempt beside the application makes sense."""
    if context.memory.get("moves", 0) < MAX_MOVES:
        return None
    return Stop(
        Problem(
            f"The application moved {MAX_MOVES} times while the mover copied beside it: {context.memory.get('why', '')}.",
            "The source is unchanged. The mover made way each time and is gone.",
            "Wait until the application stays where it is (a drain or a rollout has ended), then retry: what is copied stays copied.",
            f"kubectl get pods -n {context.migration.source_namespace} -o wide",
            "moved-too-often",
        )
    )


def _users(context: Context, transfer: Transfer, pods: list[Pod]) -> list[Pod]:
    """The pods beside which the mover has to be; none where the volume can be mounted on many nodes."""
    if set(transfer.access_modes) & {"ReadWriteMany", "ReadOnlyMany"}:
        return []
    return [
        pod
        for pod in pods
        if transfer.source_name in (*pod.claims, *pod.ephemeral_claims)
        and not pod.finished
        and not stillness.is_mover(context, pod)
    ]


def _finds_no_node(pod: Pod) -> bool:
    return not pod.node and any(c.type == "PodScheduled" and c.status == "False" for c in pod.conditions)
