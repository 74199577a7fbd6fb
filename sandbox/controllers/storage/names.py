"""The annotations, finalizers and drivers of storage, and small questions about claims and volumes."""

from __future__ import annotations

from sandbox.controllers.core import Cache
from sandbox.controllers.objects import (
    Object,
    annotations_of,
    name_of,
    namespace_of,
    quantity,
    selector_matches,
    spec_of,
    uid_of,
)

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
STORAGE_PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

PVC_PROTECTION = "kubernetes.io/pvc-protection"
PV_PROTECTION = "kubernetes.io/pv-protection"
PROVISIONER_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
SNAPSHOT_SOURCE_FINALIZER = "snapshot.storage.kubernetes.io/pvc-as-source-protection"

RBD = "rook-ceph.rbd.csi.ceph.com"
CEPHFS = "rook-ceph.cephfs.csi.ceph.com"
LOCAL = "topolvm.io"


def class_of(item: Object) -> str:
    return str(spec_of(item).get("storageClassName") or "")


def mode_of(item: Object) -> str:
    return str(spec_of(item).get("volumeMode") or "Filesystem")


def modes_of(item: Object) -> list[str]:
    return spec_of(item).get("accessModes") or []


def requested_bytes(claim: Object) -> int:
    requests = (spec_of(claim).get("resources") or {}).get("requests") or {}
    return int(quantity(requests.get("storage")))


def capacity_bytes(volume: Object) -> int:
    return int(quantity((spec_of(volume).get("capacity") or {}).get("storage")))


def claim_reference(volume: Object) -> Object | None:
    return spec_of(volume).get("claimRef") or None


def is_volume_bound_to(volume: Object, claim: Object) -> bool:
    """The volume names this claim: with its uid, or reserved for its name without one."""
    reference = claim_reference(volume)
    if not reference:
        return False
    if (reference.get("namespace"), reference.get("name")) != (namespace_of(claim), name_of(claim)):
        return False
    return not reference.get("uid") or reference["uid"] == uid_of(claim)


def driver_of(volume: Object) -> str:
    return str((spec_of(volume).get("csi") or {}).get("driver") or "")


def is_delayed(claim: Object, classes: Cache) -> bool:
    """The class waits for a first consumer, and none was scheduled yet."""
    if annotations_of(claim).get(SELECTED_NODE):
        return False
    found = classes.get(class_of(claim))
    return bool(found and found.get("volumeBindingMode") == "WaitForFirstConsumer")


def mismatch_of(volume: Object, claim: Object) -> str:
    """Why a volume that the claim names does not satisfy it; empty when it does (checkVolumeSatisfyClaim)."""
    if requested_bytes(claim) > capacity_bytes(volume):
        return "requested PV is too small"
    if class_of(claim) != class_of(volume):
        return "storageClassName does not match"
    if mode_of(claim) != mode_of(volume):
        return "incompatible volumeMode"
    if not set(modes_of(claim)) <= set(modes_of(volume)):
        return "incompatible accessMode"
    return ""


def find_match(volumes: list[Object], claim: Object, delayed: bool) -> Object | None:
    """The volume reserved for the claim if its size and modes fit, else the smallest available one that does.

    As FindMatchingVolume: for a reserved volume class, selector and phase are not asked.
    """
    best: Object | None = None
    for volume in volumes:
        if not _could_hold(volume, claim):
            continue
        if is_volume_bound_to(volume, claim):
            return volume
        if delayed or not _is_offered(volume, claim):
            continue
        if best is None or capacity_bytes(volume) < capacity_bytes(best):
            best = volume
    return best


def _could_hold(volume: Object, claim: Object) -> bool:
    if claim_reference(volume) and not is_volume_bound_to(volume, claim):
        return False
    if volume["metadata"].get("deletionTimestamp"):
        return False
    wanted_class = spec_of(claim).get("volumeAttributesClassName") or ""
    return (
        capacity_bytes(volume) >= requested_bytes(claim)
        and mode_of(volume) == mode_of(claim)
        and set(modes_of(claim)) <= set(modes_of(volume))
        and wanted_class == (spec_of(volume).get("volumeAttributesClassName") or "")
    )


def _is_offered(volume: Object, claim: Object) -> bool:
    if (volume.get("status") or {}).get("phase") != "Available":
        return False
    selector = spec_of(claim).get("selector")
    if selector is not None and not selector_matches(selector, volume["metadata"].get("labels") or {}):
        return False
    return class_of(volume) == class_of(claim)
