"""Checks of what uses the claims: everything that writes must be one that Holdfast can stop and start again."""

from collections.abc import Iterable

from worker.checks.check import Check, passed, stop, warn
from worker.context import Context
from worker.workload_list import all_workloads

SCALABLE = frozenset({"Deployment", "StatefulSet"})
STOPPABLE = SCALABLE | {"CronJob"}
# Kinds that the checks above judge. The top of a chain of owners that is none of these belongs to an operator.
_KNOWN = STOPPABLE | {"DaemonSet", "Job", "ReplicaSet", "Pod"}


def can_be_stopped(context: Context) -> Iterable[Check]:
    title = "Everything that uses the claims can be stopped"
    problems = []
    for workload in all_workloads(context.transfers):
        what = f"{workload['kind']} {workload['name']}"
        if workload["kind"] == "DaemonSet":
            problems.append(
                stop(
                    "stoppable",
                    title,
                    f"{what} cannot be scaled to 0.",
                    "Take the claim out of it, or delete it first.",
                )
            )
        elif workload["kind"] == "Job":
            problems.append(
                stop(
                    "stoppable",
                    title,
                    f"{what} is running or has left a pod.",
                    "Wait until it ends, then delete it.",
                )
            )
        elif workload["kind"] not in STOPPABLE:
            problems.append(
                stop(
                    "stoppable",
                    title,
                    f"{what} is run by an operator, which would start it again.",
                    "Stop it as its operator wants it stopped, then run the checks again.",
                )
            )
        elif workload["owners"]:
            problems.append(
                stop(
                    "stoppable",
                    title,
                    f"{what} is controlled by {', '.join(workload['owners'])}, which would undo a scaling.",
                    "Stop it through its owner, then run the checks again.",
                )
            )
    for transfer in context.transfers:
        for pod in transfer.facts.get("loose_pods", []):
            problems.append(
                stop(
                    "stoppable",
                    title,
                    f"Pod {pod} uses {transfer.source_name} and belongs to no workload: stopped, it would not come back.",
                    "Delete the pod yourself if it is not needed.",
                    f"kubectl get pod -n {context.migration.source_namespace} {pod} -o yaml",
                )
            )
        for top in transfer.facts.get("owner_chain", []):
            if top.partition(" ")[0] not in _KNOWN:
                problems.append(
                    stop(
                        "stoppable",
                        title,
                        f"{top} runs the pods that use {transfer.source_name}: its operator would start them again.",
                        "Stop it as its operator wants it stopped (hibernate, pause, 0 instances), then run the checks again.",
                    )
                )
    names = (
        ", ".join(f"{w['kind']} {w['name']}" for w in all_workloads(context.transfers)) or "Nothing uses them"
    )
    yield from problems or [passed("stoppable", title, f"{names}.")]


def templates(context: Context) -> Iterable[Check]:
    """A StatefulSet may delete its claims when it is scaled."""
    title = "Scaling down deletes nothing"
    problems = [
        stop(
            "when-scaled",
            title,
            f"StatefulSet {w['name']} deletes its claims when it is scaled down (whenScaled: Delete).",
            "Set persistentVolumeClaimRetentionPolicy.whenScaled to Retain in Git first.",
            f"kubectl get statefulset -n {w['namespace']} {w['name']} -o jsonpath='{{.spec.persistentVolumeClaimRetentionPolicy}}'",
        )
        for w in all_workloads(context.transfers)
        if w["kind"] == "StatefulSet" and w["when_scaled"] == "Delete"
    ]
    yield from problems or [
        passed("when-scaled", title, "No StatefulSet deletes its claims when it is scaled.")
    ]


def autoscalers(context: Context) -> Iterable[Check]:
    title = "No autoscaler starts it again"
    names = sorted({name for t in context.transfers for name in t.facts.get("autoscalers", [])})
    keda = [name for name in names if name.startswith("ScaledObject/")]
    if keda:
        yield stop(
            "autoscaler",
            title,
            f"{', '.join(keda)} scales up from 0.",
            'Pause it: annotation autoscaling.keda.sh/paused-replicas: "0".',
        )
    elif names:
        yield warn(
            "autoscaler", title, f"{', '.join(names)} rests while the replicas are 0, and goes on after that."
        )
    else:
        paused = sorted({name for t in context.transfers for name in t.facts.get("paused_autoscalers", [])})
        rests = f"{', '.join(paused)} is paused." if paused else "There is none."
        yield passed("autoscaler", title, rests)


def placement(context: Context) -> Iterable[Check]:
    """A warm copy of a ReadWriteOnce claim has to run on the node of the pod that uses it."""
    title = "The mover can run beside the application"
    if not context.migration.warm_passes:
        yield passed("placement", title, "There is no warm pass.")
        return
    spread = []
    for transfer in context.transfers:
        if set(transfer.access_modes) & {"ReadWriteMany", "ReadOnlyMany"}:
            continue
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        pods = context.cluster.consumers_of(claim).pods if claim else ()
        nodes = {pod.node for pod in pods if pod.node and not pod.finished}
        if len(nodes) > 1:
            spread.append(f"{transfer.source_name} ({', '.join(sorted(nodes))})")
    if spread:
        yield warn(
            "placement",
            title,
            f"On several nodes at once: {'; '.join(spread)}.",
            "The mover takes the first one.",
        )
    else:
        yield passed(
            "placement", title, "Each claim is in use on one node at most, or can be mounted on many."
        )
