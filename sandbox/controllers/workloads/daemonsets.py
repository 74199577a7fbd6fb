"""DaemonSets: one pod a node."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    is_deleting,
    is_finished,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from sandbox.controllers.workloads.replicas import PodControl, owner_keys, pod_from, suffix, template_hash
from sandbox.kinds import DAEMON_SETS, NODES, PODS

_GENERATION = "controller-revision-hash"


class DaemonSets(Controller):
    name = "daemonsets"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.sets = self.watch(DAEMON_SETS)
        self.pods = self.watch(PODS, lambda pod: owner_keys(pod, "DaemonSet"))
        self.nodes = self.watch(NODES, self._all)
        self.control = PodControl(context, DAEMON_SETS, "daemonset-controller")

    def _all(self, _: Object) -> Iterator[tuple[str, str]]:
        for item in self.sets.list():
            yield namespace_of(item), name_of(item)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        owner = self.sets.get(key[1], key[0])
        if owner is None or is_deleting(owner):
            return None
        wanted = spec_of(owner)["template"]["spec"].get("nodeSelector") or {}
        nodes = [node for node in self.nodes.list() if wanted.items() <= labels_of(node).items()]
        pods = self.control.pods_of(owner)
        names = {name_of(node) for node in nodes}
        digest = template_hash(spec_of(owner)["template"])
        for pod in pods:
            stale = labels_of(pod).get(_GENERATION) != digest or is_finished(pod)
            if _target(pod) not in names or stale:
                self.control.delete(owner, pod)
        for name in names - {_target(pod) for pod in pods}:
            self._create(owner, name, digest)
        self._report(owner, pods, names, digest)
        return None

    def _create(self, owner: Object, node: str, digest: str) -> None:
        body = pod_from(spec_of(owner)["template"], owner, DAEMON_SETS, f"{name_of(owner)}-{suffix()}")
        body["metadata"]["labels"][_GENERATION] = digest
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        body["spec"].setdefault("affinity", {})["nodeAffinity"] = required
        self.control.create(owner, body)

    def _report(self, owner: Object, pods: list[Object], names: set[str], digest: str) -> None:
        ready = sum(is_ready(pod) for pod in pods)
        fresh = copied(owner)
        fresh["status"] = {
            **status_of(owner),
            "desiredNumberScheduled": len(names),
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "updatedNumberScheduled": sum(labels_of(pod).get(_GENERATION) == digest for pod in pods),
            "observedGeneration": owner["metadata"].get("generation", 1),
        }
        if fresh["status"] != status_of(owner):
            self.context.replace_status(DAEMON_SETS, fresh)


def _target(pod: Object) -> str:
    affinity = ((spec_of(pod).get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    for term in (affinity or {}).get("nodeSelectorTerms") or []:
        for field in term.get("matchFields") or []:
            return str(field["values"][0])
    return ""
