"""Places pods on nodes: affinity, taints, the volumes' own demands. It spreads, as the real one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    annotate,
    annotations_of,
    claim_names,
    copied,
    is_deleting,
    is_finished,
    labels_of,
    matches_expression,
    name_of,
    namespace_of,
    phase_of,
    set_condition,
    spec_of,
    uid_of,
)
from sandbox.controllers.storage.names import BIND_COMPLETED, SELECTED_NODE, class_of, modes_of
from sandbox.kinds import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES

_BY = "default-scheduler"
_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Unschedulable(Exception):
    """No node can take the pod now; the text is the scheduler's message."""


class Scheduler(Controller):
    """Binds one pod after another; pods that do not fit are tried again on every change that could help."""

    name = "scheduler"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.watch(PODS, self._of_pod)
        self.nodes = self.watch(NODES, lambda _: self._waiting())
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._of_claim)
        self.volumes = context.cache(PERSISTENT_VOLUMES)
        self.classes = context.cache(STORAGE_CLASSES)

    def _of_pod(self, pod: Object) -> Iterator[tuple[str, str]]:
        if not spec_of(pod).get("nodeName"):
            yield namespace_of(pod), name_of(pod)
        elif is_finished(pod) or is_deleting(pod):
            yield from self._waiting(namespace_of(pod))

    def _of_claim(self, claim: Object) -> Iterator[tuple[str, str]]:
        yield from self._waiting(namespace_of(claim))

    def _waiting(self, namespace: str | None = None) -> Iterator[tuple[str, str]]:
        for pod in self.pods.list(namespace):
            if not spec_of(pod).get("nodeName") and not is_deleting(pod):
                yield namespace_of(pod), name_of(pod)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        pod = self.pods.get(key[1], key[0])
        if pod is None or spec_of(pod).get("nodeName") or is_deleting(pod) or is_finished(pod):
            return None
        if spec_of(pod).get("schedulerName", "default-scheduler") != "default-scheduler":
            return None
        if spec_of(pod).get("schedulingGates"):
            self._report(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
            return None
        try:
            claims = self._claims_of(pod)
            node = self._choose(pod, claims)
            if not self._bind_claims(claims, node):
                return None
        except Unschedulable as error:
            self._report(pod, "Unschedulable", str(error))
            self.context.event(pod, PODS, "Warning", "FailedScheduling", str(error), _BY)
            return None
        self._bind(pod, node)
        return None

    # -- filters ----------------------------------------------------------------------------------

    def _claims_of(self, pod: Object) -> list[Object]:
        found = []
        total = len(self.nodes.list())
        for name in claim_names(pod).values():
            claim = self.claims.get(name, namespace_of(pod))
            if claim is None:
                raise _nowhere(total, f'persistentvolumeclaim "{name}" not found')
            if is_deleting(claim):
                raise _nowhere(total, f'persistentvolumeclaim "{name}" is being deleted')
            if phase_of(claim) == "Lost":
                volume = spec_of(claim).get("volumeName")
                raise _nowhere(
                    total, f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
                )
            if not _is_bound(claim) and not self._waits(claim):
                raise _nowhere(total, "pod has unbound immediate PersistentVolumeClaims")
            found.append(claim)
        return found

    def _waits(self, claim: Object) -> bool:
        storage_class = self.classes.get(class_of(claim))
        return bool(
            storage_class and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        ) and not spec_of(claim).get("volumeName")

    def _choose(self, pod: Object, claims: list[Object]) -> Object:
        nodes = self.nodes.list()
        refusals: Counter[str] = Counter()
        fitting = []
        for node in nodes:
            if reason := self._refusal(pod, claims, node):
                refusals[reason] += 1
            else:
                fitting.append(node)
        if not fitting:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(refusals.items()))
            raise Unschedulable(f"0/{len(nodes)} nodes are available: {reasons}.")
        load = Counter(spec_of(item).get("nodeName") for item in self.pods.list() if not is_finished(item))
        return min(fitting, key=lambda node: (load[name_of(node)], name_of(node)))

    def _refusal(self, pod: Object, claims: list[Object], node: Object) -> str:
        if spec_of(node).get("unschedulable") and not _tolerates(pod, _CORDONED):
            return "node(s) were unschedulable"
        for taint in spec_of(node).get("taints") or []:
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerates(pod, taint):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if not _selects(pod, node):
            return "node(s) didn't match Pod's node affinity/selector"
        for claim in claims:
            if _is_bound(claim):
                volume = self.volumes.get(spec_of(claim)["volumeName"])
                if volume is not None and not _volume_reaches(volume, node):
                    return "node(s) didn't match PersistentVolume's node affinity"
            elif (chosen := annotations_of(claim).get(SELECTED_NODE)) and chosen != name_of(node):
                return "node(s) didn't find available persistent volumes to bind"
            if self._is_exclusively_used(claim, pod):
                return "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
        return ""

    def _is_exclusively_used(self, claim: Object, pod: Object) -> bool:
        if "ReadWriteOncePod" not in modes_of(claim):
            return False
        return any(
            name_of(claim) in claim_names(other).values()
            for other in self.pods.list(namespace_of(claim))
            if uid_of(other) != uid_of(pod) and spec_of(other).get("nodeName") and not is_finished(other)
        )

    # -- writes -----------------------------------------------------------------------------------

    def _bind_claims(self, claims: list[Object], node: Object) -> bool:
        """Names the node on claims that wait for one. True when all claims are bound."""
        ready = True
        for claim in claims:
            if _is_bound(claim):
                continue
            ready = False
            if SELECTED_NODE not in annotations_of(claim):
                fresh = copied(claim)
                annotate(fresh, SELECTED_NODE, name_of(node))
                self.context.replace(PERSISTENT_VOLUME_CLAIMS, fresh)
        return ready

    def _bind(self, pod: Object, node: Object) -> None:
        namespace, name = namespace_of(pod), name_of(pod)
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": name_of(node)},
        }
        try:
            self.client.request("POST", PODS.path(namespace, name, "binding"), body)
        except ApiError as error:
            if error.status not in (404, 405):
                raise
            current = self.client.get(PODS, name, namespace)
            current["spec"]["nodeName"] = name_of(node)
            self.context.replace(PODS, current)
        self.context.cache(PODS).observe(self.client.get(PODS, name, namespace))
        message = f"Successfully assigned {namespace}/{name} to {name_of(node)}"
        self.context.event(pod, PODS, "Normal", "Scheduled", message, _BY)

    def _report(self, pod: Object, reason: str, message: str) -> None:
        fresh = copied(pod)
        status = fresh.setdefault("status", {})
        status.setdefault("phase", "Pending")
        if set_condition(status.setdefault("conditions", []), "PodScheduled", "False", reason, message):
            self.context.replace_status(PODS, fresh)


def _nowhere(total: int, reason: str) -> Unschedulable:
    return Unschedulable(f"0/{total} nodes are available: {reason}.")


def _is_bound(claim: Object) -> bool:
    return bool(spec_of(claim).get("volumeName")) and BIND_COMPLETED in annotations_of(claim)


def _tolerates(pod: Object, taint: Object) -> bool:
    for toleration in spec_of(pod).get("tolerations") or []:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        if toleration.get("key") not in (None, "", taint["key"]):
            continue
        if toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _selects(pod: Object, node: Object) -> bool:
    labels = labels_of(node)
    wanted = spec_of(pod).get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (spec_of(pod).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term_matches(term, node) for term in required["nodeSelectorTerms"])


def _volume_reaches(volume: Object, node: Object) -> bool:
    required = (spec_of(volume).get("nodeAffinity") or {}).get("required")
    return required is None or any(_term_matches(term, node) for term in required["nodeSelectorTerms"])


def _term_matches(term: Object, node: Object) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    named = {"metadata.name": name_of(node)}
    return all(matches_expression(labels_of(node), entry) for entry in expressions) and all(
        matches_expression(named, entry) for entry in fields
    )
