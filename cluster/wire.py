"""Kubernetes objects on the wire, as far as we read them. Go writes `null` for empty lists and maps: so everything may be None."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Raw, Struct, field

Quantity = str | int | float
# A part that is carried along as text: msgspec takes no `Raw | None`, so empty bytes stand for absent.
NOTHING = Raw()


class OwnerReferenceW(Struct, rename="camel", gc=False):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class MetaW(Struct, rename="camel"):
    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReferenceW] | None = None
    finalizers: list[str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class ConditionW(Struct, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class ObjectW(Struct, rename="camel", kw_only=True):
    metadata: MetaW = field(default_factory=MetaW)


class ListMetaW(Struct, rename="camel"):
    resource_version: str | None = None
    continue_: str | None = field(default=None, name="continue")


ItemW = TypeVar("ItemW", bound=ObjectW)


class ListW(Struct, Generic[ItemW]):
    metadata: ListMetaW = field(default_factory=ListMetaW)
    items: list[ItemW] | None = None


class ResourcesW(Struct):
    requests: dict[str, Quantity] | None = None


class LocalRefW(Struct, rename="camel"):
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    api_version: str | None = None
    api_group: str | None = None


# Storage -------------------------------------------------------------------------------------------------------------


class ClaimSpecW(Struct, rename="camel"):
    access_modes: list[str] | None = None
    resources: ResourcesW | None = None
    storage_class_name: str | None = None
    volume_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    selector: Raw = NOTHING
    data_source_ref: LocalRefW | None = None
    data_source: LocalRefW | None = None


class ClaimStatusW(Struct, rename="camel"):
    phase: str | None = None
    capacity: dict[str, Quantity] | None = None
    conditions: list[ConditionW] | None = None
    allocated_resource_statuses: dict[str, str] | None = None


class ClaimW(ObjectW, kw_only=True):
    spec: ClaimSpecW = field(default_factory=ClaimSpecW)
    status: ClaimStatusW = field(default_factory=ClaimStatusW)


class CSIW(Struct, rename="camel"):
    driver: str = ""
    volume_handle: str = ""


class VolumeSpecW(Struct, rename="camel"):
    capacity: dict[str, Quantity] | None = None
    access_modes: list[str] | None = None
    claim_ref: LocalRefW | None = None
    persistent_volume_reclaim_policy: str | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    node_affinity: Raw = NOTHING
    csi: CSIW | None = None
    host_path: Raw = NOTHING
    nfs: Raw = NOTHING
    local: Raw = NOTHING


class PhaseW(Struct, rename="camel"):
    phase: str | None = None
    conditions: list[ConditionW] | None = None


class VolumeW(ObjectW, kw_only=True):
    spec: Raw = field(default_factory=lambda: Raw(b"{}"))
    status: PhaseW = field(default_factory=PhaseW)


class StorageClassW(ObjectW, rename="camel", kw_only=True):
    provisioner: str = ""
    reclaim_policy: str | None = None
    volume_binding_mode: str | None = None
    allow_volume_expansion: bool | None = None
    parameters: dict[str, str] | None = None


class AttachmentSourceW(Struct, rename="camel"):
    persistent_volume_name: str | None = None


class AttachmentSpecW(Struct, rename="camel"):
    attacher: str = ""
    node_name: str = ""
    source: AttachmentSourceW = field(default_factory=AttachmentSourceW)


class AttachmentStatusW(Struct):
    attached: bool = False


class AttachmentW(ObjectW, kw_only=True):
    spec: AttachmentSpecW = field(default_factory=AttachmentSpecW)
    status: AttachmentStatusW = field(default_factory=AttachmentStatusW)


class SnapshotSourceW(Struct, rename="camel"):
    persistent_volume_claim_name: str | None = None
    volume_snapshot_content_name: str | None = None
    snapshot_handle: str | None = None
    volume_handle: str | None = None


class SnapshotSpecW(Struct, rename="camel"):
    source: SnapshotSourceW = field(default_factory=SnapshotSourceW)
    volume_snapshot_class_name: str | None = None


class SnapshotErrorW(Struct):
    message: str | None = None


class SnapshotStatusW(Struct, rename="camel"):
    bound_volume_snapshot_content_name: str | None = None
    creation_time: Raw = NOTHING  # a time in a snapshot, nanoseconds in a content
    ready_to_use: bool | None = None
    restore_size: Quantity | None = None
    snapshot_handle: str | None = None
    error: SnapshotErrorW | None = None


class SnapshotW(ObjectW, kw_only=True):
    spec: SnapshotSpecW = field(default_factory=SnapshotSpecW)
    status: SnapshotStatusW | None = None


class SnapshotContentSpecW(Struct, rename="camel"):
    deletion_policy: str = ""
    driver: str = ""
    source: SnapshotSourceW = field(default_factory=SnapshotSourceW)
    source_volume_mode: str | None = None
    volume_snapshot_ref: LocalRefW = field(default_factory=LocalRefW)


class SnapshotContentW(ObjectW, kw_only=True):
    spec: SnapshotContentSpecW = field(default_factory=SnapshotContentSpecW)
    status: SnapshotStatusW | None = None


class SnapshotClassW(ObjectW, rename="camel", kw_only=True):
    driver: str = ""
    deletion_policy: str = ""


# Namespaces, limits, events ------------------------------------------------------------------------------------------


class NamespaceW(ObjectW, kw_only=True):
    status: PhaseW = field(default_factory=PhaseW)


class QuotaSpecW(Struct):
    scopes: list[str] | None = None


class QuotaStatusW(Struct):
    hard: dict[str, Quantity] | None = None
    used: dict[str, Quantity] | None = None


class QuotaW(ObjectW, kw_only=True):
    spec: QuotaSpecW = field(default_factory=QuotaSpecW)
    status: QuotaStatusW = field(default_factory=QuotaStatusW)


class LimitW(Struct, rename="camel"):
    type: str = ""
    min: dict[str, Quantity] | None = None
    max: dict[str, Quantity] | None = None
    default: dict[str, Quantity] | None = None
    default_request: dict[str, Quantity] | None = None


class LimitRangeSpecW(Struct):
    limits: list[LimitW] | None = None


class LimitRangeW(ObjectW, kw_only=True):
    spec: LimitRangeSpecW = field(default_factory=LimitRangeSpecW)


class EventSourceW(Struct):
    component: str | None = None


class EventW(ObjectW, rename="camel", kw_only=True):
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    involved_object: LocalRefW = field(default_factory=LocalRefW)
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    source: EventSourceW | None = None
    reporting_component: str | None = None
