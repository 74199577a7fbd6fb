"""ReplicaSets: the wanted number of pods, no more and no less."""

from __future__ import annotations

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    is_deleting,
    is_finished,
    is_ready,
    name_of,
    spec_of,
    status_of,
)
from sandbox.controllers.workloads.replicas import PodControl, owner_keys, pod_from, suffix
from sandbox.kinds import PODS, REPLICA_SETS


def wanted_replicas(owner: Object) -> int:
    found = spec_of(owner).get("replicas")
    return 1 if found is None else int(found)


class ReplicaSets(Controller):
    name = "replicasets"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.sets = self.watch(REPLICA_SETS)
        self.pods = self.watch(PODS, lambda pod: owner_keys(pod, "ReplicaSet"))
        self.control = PodControl(context, REPLICA_SETS, "replicaset-controller")

    def reconcile(self, key: tuple[str, str]) -> float | None:
        owner = self.sets.get(key[1], key[0])
        if owner is None:
            return None
        pods = [pod for pod in self.control.pods_of(owner) if not is_finished(pod) and not is_deleting(pod)]
        try:
            if not is_deleting(owner):
                self._fit(owner, pods)
        finally:
            self._report(owner)
        return None

    def _fit(self, owner: Object, pods: list[Object]) -> None:
        surplus = len(pods) - wanted_replicas(owner)
        for _ in range(-surplus):
            self.control.create(
                owner,
                pod_from(spec_of(owner)["template"], owner, REPLICA_SETS, f"{name_of(owner)}-{suffix()}"),
            )
        if surplus > 0:
            # Pods that are not ready go first, then the youngest.
            order = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
            order.sort(key=is_ready)
            for pod in order[:surplus]:
                self.control.delete(owner, pod)

    def _report(self, owner: Object) -> None:
        pods = [pod for pod in self.control.pods_of(owner) if not is_finished(pod) and not is_deleting(pod)]
        ready = sum(is_ready(pod) for pod in pods)
        fresh = copied(owner)
        status = {
            **status_of(owner),
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": owner["metadata"].get("generation", 1),
        }
        fresh["status"] = status
        if status != status_of(owner):
            self.context.replace_status(REPLICA_SETS, fresh)
