"""How lists merge: by keys, as a set, or as one value. Built-in kinds by field name, custom ones by schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]

# patchMergeKey of the built-in types. A field has the same key wherever it occurs, except ports.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "ownerReferences": "uid",
    "conditions": "type",
    "secrets": "name",
    "webhooks": "name",
    "addresses": "type",
    "taints": "key",
    "resourceClaims": "name",
    "podIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "schedulingGates": "name",
    "matchConditions": "name",
}
_PRIMITIVE_MERGE = frozenset({"finalizers"})
_ATOMIC_IN_APPLY = frozenset({"taints"})
_METADATA_LISTS = ("ownerReferences", "finalizers")


def merge_key(field: str, items: Sequence[Any]) -> str:
    """The key by which a strategic merge patch matches the items of a field; empty when it replaces the list."""
    if field == "ports":
        fields = {key for item in items if isinstance(item, dict) for key in item}
        return "containerPort" if "containerPort" in fields else "port"
    return _MERGE_KEYS.get(field, "")


def merges_primitives(field: str) -> bool:
    return field in _PRIMITIVE_MERGE


class ListTypes:
    """Says for a path of field names how server-side apply treats the list there."""

    def __init__(self, resource: ResourceType) -> None:
        self._schema = resource.schema
        self._custom = resource.custom

    def keys(self, path: tuple[str, ...], items: Sequence[Any]) -> tuple[str, ...] | None:
        """The merge keys of a list of objects; () for a set; None for a list that is one value."""
        field = path[-1]
        if path[0] == "metadata" and field not in _METADATA_LISTS:
            return None
        if self._custom and path[0] != "metadata":
            return self._by_schema(path)
        if field in _PRIMITIVE_MERGE:
            return ()
        if field == "ports":
            return (merge_key(field, items), "protocol")
        if field == "topologySpreadConstraints":
            return ("topologyKey", "whenUnsatisfiable")
        key = _MERGE_KEYS.get(field)
        return (key,) if key and field not in _ATOMIC_IN_APPLY else None

    def _by_schema(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        node: Any = self._schema
        for field in path:
            if not isinstance(node, dict):
                return None
            while node.get("type") == "array":
                node = node.get("items") or {}
            properties = node.get("properties") or {}
            node = properties.get(field, node.get("additionalProperties"))
        if not isinstance(node, dict):
            return None
        match node.get("x-kubernetes-list-type"):
            case "map":
                return tuple(node.get("x-kubernetes-list-map-keys") or ())
            case "set":
                return ()
        return None
