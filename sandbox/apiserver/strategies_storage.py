"""Claims, volumes and storage classes: defaults, and what may change."""

from __future__ import annotations

import json
from typing import Any

from sandbox.apiserver import quantity
from sandbox.apiserver.call import now
from sandbox.apiserver.errors import (
    Cause,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.strategy import SUBDOMAIN_WORDS, Strategy, is_subdomain

Json = dict[str, Any]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_CLAIM_IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
# Everything of a volume's spec that is not its source.
_VOLUME_FIELDS = frozenset(
    {
        "capacity",
        "accessModes",
        "claimRef",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "volumeMode",
        "nodeAffinity",
        "volumeAttributesClassName",
    }
)


def canonical_quantities(quantities: Any) -> None:
    """Writes quantities as the API server does; leaves what is not one for validation to refuse."""
    for name, value in (quantities or {}).items():
        try:
            quantities[name] = quantity.canonical(value)
        except ValueError:
            continue


def validate_quantities(quantities: Json, field: str) -> list[Cause]:
    causes = []
    for name, value in quantities.items():
        try:
            if quantity.parse(value) < 0:
                causes.append(
                    field_invalid(f"{field}[{name}]", str(value), "must be greater than or equal to 0")
                )
        except ValueError as error:
            causes.append(field_invalid(f"{field}[{name}]", str(value), str(error)))
    return causes


class ClaimStrategy(Strategy):
    """A claim's spec is fixed, except that a bound one may grow and that volumeName is set once."""

    returns_deleted = True

    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        spec.setdefault("volumeMode", "Filesystem")
        resources = spec.get("resources") or {}
        canonical_quantities(resources.get("requests"))
        canonical_quantities(resources.get("limits"))
        _mirror_data_source(spec)

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {"phase": "Pending"}

    def validate(self, item: Json) -> list[Cause]:
        return validate_claim_spec(item.get("spec") or {}, "spec")

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        after, before = dict(new.get("spec") or {}), dict(old.get("spec") or {})
        bound = (old.get("status") or {}).get("phase") == "Bound"
        grown = _storage(after), _storage(before)
        allowed = dict(before)
        if not before.get("volumeName"):
            allowed["volumeName"] = after.get("volumeName")
        if bound:
            allowed["resources"] = {
                **(before.get("resources") or {}),
                "requests": (after.get("resources") or {}).get("requests"),
            }
            allowed["volumeAttributesClassName"] = after.get("volumeAttributesClassName")
        if not before.get("storageClassName"):
            # The default class is filled in later, for claims that were made before there was one.
            allowed["storageClassName"] = after.get("storageClassName") or before.get("storageClassName")
        if _set(after) != _set(allowed):
            return [field_forbidden("spec", f"{_CLAIM_IMMUTABLE}\n{_difference(before, after)}")]
        return _shrunk(grown[0], grown[1], old)


def validate_claim_spec(spec: Json, field: str) -> list[Cause]:
    causes = []
    modes = spec.get("accessModes") or []
    if not modes:
        causes.append(field_required(f"{field}.accessModes", "at least 1 access mode is required"))
    causes += [
        field_not_supported(f"{field}.accessModes", mode, _ACCESS_MODES)
        for mode in modes
        if mode not in _ACCESS_MODES
    ]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        causes.append(
            field_forbidden(f"{field}.accessModes", "may not use ReadWriteOncePod with other access modes")
        )
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        causes.append(field_required(f"{field}.resources[storage]"))
    causes += validate_quantities(requests, f"{field}.resources.requests")
    if not causes and quantity.parse(requests["storage"]) <= 0:
        causes.append(
            field_invalid(
                f"{field}.resources.requests[storage]", requests["storage"], "must be greater than zero"
            )
        )
    name = spec.get("storageClassName")
    if name and not is_subdomain(name):
        causes.append(field_invalid(f"{field}.storageClassName", name, SUBDOMAIN_WORDS))
    if spec.get("volumeMode") not in (None, *_VOLUME_MODES):
        causes.append(field_not_supported(f"{field}.volumeMode", spec["volumeMode"], _VOLUME_MODES))
    for source in ("dataSource", "dataSourceRef"):
        if given := spec.get(source):
            causes += [
                field_required(f"{field}.{source}.{key}") for key in ("kind", "name") if not given.get(key)
            ]
            if not given.get("apiGroup") and given.get("kind") != "PersistentVolumeClaim":
                causes.append(field_invalid(f"{field}.{source}", given.get("kind"), "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))  # fmt: skip
    return causes


def _mirror_data_source(spec: Json) -> None:
    """dataSource and dataSourceRef say the same unless the latter names a namespace."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
        return
    if not reference or source or reference.get("namespace"):
        return
    if reference.get("kind") in ("PersistentVolumeClaim", "VolumeSnapshot"):
        spec["dataSource"] = dict(reference)


def _storage(spec: Json) -> str:
    return str(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _set(spec: Json) -> Json:
    return {key: value for key, value in spec.items() if value not in (None, "", {}, [])}


def _difference(before: Json, after: Json) -> str:
    lines = []
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            lines.append(f"- {key}: {json.dumps(before.get(key))}")
            lines.append(f"+ {key}: {json.dumps(after.get(key))}")
    return "\n".join(lines) + "\n"


def _shrunk(after: str, before: str, old: Json) -> list[Cause]:
    try:
        wanted, had = quantity.parse(after), quantity.parse(before)
        capacity = quantity.parse(((old.get("status") or {}).get("capacity") or {}).get("storage", "0"))
    except ValueError:
        return []
    if wanted >= had:
        return []
    if capacity == 0:
        return [
            field_forbidden("spec.resources.requests.storage", "field can not be less than previous value")
        ]
    if wanted <= capacity:
        return [
            field_forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
        ]
    return []


class VolumeStrategy(Strategy):
    """A volume's source is fixed; its claimRef and reclaim policy may change."""

    returns_deleted = True

    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        spec.setdefault("volumeMode", "Filesystem")
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        canonical_quantities(spec.get("capacity"))
        reference = spec.get("claimRef")
        if isinstance(reference, dict):
            reference.setdefault("kind", "PersistentVolumeClaim")
            reference.setdefault("apiVersion", "v1")

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {"phase": "Pending", "lastPhaseTransitionTime": now()}

    def prepare_status(self, new: Json, old: Json) -> Json:
        changed = super().prepare_status(new, old)
        status, before = changed.get("status") or {}, old.get("status") or {}
        if status.get("phase") != before.get("phase"):
            changed["status"] = {**status, "lastPhaseTransitionTime": now()}
        return changed

    def validate(self, item: Json) -> list[Cause]:
        spec = item.get("spec") or {}
        causes = []
        if not spec.get("accessModes"):
            causes.append(field_required("spec.accessModes"))
        if not spec.get("capacity"):
            causes.append(field_required("spec.capacity"))
        elif "storage" not in spec["capacity"]:
            causes.append(field_not_supported("spec.capacity", spec["capacity"], ["storage"]))
        causes += validate_quantities(spec.get("capacity") or {}, "spec.capacity")
        sources = _sources(spec)
        if not sources:
            causes.append(field_required("spec", "must specify a volume type"))
        if len(sources) > 1:
            causes.append(
                field_forbidden(f"spec.{sorted(sources)[1]}", "may not specify more than 1 volume type")
            )
        policy = spec.get("persistentVolumeReclaimPolicy")
        if policy not in ("Delete", "Recycle", "Retain"):
            causes.append(
                field_not_supported(
                    "spec.persistentVolumeReclaimPolicy", policy, ["Delete", "Recycle", "Retain"]
                )
            )
        reference = spec.get("claimRef")
        if reference:
            causes += [
                field_required(f"spec.claimRef.{key}")
                for key in ("name", "namespace")
                if not reference.get(key)
            ]
        return causes

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        after, before = new.get("spec") or {}, old.get("spec") or {}
        causes = []
        if _sources(after) != _sources(before):
            why = f"spec.persistentvolumesource is immutable after creation\n{_difference(_sources(before), _sources(after))}"
            causes.append(field_forbidden("spec.persistentvolumesource", why))
        if after.get("volumeMode") != before.get("volumeMode"):
            causes.append(field_invalid("spec.volumeMode", after.get("volumeMode"), "field is immutable"))
        if before.get("nodeAffinity") and after.get("nodeAffinity") != before["nodeAffinity"]:
            causes.append(field_invalid("spec.nodeAffinity", after.get("nodeAffinity"), "field is immutable"))
        return causes


def _sources(spec: Json) -> Json:
    return {key: value for key, value in spec.items() if key not in _VOLUME_FIELDS and value is not None}


class StorageClassStrategy(Strategy):
    """A class is fixed but for metadata and allowVolumeExpansion."""

    def default(self, item: Json) -> None:
        item.setdefault("reclaimPolicy", "Delete")
        item.setdefault("volumeBindingMode", "Immediate")

    def validate(self, item: Json) -> list[Cause]:
        return [] if item.get("provisioner") else [field_required("provisioner")]

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        why = "updates to {} are forbidden."
        return [
            field_forbidden(field, why.format(field))
            for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
            if (new.get(field) or None) != (old.get(field) or None)
        ]
