"""The strategy of each kind."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver.call import now
from sandbox.apiserver.errors import Cause, field_invalid
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.strategy import Strategy

Json = dict[str, Any]


class NamespaceStrategy(Strategy):
    """A namespace ends when its contents are gone and spec.finalizers is empty."""

    name_is_label = True

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["spec"] = {"finalizers": ["kubernetes"]}
        item["status"] = {"phase": "Active"}

    def default(self, item: Json) -> None:
        item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = item["metadata"]["name"]

    def prepare_update(self, new: Json, old: Json, resource: ResourceType) -> None:
        new["spec"], new["status"] = old.get("spec") or {}, old.get("status") or {}

    def begin_deletion(self, item: Json) -> None:
        item.setdefault("status", {})["phase"] = "Terminating"

    def blocked(self, item: Json) -> bool:
        return bool((item.get("spec") or {}).get("finalizers"))


class PodStrategy(Strategy):
    """A pod that runs lingers until the node's agent has ended it."""

    returns_deleted = True

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}

    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        spec.setdefault("dnsPolicy", "ClusterFirst")
        spec.setdefault("schedulerName", "default-scheduler")
        spec.setdefault("securityContext", {})

    def deletion_grace_s(self, item: Json, requested: int | None) -> int:
        phase = (item.get("status") or {}).get("phase")
        spec = item.get("spec") or {}
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        return int(spec.get("terminationGracePeriodSeconds", 30)) if requested is None else requested


class JobStrategy(Strategy):
    """Deleting a Job leaves its pods unless the caller says otherwise."""

    default_propagation = "Orphan"

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {}
        if (item.get("spec") or {}).get("manualSelector"):
            return
        uid, name = item["metadata"]["uid"], item["metadata"]["name"]
        spec = item.setdefault("spec", {})
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        metadata = spec.setdefault("template", {}).setdefault("metadata", {})
        labels = metadata.setdefault("labels", {})
        for prefix in ("batch.kubernetes.io/", ""):
            labels[f"{prefix}controller-uid"] = uid
            labels[f"{prefix}job-name"] = name

    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        if spec.get("completions") is None and spec.get("parallelism") is None:
            spec["completions"] = 1
        spec.setdefault("parallelism", 1)
        spec.setdefault("backoffLimit", 6)
        spec.setdefault("completionMode", "NonIndexed")
        spec.setdefault("suspend", False)
        spec.setdefault(
            "podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
        )


class ClaimStrategy(Strategy):
    returns_deleted = True

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {"phase": "Pending"}

    def default(self, item: Json) -> None:
        item.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


class VolumeStrategy(Strategy):
    returns_deleted = True

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {"phase": "Pending", "lastPhaseTransitionTime": now()}

    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        spec.setdefault("volumeMode", "Filesystem")
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")


class StorageClassStrategy(Strategy):
    def default(self, item: Json) -> None:
        item.setdefault("reclaimPolicy", "Delete")
        item.setdefault("volumeBindingMode", "Immediate")


class DefinitionStrategy(Strategy):
    """A definition is served as soon as it is stored, so its conditions say so from the start."""

    def default(self, item: Json) -> None:
        names = item["spec"].setdefault("names", {})
        kind = names.get("kind", "")
        names.setdefault("singular", kind.lower())
        names.setdefault("listKind", f"{kind}List")
        item["spec"].setdefault("conversion", {"strategy": "None"})

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        storage = [entry["name"] for entry in item["spec"].get("versions") or () if entry.get("storage")]
        moment = now()
        item["status"] = {
            "acceptedNames": item["spec"].get("names") or {},
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": moment,
                }
                for kind, reason, message in (
                    ("NamesAccepted", "NoConflicts", "no conflicts found"),
                    ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
                )
            ],
            "storedVersions": storage,
        }

    def validate(self, item: Json) -> list[Cause]:
        spec, name = item["spec"], item["metadata"]["name"]
        wanted = f"{spec.get('names', {}).get('plural')}.{spec.get('group')}"
        if name != wanted:
            return [field_invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]
        if sum(1 for entry in spec.get("versions") or () if entry.get("storage")) != 1:
            return [
                field_invalid("spec.versions", "", "must have exactly one version marked as storage version")
            ]
        return []


class FreeNameStrategy(Strategy):
    """RBAC objects may be called almost anything."""

    free_name = True


class ReturnsDeletedStrategy(Strategy):
    returns_deleted = True


_DEFAULT = Strategy()
_RBAC = "rbac.authorization.k8s.io"
_STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "namespaces"): NamespaceStrategy(),
    ("", "pods"): PodStrategy(),
    ("", "persistentvolumeclaims"): ClaimStrategy(),
    ("", "persistentvolumes"): VolumeStrategy(),
    ("", "serviceaccounts"): ReturnsDeletedStrategy(),
    ("", "services"): ReturnsDeletedStrategy(),
    ("", "resourcequotas"): ReturnsDeletedStrategy(),
    ("batch", "jobs"): JobStrategy(),
    ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy(),
    ("storage.k8s.io", "storageclasses"): StorageClassStrategy(),
    **{
        (_RBAC, plural): FreeNameStrategy()
        for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
}


def strategy_for(resource: ResourceType) -> Strategy:
    return _STRATEGIES.get(resource.table, _DEFAULT)
