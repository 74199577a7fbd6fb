"""Finds the directory behind each volume of a pod, and waits until it may be mounted."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from sandbox.controllers.core import Context
from sandbox.controllers.objects import (
    Object,
    annotations_of,
    claim_names,
    is_finished,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from sandbox.controllers.storage.attach import attachment_name, needs_attachment
from sandbox.controllers.storage.names import (
    BIND_COMPLETED,
    CEPHFS,
    LOCAL,
    PROVISIONED_BY,
    RBD,
    claim_reference,
    driver_of,
    modes_of,
)
from sandbox.controllers.storage.provisioner import volume_directory
from sandbox.kinds import (
    CONFIG_MAPS,
    CSI_DRIVERS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    VOLUME_ATTACHMENTS,
)


class NotYet(Exception):
    """The pod's volumes are not there yet; says what is awaited. `warn` when `kubectl describe` should show it."""

    def __init__(self, message: str, *, warn: bool = False) -> None:
        super().__init__(message)
        self.warn = warn


class PodVolumes:
    """Resolves volumes of pods to directories of this machine."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.claims = context.cache(PERSISTENT_VOLUME_CLAIMS)
        self.volumes = context.cache(PERSISTENT_VOLUMES)
        self.attachments = context.cache(VOLUME_ATTACHMENTS)
        self.drivers = context.cache(CSI_DRIVERS)

    def directory_of(self, pod: Object) -> Path:
        """What the node keeps for one pod."""
        return self.context.data / "pods" / uid_of(pod)

    def resolve(self, pod: Object) -> dict[str, Path]:
        """Volume name -> directory. NotYet while a claim is not bound, attached or filled."""
        found = {}
        claims = claim_names(pod)
        for volume in spec_of(pod).get("volumes") or []:
            name = volume["name"]
            if name in claims:
                found[name] = self._claim(pod, claims[name])
            else:
                found[name] = self._local(pod, volume)
        return found

    # -- claims -----------------------------------------------------------------------------------

    def _claim(self, pod: Object, name: str) -> Path:
        claim = self.claims.get(name, namespace_of(pod))
        if claim is None:
            raise NotYet(f'persistentvolumeclaim "{name}" not found', warn=True)
        if not spec_of(claim).get("volumeName") or BIND_COMPLETED not in annotations_of(claim):
            raise NotYet(f'PVC "{name}" is not bound', warn=True)
        volume = self.volumes.get(spec_of(claim)["volumeName"])
        if volume is None or (claim_reference(volume) or {}).get("uid") != uid_of(claim):
            raise NotYet(f'the volume of PVC "{name}" is not bound to it', warn=True)
        if needs_attachment(volume, self.drivers.get(driver_of(volume))):
            self._require_attached(pod, volume)
        directory = self._directory(volume)
        _apply_fs_group(pod, volume, directory, self.directory_of(pod))
        return directory

    def _require_attached(self, pod: Object, volume: Object) -> None:
        name = attachment_name(volume, spec_of(pod)["nodeName"])
        attachment = self.attachments.get(name)
        if attachment is None or not status_of(attachment).get("attached"):
            raise NotYet(f'volume "{name_of(volume)}" is not attached to the node')
        if attachment["metadata"].get("deletionTimestamp"):
            raise NotYet(f'volume "{name_of(volume)}" is being detached')

    def _directory(self, volume: Object) -> Path:
        directory: Path = volume_directory(self.context.data, volume)
        if directory.is_dir():
            return directory
        if PROVISIONED_BY in annotations_of(volume) and driver_of(volume) in (RBD, CEPHFS, LOCAL):
            # Never make an empty one up: the application would take it for its data.
            raise NotYet(f"MountVolume.MountDevice failed: image of {name_of(volume)} not found", warn=True)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    # -- everything else --------------------------------------------------------------------------

    def _local(self, pod: Object, volume: Object) -> Path:
        directory = self.directory_of(pod) / "volumes" / str(volume["name"])
        directory.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            directory.chmod(0o777)
        elif "configMap" in volume:
            self._write(pod, volume["configMap"], volume["configMap"].get("name", ""), directory)
        elif "secret" in volume:
            self._write(pod, volume["secret"], volume["secret"].get("secretName", ""), directory)
        elif "projected" in volume:
            for source in volume["projected"].get("sources") or []:
                for kind in ("configMap", "secret"):
                    if kind in source:
                        self._write(pod, source[kind], source[kind].get("name", ""), directory, kind)
        return directory

    def _write(self, pod: Object, source: Object, name: str, directory: Path, kind: str = "") -> None:
        secret = kind == "secret" or "secretName" in source
        resource = SECRETS if secret else CONFIG_MAPS
        found = self.context.client.find(resource, name, namespace_of(pod))
        if found is None:
            if source.get("optional"):
                return
            what = "secret" if secret else "configmap"
            raise NotYet(f'MountVolume.SetUp failed: {what} "{name}" not found', warn=True)
        content = {key: str(value).encode() for key, value in (found.get("data") or {}).items()}
        if secret:
            content = {key: base64.b64decode(value) for key, value in content.items()}
        for key, value in (found.get("binaryData") or {}).items():
            content[key] = base64.b64decode(value)
        names = {entry["key"]: entry["path"] for entry in source.get("items") or []}
        mode = int(source.get("defaultMode") or 0o644)
        for key, value in content.items():
            if names and key not in names:
                continue
            target = inside(directory, names.get(key, key))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(value)
            target.chmod(mode)


def inside(directory: Path, relative: str) -> Path:
    """A path below a directory. ValueError when it would lead out of it, also by a symbolic link."""
    target = (directory / relative.lstrip("/")).resolve()
    if not target.is_relative_to(directory.resolve()):
        raise ValueError(f"{relative} leads out of the volume")
    return target


def _apply_fs_group(pod: Object, volume: Object, directory: Path, pod_directory: Path) -> None:
    """As the kubelet does for ReadWriteOnce file systems: gives the whole tree to the pod's group."""
    security = spec_of(pod).get("securityContext") or {}
    gid = security.get("fsGroup")
    single = {"ReadWriteOnce", "ReadWriteOncePod"} & set(modes_of(volume))
    if gid is None or os.geteuid() != 0 or not single or is_finished(pod) or _is_read_only(pod, volume):
        return
    marker = pod_directory / f"fsgroup-{directory.name}"
    if marker.exists():
        return
    top = directory.stat()
    on_mismatch = security.get("fsGroupChangePolicy") == "OnRootMismatch"
    if not (on_mismatch and top.st_gid == gid and top.st_mode & 0o2000):
        for folder, folders, files in os.walk(directory):
            _give(Path(folder), gid, folder=True)
            for name in files:
                _give(Path(folder, name), gid, folder=False)
            for name in folders:
                if Path(folder, name).is_symlink():
                    _give(Path(folder, name), gid, folder=False)
    pod_directory.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _is_read_only(pod: Object, volume: Object) -> bool:
    claim = (claim_reference(volume) or {}).get("name")
    for entry in spec_of(pod).get("volumes") or []:
        source = entry.get("persistentVolumeClaim")
        if source and source.get("claimName") == claim:
            return bool(source.get("readOnly"))
    return False


def _give(path: Path, gid: int, *, folder: bool) -> None:
    os.lchown(path, -1, gid)
    if not path.is_symlink():
        wanted = 0o2770 if folder else 0o660
        path.chmod(path.stat().st_mode & 0o7777 | wanted)
