"""Snapshots: the snapshot controller (binds snapshots and contents) and the drivers' side (copies the bytes)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    annotate,
    annotations_of,
    copied,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    phase_of,
    spec_of,
    status_of,
    timestamp,
    uid_of,
    with_finalizer,
    without_finalizer,
)
from sandbox.controllers.storage.files import CopyFailed, copy_tree, remove_tree
from sandbox.controllers.storage.names import SNAPSHOT_SOURCE_FINALIZER, capacity_bytes, driver_of, mode_of
from sandbox.controllers.storage.provisioner import volume_directory
from sandbox.kinds import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    VOLUME_SNAPSHOT_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
)

_AS_SOURCE = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"
_BOUND = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection"
_CONTENT_BOUND = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
_BEING_DELETED = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
_DEFAULT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"
_BY = "snapshot-controller"


class SnapshotBinder(Controller):
    """Pairs VolumeSnapshots with their contents, and takes both away in order."""

    name = "snapshot-binder"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.snapshots = self.watch(VOLUME_SNAPSHOTS)
        self.contents = self.watch(VOLUME_SNAPSHOT_CONTENTS, self._of_content)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._of_claim)
        self.volumes = context.cache(PERSISTENT_VOLUMES)
        self.classes = context.cache(VOLUME_SNAPSHOT_CLASSES)

    def _of_content(self, content: Object) -> Iterator[tuple[str, str]]:
        reference = spec_of(content).get("volumeSnapshotRef") or {}
        yield reference.get("namespace", ""), reference.get("name", "")
        for snapshot in self.snapshots.list():
            if (spec_of(snapshot).get("source") or {}).get("volumeSnapshotContentName") == name_of(content):
                yield namespace_of(snapshot), name_of(snapshot)

    def _of_claim(self, claim: Object) -> Iterator[tuple[str, str]]:
        for snapshot in self.snapshots.list(namespace_of(claim)):
            source = spec_of(snapshot).get("source") or {}
            if source.get("persistentVolumeClaimName") == name_of(claim):
                yield namespace_of(snapshot), name_of(snapshot)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        snapshot = self.snapshots.get(key[1], key[0])
        if snapshot is None:
            return None
        if is_deleting(snapshot):
            self._remove(snapshot)
            return None
        for finalizer in (_AS_SOURCE, _BOUND):
            if finalizer not in finalizers_of(snapshot):
                snapshot = self.context.replace(VOLUME_SNAPSHOTS, with_finalizer(snapshot, finalizer))
        source = spec_of(snapshot).get("source") or {}
        if source.get("volumeSnapshotContentName"):
            content = self._given_content(snapshot, source["volumeSnapshotContentName"])
        else:
            content = self._own_content(snapshot, source.get("persistentVolumeClaimName", ""))
        if content is not None:
            self._report(snapshot, content)
        return None

    # -- binding ----------------------------------------------------------------------------------

    def _given_content(self, snapshot: Object, name: str) -> Object | None:
        """A pre-provisioned content: it must point back at this snapshot by name."""
        content = self.contents.get(name)
        if content is None:
            self._fail(snapshot, "SnapshotContentMissing", "VolumeSnapshotContent is missing")
            return None
        reference = spec_of(content).get("volumeSnapshotRef") or {}
        here = (namespace_of(snapshot), name_of(snapshot))
        if (reference.get("namespace"), reference.get("name")) != here or reference.get("uid") not in (
            None,
            "",
            uid_of(snapshot),
        ):
            message = f"VolumeSnapshotContent [{name}] is bound to a different snapshot"
            self._fail(snapshot, "SnapshotContentMisbound", message)
            return None
        if not reference.get("uid"):
            fresh = copied(content)
            fresh["spec"]["volumeSnapshotRef"]["uid"] = uid_of(snapshot)
            content = self.context.replace(VOLUME_SNAPSHOT_CONTENTS, fresh)
        return content

    def _own_content(self, snapshot: Object, claim_name: str) -> Object | None:
        name = f"snapcontent-{uid_of(snapshot)}"
        content = self.contents.get(name)
        if content is not None or status_of(snapshot).get("boundVolumeSnapshotContentName"):
            if content is None:
                self._fail(snapshot, "SnapshotContentMissing", "VolumeSnapshotContent is missing")
            return content
        claim = self.claims.get(claim_name, namespace_of(snapshot))
        problem, snapshot_class, volume = self._source(snapshot, claim)
        if problem or claim is None or volume is None or snapshot_class is None:
            self._fail(snapshot, "SnapshotContentCreationFailed", problem)
            return None
        if SNAPSHOT_SOURCE_FINALIZER not in finalizers_of(claim):
            self.context.replace(PERSISTENT_VOLUME_CLAIMS, with_finalizer(claim, SNAPSHOT_SOURCE_FINALIZER))
        body = {
            "metadata": {"name": name, "finalizers": [_CONTENT_BOUND]},
            "spec": {
                "deletionPolicy": snapshot_class["deletionPolicy"],
                "driver": snapshot_class["driver"],
                "source": {"volumeHandle": spec_of(volume)["csi"]["volumeHandle"]},
                "sourceVolumeMode": mode_of(volume),
                "volumeSnapshotClassName": name_of(snapshot_class),
                "volumeSnapshotRef": {
                    "apiVersion": VOLUME_SNAPSHOTS.api_version,
                    "kind": "VolumeSnapshot",
                    "namespace": namespace_of(snapshot),
                    "name": name_of(snapshot),
                    "uid": uid_of(snapshot),
                },
            },
        }
        message = f"Waiting for a snapshot {namespace_of(snapshot)}/{name_of(snapshot)} to be created by the CSI driver."
        self._say(snapshot, "CreatingSnapshot", message)
        try:
            return self.context.create(VOLUME_SNAPSHOT_CONTENTS, body)
        except ApiError as error:
            if error.already_exists:
                return self.client.get(VOLUME_SNAPSHOT_CONTENTS, name)
            raise

    def _source(self, snapshot: Object, claim: Object | None) -> tuple[str, Object | None, Object | None]:
        """(what is wrong, snapshot class, volume)"""
        if claim is None:
            return "Failed to create snapshot content: the source claim was not found", None, None
        if phase_of(claim) != "Bound":
            return (
                f"the PVC {name_of(claim)} is not yet bound to a PV, will not attempt to take a snapshot",
                None,
                None,
            )
        volume = self.volumes.get(spec_of(claim)["volumeName"])
        if volume is None:
            return "Failed to create snapshot content: the source volume was not found", None, None
        snapshot_class = self._class_for(snapshot, driver_of(volume))
        if snapshot_class is None:
            return f"no snapshot class for driver {driver_of(volume)}", None, volume
        if snapshot_class["driver"] != driver_of(volume):
            return "the snapshot class is of another driver than the volume", None, volume
        return "", snapshot_class, volume

    def _class_for(self, snapshot: Object, driver: str) -> Object | None:
        if wanted := spec_of(snapshot).get("volumeSnapshotClassName"):
            return self.classes.get(wanted)
        defaults = [
            item
            for item in self.classes.list()
            if item["driver"] == driver and annotations_of(item).get(_DEFAULT_CLASS) == "true"
        ]
        return defaults[0] if len(defaults) == 1 else None

    def _report(self, snapshot: Object, content: Object) -> None:
        status = status_of(content)
        fresh = copied(snapshot)
        wanted = fresh.setdefault("status", {})
        wanted["boundVolumeSnapshotContentName"] = name_of(content)
        wanted["readyToUse"] = bool(status.get("readyToUse"))
        if status.get("creationTime"):
            seconds = int(status["creationTime"]) // 1_000_000_000
            wanted["creationTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
        if status.get("restoreSize"):
            wanted["restoreSize"] = str(status["restoreSize"])
        wanted.pop("error", None)
        if status.get("error"):
            wanted["error"] = status["error"]
        if wanted == status_of(snapshot):
            return
        self.context.replace_status(VOLUME_SNAPSHOTS, fresh)
        if wanted["readyToUse"]:
            self._say(
                snapshot,
                "SnapshotReady",
                f"Snapshot {namespace_of(snapshot)}/{name_of(snapshot)} is ready to use.",
            )
            self._release_source(snapshot)

    def _fail(self, snapshot: Object, reason: str, message: str) -> None:
        fresh = copied(snapshot)
        status = fresh.setdefault("status", {})
        if (status.get("error") or {}).get("message") != message:
            status["error"] = {"message": message, "time": timestamp()}
            status["readyToUse"] = False
            self.context.replace_status(VOLUME_SNAPSHOTS, fresh)
            self._say(snapshot, reason, message, "Warning")

    # -- the end ----------------------------------------------------------------------------------

    def _release_source(self, snapshot: Object) -> None:
        """The source claim may go once no snapshot of it is still being taken."""
        source = (spec_of(snapshot).get("source") or {}).get("persistentVolumeClaimName")
        claim = self.claims.get(source or "", namespace_of(snapshot))
        if claim is None or SNAPSHOT_SOURCE_FINALIZER not in finalizers_of(claim):
            return
        waiting = [
            item
            for item in self.snapshots.list(namespace_of(snapshot))
            if uid_of(item) != uid_of(snapshot)
            and (spec_of(item).get("source") or {}).get("persistentVolumeClaimName") == source
            and not status_of(item).get("readyToUse")
            and not is_deleting(item)
        ]
        if not waiting:
            self.context.replace(
                PERSISTENT_VOLUME_CLAIMS, without_finalizer(claim, SNAPSHOT_SOURCE_FINALIZER)
            )

    def _remove(self, snapshot: Object) -> None:
        name = status_of(snapshot).get("boundVolumeSnapshotContentName") or f"snapcontent-{uid_of(snapshot)}"
        content = self.contents.get(name)
        if content is not None and (spec_of(content).get("volumeSnapshotRef") or {}).get("uid") == uid_of(
            snapshot
        ):
            if _BEING_DELETED not in annotations_of(content):
                fresh = copied(content)
                annotate(fresh, _BEING_DELETED, "yes")
                content = self.context.replace(VOLUME_SNAPSHOT_CONTENTS, fresh)
            if spec_of(content).get("deletionPolicy") == "Delete":
                if not is_deleting(content):
                    self.context.delete(VOLUME_SNAPSHOT_CONTENTS, content)
                if self.client.find(VOLUME_SNAPSHOT_CONTENTS, name) is not None:
                    return  # looked at again when the content is gone
        self._release_source(snapshot)
        fresh = copied(snapshot)
        fresh["metadata"]["finalizers"] = [
            entry for entry in finalizers_of(snapshot) if entry not in (_AS_SOURCE, _BOUND)
        ]
        if fresh["metadata"]["finalizers"] != finalizers_of(snapshot):
            self.context.replace(VOLUME_SNAPSHOTS, fresh)

    def _say(self, snapshot: Object, reason: str, message: str, kind: str = "Normal") -> None:
        self.context.event(snapshot, VOLUME_SNAPSHOTS, kind, reason, message, _BY)


class Snapshotter(Controller):
    """The drivers' side: one directory under `snapshots/` a handle."""

    name = "snapshotter"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.contents = self.watch(VOLUME_SNAPSHOT_CONTENTS)
        self.volumes = context.cache(PERSISTENT_VOLUMES)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        content = self.contents.get(key[1])
        if content is None:
            return None
        if is_deleting(content):
            self._remove(content)
            return None
        if _CONTENT_BOUND not in finalizers_of(content):
            content = self.context.replace(VOLUME_SNAPSHOT_CONTENTS, with_finalizer(content, _CONTENT_BOUND))
        if not status_of(content).get("readyToUse"):
            return self._take(content)
        return None

    def _take(self, content: Object) -> float | None:
        source = spec_of(content).get("source") or {}
        fresh = copied(content)
        if handle := source.get("snapshotHandle"):
            # Without ListSnapshots, as with Ceph, a given handle is believed, and nothing is known of its size.
            fresh["status"] = {"snapshotHandle": handle, "readyToUse": True}
            self.context.replace_status(VOLUME_SNAPSHOT_CONTENTS, fresh)
            return None
        volume = self._volume_of(source.get("volumeHandle", ""))
        if volume is None:
            return self._fail(content, "rpc error: code = NotFound desc = source volume not found")
        handle = f"0001-0009-rook-ceph-snap-{uid_of(content)}"
        try:
            copy_tree(volume_directory(self.context.data, volume), self._directory(handle))
        except (CopyFailed, OSError) as error:
            return self._fail(content, f"rpc error: code = Internal desc = {error}")
        fresh["status"] = {
            "snapshotHandle": handle,
            "creationTime": time.time_ns(),
            "restoreSize": capacity_bytes(volume),
            "readyToUse": True,
        }
        self.context.replace_status(VOLUME_SNAPSHOT_CONTENTS, fresh)
        return None

    def _fail(self, content: Object, message: str) -> float:
        if (status_of(content).get("error") or {}).get("message") != message:
            fresh = copied(content)
            fresh["status"] = {"readyToUse": False, "error": {"message": message, "time": timestamp()}}
            self.context.replace_status(VOLUME_SNAPSHOT_CONTENTS, fresh)
        return 2.0

    def _volume_of(self, handle: str) -> Object | None:
        for volume in self.volumes.list():
            if (spec_of(volume).get("csi") or {}).get("volumeHandle") == handle:
                return volume
        return None

    def _directory(self, handle: str) -> Path:
        if "/" in handle or handle.startswith("."):
            raise OSError(f"not a snapshot handle: {handle}")
        return self.context.data / "snapshots" / handle

    def _remove(self, content: Object) -> None:
        """The object waits for its snapshot's deletion; under Delete the bytes go, under Retain they stay."""
        snapshot_is_going = _BEING_DELETED in annotations_of(content) or not self._is_bound(content)
        if not snapshot_is_going or _CONTENT_BOUND not in finalizers_of(content):
            return
        handle = status_of(content).get("snapshotHandle")
        current = self.client.get(VOLUME_SNAPSHOT_CONTENTS, name_of(content))
        if handle and spec_of(current).get("deletionPolicy") == "Delete":
            remove_tree(self._directory(handle))
        self.context.replace(VOLUME_SNAPSHOT_CONTENTS, without_finalizer(current, _CONTENT_BOUND))

    def _is_bound(self, content: Object) -> bool:
        reference = spec_of(content).get("volumeSnapshotRef") or {}
        snapshot = self.client.find(
            VOLUME_SNAPSHOTS, reference.get("name", ""), reference.get("namespace", "")
        )
        return snapshot is not None and uid_of(snapshot) == reference.get("uid")
