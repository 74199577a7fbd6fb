"""Where a warm mover runs: beside the pod that uses the source, and out of its way as soon as that pod goes elsewhere.

A ReadWriteOnce volume is on one node at a time. A mover that held it on another node than the application's would keep the
application down.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from cluster.values import Pod
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import stillness
from worker.context import Context
from worker.outcomes import Again, Outcome, Stop

# So often a mover makes way; then a person is asked before it begins anew.
MAX_MOVES = 3
# So long is waited for a pod that comes or goes: it may never get a node, or be on one that is lost.
PATIENCE = timedelta(minutes=2)
# What a mover takes from a node, in the words of the scheduler. No other reason ends when the mover makes way.
_ROOM = ("Insufficient", "Too many pods", "max volume count")
_CORDONED = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
# node, tolerations, and cordoned where the node takes no new pods; empty: wherever the application may run
Place = Mapping[str, str]
Places = dict[str, Place]  # by the transfer's number


def places(context: Context) -> Places | Outcome:
    """A place for each mover. A pod that uses the source and is coming or going is waited for, but not for ever."""
    now = timezone.now()
    pods = context.cluster.list_pods(context.migration.source_namespace)
    found: Places = {}
    awaited: list[str] = []
    waited_for = set(context.memory.get("waited_for", []))
    for transfer in context.transfers:
        users = _users(context, transfer, pods)
        settled = _settled(users)
        for pod in users:
            if pod.deleting:
                awaited.append(pod.name)
            elif _may_get_a_node(context, pod, settled):
                awaited.append(pod.name)
                # A pod that came late has not had its time yet: the mover makes way for it.
                case = _case(pod, settled)
                waited_for |= {case} if _lasted(context, f"coming/{case}", now) else set()
        placed = settled or [pod for pod in users if pod.node]
        first = min(placed, key=lambda pod: (pod.node, pod.name), default=None)
        found[str(transfer.number)] = _beside(context, first) if first else {}
    if awaited and not _lasted(context, "moving_since", now):
        names = ", ".join(dict.fromkeys(awaited))
        return Again(f"Waiting until {names} is gone, or has a node: the mover goes beside it.", after_s=1.0)
    for mark in [mark for mark in context.memory if mark == "moving_since" or mark.startswith("coming/")]:
        del context.memory[mark]
    context.memory["waited_for"] = sorted(waited_for)
    return found


def in_the_way(context: Context, known: Places) -> str:
    """A sentence about the pods that a mover keeps from their volume or their node; empty when it keeps none."""
    pods = context.cluster.list_pods(context.migration.source_namespace)
    for transfer in context.transfers:
        users = [pod for pod in _users(context, transfer, pods) if not pod.deleting]
        settled = _settled(users)
        movers = _movers(context, transfer, pods)
        place = known[str(transfer.number)]
        placed = place.get("node", "")
        where = {pod.node for pod in movers if pod.node} or ({placed} if placed else set())
        nodes = {pod.node for pod in settled}
        if movers and where and nodes and not where & nodes:
            names = ", ".join(pod.name for pod in users)
            return f"{names} uses {transfer.source_name} on another node now"
        if movers and place.get("cordoned") and placed not in nodes:
            # The node is being drained: the mover would come back there as often as it is evicted.
            return f"Nothing uses {transfer.source_name} on {placed} any more, which takes no new pods"
        stuck = [pod.name for pod in users if _finds_no_node(pod) and _may_get_a_node(context, pod, settled)]
        if movers and where and stuck:
            return f"{', '.join(stuck)} uses {transfer.source_name} and finds no node"
    return ""


def kept_off(context: Context, known: Places) -> str:
    """A sentence about a node that has been cordoned for a while and not drained, where the application runs and a mover may not.

    The pass begins anew with a mover that tolerates that. One that always did would come back to a node that is being drained.
    """
    pods = context.cluster.list_pods(context.migration.source_namespace)
    nodes = set()
    for transfer in context.transfers:
        node = known[str(transfer.number)].get("node", "")
        used = {pod.node for pod in _settled(_users(context, transfer, pods))}
        movers = _movers(context, transfer, pods)
        if node in used and any("unschedulable" in _why_no_node(pod) for pod in movers):
            nodes.add(node)
    nodes -= set(context.memory.get("cordoned", []))
    if not nodes:
        context.memory.pop("kept_off_since", None)
        return ""
    if not _lasted(context, "kept_off_since", timezone.now()):
        return ""
    context.memory.pop("kept_off_since", None)
    context.memory["cordoned"] = sorted({*context.memory.get("cordoned", []), *nodes})
    return f"{', '.join(sorted(nodes))} takes no new pods, and the application runs there"


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


def _settled(users: list[Pod]) -> list[Pod]:
    return [pod for pod in users if pod.node and not pod.deleting]


def _movers(context: Context, transfer: Transfer, pods: list[Pod]) -> list[Pod]:
    return [
        pod
        for pod in pods
        if transfer.source_name in pod.claims and stillness.is_mover(context, pod) and not pod.finished
    ]


def _beside(context: Context, user: Pod) -> Place:
    """What the pod tolerates and no more, but on a node that is known to be cordoned and not drained."""
    if user.node not in context.memory.get("cordoned", []):
        return {"node": user.node, "tolerations": user.tolerations_json}
    tolerations = [*json.loads(user.tolerations_json or "[]"), _CORDONED]
    return {"node": user.node, "tolerations": json.dumps(tolerations), "cordoned": "yes"}


def _may_get_a_node(context: Context, pod: Pod, settled: list[Pod]) -> bool:
    """Whether the absence of a mover may give the pod a node: that was not waited for yet, and where others run, it lacks room."""
    if pod.node or _case(pod, settled) in context.memory.get("waited_for", []):
        return False
    return not settled or any(word in _why_no_node(pod) for word in _ROOM)


def _case(pod: Pod, settled: list[Pod]) -> str:
    """What was waited for: when the pods beside it are others, a mover may be what keeps it from starting after all."""
    return f"{pod.uid} beside {','.join(sorted({other.node for other in settled}))}"


def _lasted(context: Context, mark: str, now: datetime) -> bool:
    """Whether it has lasted for as long as it is waited for. Since when is kept."""
    began = datetime.fromisoformat(context.memory.setdefault(mark, now.isoformat()))
    # A clock that was set back must not make it look younger for ever.
    return abs(now - began) >= PATIENCE


def _finds_no_node(pod: Pod) -> bool:
    return not pod.node and any(c.type == "PodScheduled" and c.status == "False" for c in pod.conditions)


def _why_no_node(pod: Pod) -> str:
    return "" if pod.node else " ".join(c.message for c in pod.conditions if c.type == "PodScheduled")
