"""Field managers: how kustomize-controller takes over what kubectl wrote."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.answers import Object

CONTROLLER = "kustomize-controller"
# (prefix of the manager's name, operation): their fields become the controller's, so that what Git does
# not declare goes away with the next apply.
TAKEN_OVER = (
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    (CONTROLLER, "Update"),
)
REMOVED_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
)
REMOVED_LABELS = ("fluxcd.io/sync-gc-mark",)


def cleanup_patch(existing: Object) -> list[Object]:
    """The JSON patch that cleans an object before it is applied; empty when there is nothing to clean."""
    metadata = existing["metadata"]
    patch: list[Object] = [
        {"op": "remove", "path": f"/metadata/{place}/{_escape(key)}"}
        for place, keys in (("annotations", REMOVED_ANNOTATIONS), ("labels", REMOVED_LABELS))
        for key in keys
        if key in (metadata.get(place) or {})
    ]
    entries = taken_over(metadata.get("managedFields") or [])
    if entries is not None:
        patch += [
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        ]
    return patch


def taken_over(entries: list[Object]) -> list[Object] | None:
    """managedFields with the entries of kubectl merged into the controller's; None when nothing changes."""
    own: Object | None = next((entry for entry in entries if _is_own(entry)), None)
    kept = [entry for entry in entries if entry is not own]
    matching = [entry for entry in kept if _is_taken(entry)]
    if not matching:
        return None
    merged = copy.deepcopy(own or {**matching[0], "manager": CONTROLLER, "operation": "Apply"})
    for entry in matching:
        _merge(merged.setdefault("fieldsV1", {}), entry.get("fieldsV1") or {})
    return [*(entry for entry in kept if not _is_taken(entry)), merged]


def _is_own(entry: Object) -> bool:
    return entry.get("manager") == CONTROLLER and entry.get("operation") == "Apply"


def _is_taken(entry: Object) -> bool:
    if entry.get("subresource"):
        return False
    manager, operation = str(entry.get("manager", "")), entry.get("operation")
    return any(manager.startswith(prefix) and operation == wanted for prefix, wanted in TAKEN_OVER)


def _merge(target: dict[str, Any], source: dict[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
