"""Field specs: a kind and a path such as spec/template/metadata/labels or spec/containers[]/image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.flux.kustomize.resource import Resource


@dataclass(frozen=True)
class FieldSpec:
    """`create` makes the maps on the way. An empty kind or group means any."""

    path: str
    kind: str = ""
    group: str = ""
    create: bool = False

    @classmethod
    def of(cls, entry: dict[str, Any]) -> FieldSpec:
        """From a transformer's fieldSpecs entry."""
        return cls(
            str(entry["path"]), entry.get("kind") or "", entry.get("group") or "", bool(entry.get("create"))
        )

    def covers(self, resource: Resource) -> bool:
        """Whether it is about this resource."""
        return (not self.kind or self.kind == resource.kind) and (
            not self.group or self.group == resource.group
        )


def parts_of(path: str) -> list[str]:
    """The parts of a path; a slash within a part is written \\/."""
    marked = path.replace("\\/", "\0")
    return [part.replace("\0", "/") for part in marked.split("/") if part]


def apply(resource: Resource, specs: Iterable[FieldSpec], change: Callable[[Any], Any]) -> None:
    """Replaces the value at each path by change(value); value is None where a path was created."""
    for spec in specs:
        if spec.covers(resource):
            _walk(resource.body, parts_of(spec.path), spec.create, change)


def _walk(value: Any, parts: list[str], create: bool, change: Callable[[Any], Any]) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(item, parts, create, change)
        return
    if not isinstance(value, dict):
        return
    part = parts[0]
    if part == "*":
        for key in list(value):
            _walk(value, [key, *parts[1:]], create, change)
        return
    is_list = part.endswith("[]")
    key = part.removesuffix("[]")
    if len(parts) == 1:
        if key in value or (create and not is_list):
            value[key] = [change(one) for one in value[key]] if is_list else change(value.get(key))
        return
    if value.get(key) is None:
        if not create or is_list:
            return
        value[key] = {}
    _walk(value[key], parts[1:], create, change)


def add_pairs(resource: Resource, specs: Iterable[FieldSpec], pairs: dict[str, Any]) -> None:
    """Adds key-value pairs to the maps at the paths."""
    apply(resource, specs, lambda value: {**(value or {}), **pairs})


_TEMPLATED = (
    ("", "ReplicationController"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "DaemonSet"),
    ("apps", "StatefulSet"),
    ("batch", "Job"),
)
METADATA_LABELS = (FieldSpec("metadata/labels", create=True),)
METADATA_ANNOTATIONS = (FieldSpec("metadata/annotations", create=True),)
TEMPLATE_LABELS = (
    *(FieldSpec("spec/template/metadata/labels", kind, "", create=True) for _, kind in _TEMPLATED),
    FieldSpec("spec/volumeClaimTemplates[]/metadata/labels", "StatefulSet", "apps", create=True),
    FieldSpec("spec/jobTemplate/metadata/labels", "CronJob", "batch", create=True),
    FieldSpec("spec/jobTemplate/spec/template/metadata/labels", "CronJob", "batch", create=True),
)
SELECTORS = (
    FieldSpec("spec/selector", "Service", create=True),
    FieldSpec("spec/selector", "ReplicationController", create=True),
    FieldSpec("spec/selector/matchLabels", "Deployment", create=True),
    FieldSpec("spec/selector/matchLabels", "ReplicaSet", create=True),
    FieldSpec("spec/selector/matchLabels", "DaemonSet", create=True),
    FieldSpec("spec/selector/matchLabels", "StatefulSet", create=True),
    FieldSpec("spec/selector/matchLabels", "Job"),
    FieldSpec("spec/jobTemplate/spec/selector/matchLabels", "CronJob"),
    FieldSpec("spec/selector/matchLabels", "PodDisruptionBudget"),
    FieldSpec("spec/podSelector/matchLabels", "NetworkPolicy"),
)
ANNOTATIONS = (
    *METADATA_ANNOTATIONS,
    *(FieldSpec("spec/template/metadata/annotations", kind, "", create=True) for _, kind in _TEMPLATED),
    FieldSpec("spec/jobTemplate/metadata/annotations", "CronJob", "batch", create=True),
    FieldSpec("spec/jobTemplate/spec/template/metadata/annotations", "CronJob", "batch", create=True),
)
REPLICAS = tuple(
    FieldSpec("spec/replicas", kind, create=True)
    for kind in ("Deployment", "ReplicationController", "ReplicaSet", "StatefulSet")
)
