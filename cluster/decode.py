"""From the wire to values: storage, namespaces, limits, events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from cluster import wire
from cluster.base import Condition, OwnerReference, Ref, canonical
from cluster.kinds import Resource
from cluster.quantities import Quantity, amount, in_bytes
from cluster.values import (
    Claim,
    ClaimRef,
    Event,
    Limit,
    LimitRange,
    Namespace,
    Quota,
    Snapshot,
    SnapshotClass,
    SnapshotContent,
    StorageClass,
    Volume,
    VolumeAttachment,
)

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_SNAPSHOT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"
RESIZING = {"Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"}
IN_TREE = ("host_path", "nfs", "local")


def present(raw: msgspec.Raw) -> bool:
    """True unless the part is absent or null."""
    return bytes(raw) not in {b"", b"null"}


def raw_json(raw: msgspec.Raw) -> str:
    """Canonical JSON of a raw part; empty for an absent, null or empty one."""
    if not present(raw):
        return ""
    value = msgspec.json.decode(raw)
    return "" if value in (None, {}, []) else canonical(value)


def meta(item: wire.ObjectW, resource: Resource) -> dict[str, Any]:
    """The fields that every value has."""
    m = item.metadata
    return {
        "ref": Ref(resource.api_version, resource.kind, m.namespace or "", m.name, m.uid or ""),
        "resource_version": m.resource_version or "",
        "generation": m.generation or 0,
        "labels": m.labels or {},
        "annotations": m.annotations or {},
        "owner_references": tuple(
            OwnerReference(o.api_version, o.kind, o.name, o.uid, bool(o.controller))
            for o in m.owner_references or ()
        ),
        "finalizers": tuple(m.finalizers or ()),
        "created_at": m.creation_timestamp,
        "deleting_at": m.deletion_timestamp,
    }


def conditions(items: Iterable[wire.ConditionW] | None) -> tuple[Condition, ...]:
    return tuple(
        Condition(c.type, c.status, c.reason or "", c.message or "", c.last_transition_time)
        for c in items or ()
    )


def amounts(items: Mapping[str, Quantity] | None) -> dict[str, float]:
    return {name: float(amount(quantity)) for name, quantity in (items or {}).items()}


def claim(item: wire.ClaimW, resource: Resource) -> Claim:
    spec, status = item.spec, item.status
    source = spec.data_source_ref or spec.data_source
    found = conditions(status.conditions)
    resizing = any(c.type in RESIZING and c.status == "True" for c in found)
    return Claim(
        **meta(item, resource),
        phase=status.phase or "Pending",
        volume_name=spec.volume_name or "",
        storage_class=spec.storage_class_name,
        volume_mode=spec.volume_mode or "Filesystem",
        access_modes=tuple(spec.access_modes or ()),
        requested_bytes=in_bytes(((spec.resources and spec.resources.requests) or {}).get("storage")),
        capacity_bytes=in_bytes((status.capacity or {}).get("storage")),
        attributes_class=spec.volume_attributes_class_name or "",
        selector_json=raw_json(spec.selector),
        data_source_kind=(source.kind or "") if source else "",
        data_source_name=(source.name or "") if source else "",
        conditions=found,
        resizing=resizing or bool(status.allocated_resource_statuses),
    )


def volume(item: wire.VolumeW, resource: Resource) -> Volume:
    spec = msgspec.json.decode(item.spec, type=wire.VolumeSpecW)
    ref = spec.claim_ref
    in_tree = next((name for name in IN_TREE if present(getattr(spec, name))), "")
    return Volume(
        **meta(item, resource),
        phase=item.status.phase or "Pending",
        claim_ref=ClaimRef(ref.namespace or "", ref.name or "", ref.uid or "") if ref else None,
        reclaim_policy=spec.persistent_volume_reclaim_policy or "Retain",
        storage_class=spec.storage_class_name or "",
        volume_mode=spec.volume_mode or "Filesystem",
        access_modes=tuple(spec.access_modes or ()),
        capacity_bytes=in_bytes((spec.capacity or {}).get("storage")),
        attributes_class=spec.volume_attributes_class_name or "",
        driver=spec.csi.driver if spec.csi else in_tree.replace("host_path", "hostPath"),
        volume_handle=spec.csi.volume_handle if spec.csi else "",
        node_affinity_json=raw_json(spec.node_affinity),
        spec_json=raw_json(item.spec),
    )


def storage_class(item: wire.StorageClassW, resource: Resource) -> StorageClass:
    return StorageClass(
        **meta(item, resource),
        provisioner=item.provisioner,
        reclaim_policy=item.reclaim_policy or "Delete",
        binding_mode=item.volume_binding_mode or "Immediate",
        allows_expansion=bool(item.allow_volume_expansion),
        is_default=(item.metadata.annotations or {}).get(DEFAULT_CLASS) == "true",
        parameters=item.parameters or {},
    )


def attachment(item: wire.AttachmentW, resource: Resource) -> VolumeAttachment:
    return VolumeAttachment(
        **meta(item, resource),
        volume_name=item.spec.source.persistent_volume_name or "",
        node=item.spec.node_name,
        attacher=item.spec.attacher,
        attached=item.status.attached,
    )


def snapshot(item: wire.SnapshotW, resource: Resource) -> Snapshot:
    status = item.status or wire.SnapshotStatusW()
    return Snapshot(
        **meta(item, resource),
        claim_name=item.spec.source.persistent_volume_claim_name or "",
        content_name=status.bound_volume_snapshot_content_name or "",
        snapshot_class=item.spec.volume_snapshot_class_name or "",
        ready=bool(status.ready_to_use),
        restore_bytes=in_bytes(status.restore_size),
        taken_at=_time(status.creation_time),
        error=(status.error.message or "unknown error") if status.error else "",
    )


def _time(raw: msgspec.Raw) -> datetime | None:
    return msgspec.json.decode(raw, type=datetime) if present(raw) else None


def snapshot_content(item: wire.SnapshotContentW, resource: Resource) -> SnapshotContent:
    status = item.status or wire.SnapshotStatusW()
    ref, source = item.spec.volume_snapshot_ref, item.spec.source
    return SnapshotContent(
        **meta(item, resource),
        deletion_policy=item.spec.deletion_policy,
        driver=item.spec.driver,
        source_handle=source.volume_handle or "",
        snapshot_handle=status.snapshot_handle or source.snapshot_handle or "",
        snapshot_namespace=ref.namespace or "",
        snapshot_name=ref.name or "",
        snapshot_uid=ref.uid or "",
        source_volume_mode=item.spec.source_volume_mode or "",
        ready=bool(status.ready_to_use),
        restore_bytes=in_bytes(status.restore_size),
    )


def snapshot_class(item: wire.SnapshotClassW, resource: Resource) -> SnapshotClass:
    return SnapshotClass(
        **meta(item, resource),
        driver=item.driver,
        deletion_policy=item.deletion_policy,
        is_default=(item.metadata.annotations or {}).get(DEFAULT_SNAPSHOT_CLASS) == "true",
    )


def namespace(item: wire.NamespaceW, resource: Resource) -> Namespace:
    return Namespace(
        **meta(item, resource),
        phase=item.status.phase or "Active",
        conditions=conditions(item.status.conditions),
    )


def quota(item: wire.QuotaW, resource: Resource) -> Quota:
    return Quota(
        **meta(item, resource),
        hard=amounts(item.status.hard),
        used=amounts(item.status.used),
        scopes=tuple(item.spec.scopes or ()),
    )


def limit_range(item: wire.LimitRangeW, resource: Resource) -> LimitRange:
    limits = tuple(
        Limit(x.type, amounts(x.min), amounts(x.max), amounts(x.default), amounts(x.default_request))
        for x in item.spec.limits or ()
    )
    return LimitRange(**meta(item, resource), limits=limits)


def event(item: wire.EventW, resource: Resource) -> Event:
    about = item.involved_object
    first = item.first_timestamp or item.event_time or item.metadata.creation_timestamp
    return Event(
        **meta(item, resource),
        type=item.type or "Normal",
        reason=item.reason or "",
        message=item.message or "",
        involved=Ref(
            about.api_version or "",
            about.kind or "",
            about.namespace or "",
            about.name or "",
            about.uid or "",
        ),
        count=item.count or 1,
        first_at=first,
        last_at=item.last_timestamp or first,
        source=(item.source.component if item.source else None) or item.reporting_component or "",
    )
