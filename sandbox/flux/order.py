"""In which order Flux applies and deletes."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.answers import Object
from sandbox.flux.inventory import Reference

_FIRST = (
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def rank(kind: str, namespace: str, name: str) -> tuple[int, str, str, str]:
    """What to sort by: the kind's place, then kind, namespace, name."""
    if kind in _FIRST:
        place = _FIRST.index(kind) - len(_FIRST)
    else:
        place = _LAST.index(kind) + 1 if kind in _LAST else 0
    return place, kind, namespace, name


def _rank_of(item: Object) -> tuple[int, str, str, str]:
    return rank(item["kind"], item["metadata"].get("namespace") or "", item["metadata"]["name"])


def stages_of(objects: Iterable[Object]) -> list[list[Object]]:
    """Definitions and namespaces, then classes, then everything else; each sorted; empty stages left out."""
    stages: tuple[list[Object], ...] = ([], [], [])
    for item in sorted(objects, key=_rank_of):
        if item["kind"] in ("CustomResourceDefinition", "Namespace"):
            stages[0].append(item)
        else:
            stages[1 if item["kind"].endswith("Class") else 2].append(item)
    return [stage for stage in stages if stage]


def deletion_order(references: Iterable[Reference]) -> list[Reference]:
    """The reverse of the order of applying."""
    return sorted(references, key=lambda one: rank(one.kind, one.namespace, one.name), reverse=True)
