"""The strategy of each kind."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver.call import now
from sandbox.apiserver.errors import Cause, field_invalid
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.strategies_admission import BindingStrategy, PolicyStrategy, WebhooksStrategy
from sandbox.apiserver.strategies_storage import ClaimStrategy, StorageClassStrategy, VolumeStrategy
from sandbox.apiserver.strategies_workloads import (
    CronJobStrategy,
    DaemonSetStrategy,
    DeploymentStrategy,
    JobStrategy,
    PodStrategy,
    StatefulSetStrategy,
    WorkloadStrategy,
)
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
_ADMISSION = "admissionregistration.k8s.io"
_STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("", "namespaces"): NamespaceStrategy(),
    ("", "pods"): PodStrategy(),
    ("", "persistentvolumeclaims"): ClaimStrategy(),
    ("", "persistentvolumes"): VolumeStrategy(),
    ("", "serviceaccounts"): ReturnsDeletedStrategy(),
    ("", "services"): ReturnsDeletedStrategy(),
    ("", "resourcequotas"): ReturnsDeletedStrategy(),
    ("apps", "deployments"): DeploymentStrategy(),
    ("apps", "replicasets"): WorkloadStrategy(),
    ("apps", "statefulsets"): StatefulSetStrategy(),
    ("apps", "daemonsets"): DaemonSetStrategy(),
    ("batch", "jobs"): JobStrategy(),
    ("batch", "cronjobs"): CronJobStrategy(),
    ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy(),
    ("storage.k8s.io", "storageclasses"): StorageClassStrategy(),
    (_ADMISSION, "validatingwebhookconfigurations"): WebhooksStrategy(),
    (_ADMISSION, "mutatingwebhookconfigurations"): WebhooksStrategy(),
    (_ADMISSION, "validatingadmissionpolicies"): PolicyStrategy(),
    (_ADMISSION, "validatingadmissionpolicybindings"): BindingStrategy(),
    **{
        (_RBAC, plural): FreeNameStrategy()
        for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
}


def strategy_for(resource: ResourceType) -> Strategy:
    return _STRATEGIES.get(resource.table, _DEFAULT)
