"""The external provisioners: create volumes (empty, cloned, restored) and delete the released ones."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    annotations_of,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    phase_of,
    quantity,
    spec_of,
    status_of,
    uid_of,
    with_finalizer,
    without_finalizer,
)
from sandbox.controllers.storage.binder import is_provisionable
from sandbox.controllers.storage.files import CopyFailed, copy_tree, remove_tree
from sandbox.controllers.storage.names import (
    LOCAL,
    PROVISIONED_BY,
    PROVISIONER_FINALIZER,
    PV_PROTECTION,
    RBD,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    capacity_bytes,
    class_of,
    driver_of,
    mode_of,
    modes_of,
    requested_bytes,
)
from sandbox.kinds import (
    CSI_DRIVERS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
)

log = logging.getLogger(__name__)

SNAPSHOT_GROUP = "snapshot.storage.k8s.io"
_HANDLE = "0001-0009-rook-ceph-"


class Refused(Exception):
    """The claim cannot be provisioned as it stands; the text goes into its events."""


def volume_directory(data: Path, volume: Object) -> Path:
    """Where a volume's files are: by its name, or by its handle when the object was made anew under another name."""
    directory = data / "volumes" / name_of(volume)
    handle = str((spec_of(volume).get("csi") or {}).get("volumeHandle") or "")
    if directory.is_dir() or not handle.startswith(_HANDLE) or "/" in handle:
        return directory
    original = data / "volumes" / f"pvc-{handle.removeprefix(_HANDLE)}"
    return original if original.is_dir() else directory


class Provisioner(Controller):
    """Creates the volume `pvc-<uid>` for a claim. Its directory is there, whole, before the object is."""

    name = "provisioner"
    workers = 3

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS)
        self.classes = context.cache(STORAGE_CLASSES)
        self.volumes = context.cache(PERSISTENT_VOLUMES)
        self.drivers = context.cache(CSI_DRIVERS)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        claim = self.claims.get(key[1], key[0])
        if claim is None or is_deleting(claim):
            return None
        storage_class = self.classes.get(class_of(claim))
        if storage_class is None or self.drivers.get(storage_class["provisioner"]) is None:
            return None
        delayed = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        driver = annotations_of(claim).get(STORAGE_PROVISIONER)
        if not is_provisionable(claim, delayed) or driver != storage_class["provisioner"]:
            return None
        if self.volumes.get(f"pvc-{uid_of(claim)}") is not None:
            return None
        return self._provision(claim, storage_class)

    def _provision(self, claim: Object, storage_class: Object) -> float | None:
        message = (
            f'External provisioner is provisioning volume for claim "{namespace_of(claim)}/{name_of(claim)}"'
        )
        self._say(claim, storage_class, "Provisioning", message)
        try:
            self._fill(claim, storage_class)
        except (Refused, CopyFailed, OSError) as error:
            failure = f'failed to provision volume with StorageClass "{name_of(storage_class)}": {error}'
            self._say(claim, storage_class, "ProvisioningFailed", failure, "Warning")
            return 1.0
        body = _volume(claim, storage_class)
        try:
            self.context.create(PERSISTENT_VOLUMES, body)
        except ApiError as error:
            if not error.already_exists:
                raise
        done = f"Successfully provisioned volume {body['metadata']['name']}"
        self._say(claim, storage_class, "ProvisioningSucceeded", done)
        return None

    def _fill(self, claim: Object, storage_class: Object) -> None:
        directory = self.context.data / "volumes" / f"pvc-{uid_of(claim)}"
        if directory.exists():
            return
        source = spec_of(claim).get("dataSourceRef") or spec_of(claim).get("dataSource")
        if source is None:
            _make_empty(directory, storage_class)
        elif source.get("kind") == "PersistentVolumeClaim" and not source.get("apiGroup"):
            copy_tree(self._clone_source(claim, source, storage_class), directory)
        elif source.get("kind") == "VolumeSnapshot" and source.get("apiGroup") == SNAPSHOT_GROUP:
            copy_tree(self._snapshot_source(claim, source, storage_class), directory)
        else:
            raise Refused(f"unsupported dataSource {source.get('apiGroup')}/{source.get('kind')}")

    def _clone_source(self, claim: Object, source: Object, storage_class: Object) -> Path:
        name = source["name"]
        origin = self.claims.get(name, namespace_of(claim))
        if origin is None:
            raise Refused(f"error getting PVC {namespace_of(claim)}/{name}: not found")
        if is_deleting(origin):
            raise Refused(f"the source PVC {name} is being deleted")
        if phase_of(origin) != "Bound":
            raise Refused(f"PVC DataSource {name} not Bound. Can not clone")
        volume = self.volumes.get(spec_of(origin)["volumeName"])
        if volume is None or driver_of(volume) != storage_class["provisioner"]:
            raise Refused("the source PV is not of this driver")
        if capacity_bytes(volume) > requested_bytes(claim):
            raise Refused("new PVC must request at least the size of the source PVC")
        if mode_of(origin) != mode_of(claim):
            raise Refused("the source and the clone must have the same volumeMode")
        return volume_directory(self.context.data, volume)

    def _snapshot_source(self, claim: Object, source: Object, storage_class: Object) -> Path:
        """As getSnapshotSource of the external provisioner: bound both ways, this driver, ready, large enough."""
        name, namespace = source["name"], namespace_of(claim)
        snapshot = self.client.find(VOLUME_SNAPSHOTS, name, namespace)
        if snapshot is None:
            raise Refused(f"error getting snapshot {name} from api server: not found")
        if is_deleting(snapshot):
            raise Refused(f"snapshot {name} is currently being deleted")
        bound = status_of(snapshot).get("boundVolumeSnapshotContentName")
        content = self.client.find(VOLUME_SNAPSHOT_CONTENTS, bound) if bound else None
        if content is None:
            raise Refused(f"snapshot {name} not bound")
        reference = spec_of(content).get("volumeSnapshotRef") or {}
        if (reference.get("uid"), reference.get("name")) != (uid_of(snapshot), name):
            raise Refused(f"snapshotContent {bound} is bound to a different snapshot")
        if spec_of(content).get("driver") != storage_class["provisioner"]:
            raise Refused(f"snapshot {name} is of another driver")
        if not status_of(snapshot).get("readyToUse"):
            raise Refused(f"snapshot {name} is not Ready")
        handle = status_of(content).get("snapshotHandle") or ""
        size = quantity(status_of(snapshot).get("restoreSize"))
        if size > requested_bytes(claim):
            raise Refused(f"requested volume size {requested_bytes(claim)} is less than the size {size}")
        directory = self.context.data / "snapshots" / str(handle)
        if not handle or not directory.is_dir():
            raise Refused(f"rpc error: code = NotFound desc = snapshot {handle} does not exist")
        return directory

    def _say(
        self, claim: Object, storage_class: Object, reason: str, message: str, kind: str = "Normal"
    ) -> None:
        by = f"{storage_class['provisioner']}_sandbox"
        self.context.event(claim, PERSISTENT_VOLUME_CLAIMS, kind, reason, message, by)


def _make_empty(directory: Path, storage_class: Object) -> None:
    partial = directory.with_name(f".{directory.name}.partial")
    remove_tree(partial)
    partial.mkdir(parents=True)
    if storage_class["provisioner"] == RBD:
        # A fresh ext4 has it, and a faithful copy must cope with it.
        (partial / "lost+found").mkdir(mode=0o700)
    partial.chmod(0o777)
    partial.rename(directory)


def _volume(claim: Object, storage_class: Object) -> Object:
    driver = storage_class["provisioner"]
    size = spec_of(claim)["resources"]["requests"]["storage"]
    parameters = storage_class.get("parameters") or {}
    csi: dict[str, Any] = {
        "driver": driver,
        "volumeHandle": _HANDLE + uid_of(claim),
        "volumeAttributes": {
            "storage.kubernetes.io/csiProvisionerIdentity": f"sandbox-{driver}",
            **{key: value for key, value in parameters.items() if not key.startswith("csi.storage")},
        },
    }
    if driver == RBD and mode_of(claim) == "Filesystem":
        csi["fsType"] = parameters.get("csi.storage.k8s.io/fstype", "ext4")
    body: Object = {
        "metadata": {
            "name": f"pvc-{uid_of(claim)}",
            "annotations": {PROVISIONED_BY: driver},
            "finalizers": [PROVISIONER_FINALIZER, PV_PROTECTION],
        },
        "spec": {
            "accessModes": modes_of(claim),
            "capacity": {"storage": size},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace_of(claim),
                "name": name_of(claim),
                "uid": uid_of(claim),
                "resourceVersion": claim["metadata"]["resourceVersion"],
            },
            "csi": csi,
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": name_of(storage_class),
            "volumeMode": mode_of(claim),
        },
    }
    if storage_class.get("mountOptions"):
        body["spec"]["mountOptions"] = storage_class["mountOptions"]
    if driver == LOCAL:
        node = annotations_of(claim).get(SELECTED_NODE, "")
        terms = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
        body["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": terms}]}}
    return body


class Reclaimer(Controller):
    """Deletes what is released under policy Delete: first the directory, then the object, last the finalizer."""

    name = "reclaimer"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.volumes = self.watch(PERSISTENT_VOLUMES)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        volume = self.volumes.get(key[1])
        if volume is None:
            return None
        if not self._is_ours(volume):
            return None
        if spec_of(volume).get("persistentVolumeReclaimPolicy") != "Delete":
            self._release_retained(volume)
            return None
        if phase_of(volume) not in ("Released", "Failed"):
            return None
        # The cache may be behind somebody who has just set the policy to Retain: ask before data goes.
        volume = self.client.get(PERSISTENT_VOLUMES, key[1])
        if spec_of(volume).get("persistentVolumeReclaimPolicy") != "Delete" or phase_of(volume) != "Released":
            return 0.1
        self._destroy(volume)
        return None

    def _is_ours(self, volume: Object) -> bool:
        return PROVISIONED_BY in annotations_of(volume) or PROVISIONER_FINALIZER in finalizers_of(volume)

    def _release_retained(self, volume: Object) -> None:
        """A retained volume's object may go; its data stays."""
        if is_deleting(volume) and finalizers_of(volume) == [PROVISIONER_FINALIZER]:
            self.context.replace(PERSISTENT_VOLUMES, without_finalizer(volume, PROVISIONER_FINALIZER))

    def _destroy(self, volume: Object) -> None:
        """The object first, on condition that nobody changed it since; its finalizer holds it until the data is gone."""
        if PROVISIONER_FINALIZER not in finalizers_of(volume):
            self.context.replace(PERSISTENT_VOLUMES, with_finalizer(volume, PROVISIONER_FINALIZER))
            return
        if not is_deleting(volume):
            version = volume["metadata"]["resourceVersion"]
            self.client.delete(
                PERSISTENT_VOLUMES, name_of(volume), uid=uid_of(volume), resource_version=version
            )
        remove_tree(volume_directory(self.context.data, volume))
        current = self.client.find(PERSISTENT_VOLUMES, name_of(volume))
        if current is not None and PROVISIONER_FINALIZER in finalizers_of(current):
            self.context.replace(PERSISTENT_VOLUMES, without_finalizer(current, PROVISIONER_FINALIZER))
        message = f"Volume {name_of(volume)} deleted"
        self.context.event(volume, PERSISTENT_VOLUMES, "Normal", "VolumeDeleted", message, driver_of(volume))
