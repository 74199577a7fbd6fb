"""What the cluster's administrator installed: CSI drivers, storage classes, snapshot classes and their CRDs."""

from __future__ import annotations

from sandbox.answers import ApiError
from sandbox.controllers.core import Context
from sandbox.controllers.objects import Object
from sandbox.controllers.storage.names import CEPHFS, LOCAL, RBD
from sandbox.kinds import (
    CSI_DRIVERS,
    CUSTOM_RESOURCE_DEFINITIONS,
    STORAGE_CLASSES,
    VOLUME_SNAPSHOT_CLASSES,
    Resource,
)

_GROUP = "snapshot.storage.k8s.io"


def install_storage(context: Context) -> None:
    """Creates what is missing; what an administrator changed or a test replaced is left alone."""
    for crd in _snapshot_crds():
        _ensure(context, CUSTOM_RESOURCE_DEFINITIONS, crd)
    for driver in _drivers():
        _ensure(context, CSI_DRIVERS, driver)
    for storage_class in _classes():
        _ensure(context, STORAGE_CLASSES, storage_class)
    for snapshot_class in _snapshot_classes():
        _ensure(context, VOLUME_SNAPSHOT_CLASSES, snapshot_class)


def _ensure(context: Context, resource: Resource, body: Object) -> None:
    if context.client.find(resource, body["metadata"]["name"]) is not None:
        return
    try:
        context.client.create(resource, body)
    except ApiError as error:
        if not error.already_exists:
            raise


def _drivers() -> list[Object]:
    return [
        {
            "metadata": {"name": name},
            "spec": {
                "attachRequired": name != LOCAL,
                "podInfoOnMount": False,
                "fsGroupPolicy": "File",
                "storageCapacity": name == LOCAL,
                "volumeLifecycleModes": ["Persistent"],
            },
        }
        for name in (RBD, CEPHFS, LOCAL)
    ]


def _class(name: str, driver: str, parameters: dict[str, str], **changes: object) -> Object:
    return {
        "metadata": {
            "name": name,
            **({"annotations": changes.pop("annotations")} if "annotations" in changes else {}),
        },
        "provisioner": driver,
        "parameters": parameters,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
        **changes,
    }


def _classes() -> list[Object]:
    block = {"clusterID": "rook-ceph", "pool": "replicapool", "csi.storage.k8s.io/fstype": "ext4"}
    files = {"clusterID": "rook-ceph", "fsName": "ceph-filesystem", "pool": "ceph-filesystem-data0"}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        _class("ceph-block", RBD, block, annotations=default),
        _class("ceph-block-retain", RBD, block, reclaimPolicy="Retain"),
        _class("cephfs", CEPHFS, files),
        _class(
            "local-ssd",
            LOCAL,
            {"topolvm.io/device-class": "ssd"},
            volumeBindingMode="WaitForFirstConsumer",
            allowVolumeExpansion=False,
        ),
    ]


def _snapshot_classes() -> list[Object]:
    return [
        {
            "metadata": {"name": name},
            "driver": driver,
            "deletionPolicy": "Delete",
            "parameters": {"clusterID": "rook-ceph"},
        }
        for name, driver in (("csi-rbdplugin-snapclass", RBD), ("csi-cephfsplugin-snapclass", CEPHFS))
    ]


def _snapshot_crds() -> list[Object]:
    ready = ("ReadyToUse", "boolean", ".status.readyToUse")
    age = ("Age", "date", ".metadata.creationTimestamp")
    return [
        _crd(
            "VolumeSnapshot",
            "vs",
            "Namespaced",
            [
                ready,
                ("SourcePVC", "string", ".spec.source.persistentVolumeClaimName"),
                ("SourceSnapshotContent", "string", ".spec.source.volumeSnapshotContentName"),
                ("RestoreSize", "string", ".status.restoreSize"),
                ("SnapshotClass", "string", ".spec.volumeSnapshotClassName"),
                ("SnapshotContent", "string", ".status.boundVolumeSnapshotContentName"),
                age,
            ],
        ),
        _crd(
            "VolumeSnapshotContent",
            "vsc",
            "Cluster",
            [
                ready,
                ("RestoreSize", "integer", ".status.restoreSize"),
                ("DeletionPolicy", "string", ".spec.deletionPolicy"),
                ("Driver", "string", ".spec.driver"),
                ("VolumeSnapshotClass", "string", ".spec.volumeSnapshotClassName"),
                ("VolumeSnapshot", "string", ".spec.volumeSnapshotRef.name"),
                age,
            ],
        ),
        _crd(
            "VolumeSnapshotClass",
            "vsclass",
            "Cluster",
            [("Driver", "string", ".driver"), ("DeletionPolicy", "string", ".deletionPolicy"), age],
            status=False,
        ),
    ]


def _crd(
    kind: str, short: str, scope: str, columns: list[tuple[str, str, str]], *, status: bool = True
) -> Object:
    plural = "volumesnapshotclasses" if kind.endswith("Class") else f"{kind.lower()}s"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "additionalPrinterColumns": [
            {"name": name, "type": type_name, "jsonPath": path} for name, type_name, path in columns
        ],
    }
    if status:
        version["subresources"] = {"status": {}}
    return {
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
            },
            "scope": scope,
            "versions": [version],
        },
    }
