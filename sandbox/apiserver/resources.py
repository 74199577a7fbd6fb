"""Which resources the server has: the built-in table and what CustomResourceDefinitions add."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class ResourceType:
    """One resource in one served version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    generation: bool = False
    custom: bool = False
    list_kind: str = ""
    storage_version: str = ""
    schema: Json | None = field(default=None, compare=False, hash=False)
    columns: tuple[Any, ...] = field(default=(), compare=False, hash=False)
    scale_paths: Json | None = field(default=None, compare=False, hash=False)
    selectable: tuple[str, ...] = ()

    @property
    def table(self) -> tuple[str, str]:
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        version = self.storage_version or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _make(group: str, version: str, rows: Iterable[tuple[Any, ...]]) -> list[ResourceType]:
    found = []
    for plural, kind, namespaced, short, categories, subresources, generation in rows:
        found.append(
            ResourceType(
                group,
                version,
                plural,
                kind,
                namespaced,
                kind.lower(),
                tuple(short.split()),
                tuple(categories.split()),
                subresources=tuple(subresources.split()),
                generation=generation,
                list_kind=f"{kind}List",
            )
        )
    return found


# plural, kind, namespaced, short names, categories, subresources, has a generation
_CORE = (
    ("namespaces", "Namespace", False, "ns", "", "status finalize", False),
    ("nodes", "Node", False, "no", "", "status", False),
    ("persistentvolumes", "PersistentVolume", False, "pv", "", "status", False),
    ("persistentvolumeclaims", "PersistentVolumeClaim", True, "pvc", "", "status", False),
    ("pods", "Pod", True, "po", "all", "status log binding eviction ephemeralcontainers", True),
    ("configmaps", "ConfigMap", True, "cm", "", "", False),
    ("secrets", "Secret", True, "", "", "", False),
    ("serviceaccounts", "ServiceAccount", True, "sa", "", "token", False),
    ("services", "Service", True, "svc", "all", "status", False),
    ("endpoints", "Endpoints", True, "ep", "", "", False),
    ("events", "Event", True, "ev", "", "", False),
    ("resourcequotas", "ResourceQuota", True, "quota", "", "status", False),
    ("limitranges", "LimitRange", True, "limits", "", "", False),
)
_APPS = (
    ("deployments", "Deployment", True, "deploy", "all", "status scale", True),
    ("statefulsets", "StatefulSet", True, "sts", "all", "status scale", True),
    ("daemonsets", "DaemonSet", True, "ds", "all", "status", True),
    ("replicasets", "ReplicaSet", True, "rs", "all", "status scale", True),
    ("controllerrevisions", "ControllerRevision", True, "", "", "", False),
)
_BATCH = (
    ("jobs", "Job", True, "", "all", "status", True),
    ("cronjobs", "CronJob", True, "cj", "all", "status", True),
)
_STORAGE = (
    ("storageclasses", "StorageClass", False, "sc", "", "", False),
    ("volumeattachments", "VolumeAttachment", False, "", "", "status", False),
    ("csidrivers", "CSIDriver", False, "", "", "", False),
    ("csinodes", "CSINode", False, "", "", "", False),
    ("csistoragecapacities", "CSIStorageCapacity", True, "", "", "", False),
)
_RBAC = (
    ("roles", "Role", True, "", "", "", False),
    ("rolebindings", "RoleBinding", True, "", "", "", False),
    ("clusterroles", "ClusterRole", False, "", "", "", False),
    ("clusterrolebindings", "ClusterRoleBinding", False, "", "", "", False),
)
_ADMISSION = (
    ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False, "", "api-extensions", "", True),
    ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False, "", "api-extensions", "", True),
    ("validatingadmissionpolicies", "ValidatingAdmissionPolicy", False, "", "api-extensions", "status", True),
    ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False, "", "api-extensions", "", True),
)  # fmt: skip
_NETWORKING = (
    ("ingresses", "Ingress", True, "ing", "", "status", True),
    ("networkpolicies", "NetworkPolicy", True, "netpol", "", "", True),
)

BUILT_IN: tuple[ResourceType, ...] = (
    *_make("", "v1", _CORE),
    *_make("apps", "v1", _APPS),
    *_make("batch", "v1", _BATCH),
    *_make("autoscaling", "v2", [("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa", "all", "status", False)]),
    *_make("policy", "v1", [("poddisruptionbudgets", "PodDisruptionBudget", True, "pdb", "", "status", True)]),
    *_make("networking.k8s.io", "v1", _NETWORKING),
    *_make("storage.k8s.io", "v1", _STORAGE),
    *_make("coordination.k8s.io", "v1", [("leases", "Lease", True, "", "", "", False)]),
    *_make("scheduling.k8s.io", "v1", [("priorityclasses", "PriorityClass", False, "pc", "", "", True)]),
    *_make("rbac.authorization.k8s.io", "v1", _RBAC),
    *_make("admissionregistration.k8s.io", "v1", _ADMISSION),
    *_make("apiextensions.k8s.io", "v1", [("customresourcedefinitions", "CustomResourceDefinition", False, "crd crds", "api-extensions", "status", True)]),
)  # fmt: skip

REVIEWS: tuple[ResourceType, ...] = tuple(
    ResourceType(group, "v1", plural, kind, namespaced, kind.lower(), verbs=("create",))
    for group, plural, kind, namespaced in (
        ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
        ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", False),
        ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
        ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", False),
        ("authentication.k8s.io", "tokenreviews", "TokenReview", False),
    )
)


def of_crd(crd: Json) -> list[ResourceType]:
    """The resource types that an accepted CustomResourceDefinition serves, one a version."""
    spec = crd["spec"]
    names = spec["names"]
    storage = next((entry["name"] for entry in spec["versions"] if entry.get("storage")), "")
    found = []
    for entry in spec["versions"]:
        if not entry.get("served", True):
            continue
        subresources = entry.get("subresources") or {}
        found.append(
            ResourceType(
                spec["group"],
                entry["name"],
                names["plural"],
                names["kind"],
                spec.get("scope") == "Namespaced",
                names.get("singular") or names["kind"].lower(),
                tuple(names.get("shortNames") or ()),
                tuple(names.get("categories") or ()),
                subresources=tuple(sorted(set(subresources) & {"status", "scale"})),
                generation=True,
                custom=True,
                list_kind=names.get("listKind") or f"{names['kind']}List",
                storage_version=storage,
                schema=(entry.get("schema") or {}).get("openAPIV3Schema"),
                columns=tuple(entry.get("additionalPrinterColumns") or ()),
                scale_paths=subresources.get("scale"),
                selectable=tuple(one["jsonPath"] for one in entry.get("selectableFields") or ()),
            )
        )
    return found


class Registry:
    """Finds a resource type by group, version and plural."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str, str], ResourceType] = {}
        self._by_crd: dict[str, list[ResourceType]] = {}
        self.revision = 0
        for entry in (*BUILT_IN, *REVIEWS):
            self._types[entry.group, entry.version, entry.plural] = entry

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        return self._types.get((group, version, plural))

    def all(self) -> list[ResourceType]:
        return list(self._types.values())

    def of_kind(self, api_version: str, kind: str) -> ResourceType | None:
        for entry in self._types.values():
            if entry.api_version == api_version and entry.kind == kind:
                return entry
        return None

    def groups(self) -> dict[str, list[str]]:
        """group -> versions, the preferred one first."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._types:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return {group: sorted(versions, key=version_order) for group, versions in found.items()}

    def set_crd(self, name: str, types: list[ResourceType]) -> None:
        self.drop_crd(name)
        self._by_crd[name] = types
        for entry in types:
            self._types[entry.group, entry.version, entry.plural] = entry
        self.revision += 1

    def drop_crd(self, name: str) -> None:
        for entry in self._by_crd.pop(name, []):
            self._types.pop((entry.group, entry.version, entry.plural), None)
        self.revision += 1


def version_order(version: str) -> tuple[int, int, int]:
    """Sorts v2 before v1 before v1beta2 before v1alpha1, as the API does."""
    digits = version.lstrip("v")
    for rank, word in enumerate(("beta", "alpha"), 1):
        if word in digits:
            major, _, minor = digits.partition(word)
            return rank, -int(major or 0), -int(minor or 0)
    return (0, -int(digits), 0) if digits.isdigit() else (3, 0, 0)
