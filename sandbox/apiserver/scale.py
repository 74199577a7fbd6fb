"""The scale subresource: replicas of a workload as an autoscaling/v1 Scale."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver.errors import field_invalid, invalid
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]


def scale_of(item: Json, resource: ResourceType) -> Json:
    metadata = item["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    paths = resource.scale_paths or {}
    spec, status = item.get("spec") or {}, item.get("status") or {}
    replicas = _at(item, paths.get("specReplicasPath", ".spec.replicas"))
    current = _at(item, paths.get("statusReplicasPath", ".status.replicas"))
    selector = spec.get("selector") if not paths else _at(item, paths.get("labelSelectorPath", ""))
    scale_status: Json = {"replicas": current or 0}
    if text := selector if isinstance(selector, str) else _selector_text(selector or status.get("selector")):
        scale_status["selector"] = text
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": replicas} if replicas is not None else {},
        "status": scale_status,
    }


def _at(item: Json, path: str) -> Any:
    value: Any = item
    for part in path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _selector_text(selector: Any) -> str:
    if not isinstance(selector, dict):
        return ""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    return ",".join(terms)


def set_scale(item: Json, scale: Json, resource: ResourceType) -> Json:
    """The object with the replicas of a Scale. The Scale's resourceVersion is the precondition."""
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if not isinstance(replicas, int) or replicas < 0:
        name = item["metadata"]["name"]
        why = "must be greater than or equal to 0"
        raise invalid("autoscaling", "Scale", name, [field_invalid("spec.replicas", replicas, why)])
    path = (resource.scale_paths or {}).get("specReplicasPath", ".spec.replicas").strip(".").split(".")
    node = item
    for part in path[:-1]:
        node = node.setdefault(part, {})
    node[path[-1]] = replicas
    metadata = scale.get("metadata") or {}
    for key in ("resourceVersion", "uid"):
        if metadata.get(key):
            item["metadata"][key] = metadata[key]
    return item
