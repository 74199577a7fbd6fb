"""Attaches volumes to nodes: VolumeAttachment objects, and the refusal of one volume on two nodes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    claim_names,
    copied,
    finalizers_of,
    is_deleting,
    is_finished,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
    with_finalizer,
    without_finalizer,
)
from sandbox.controllers.storage.names import driver_of, modes_of
from sandbox.kinds import (
    CSI_DRIVERS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)

_BY = "attachdetach-controller"
_DETACH_AFTER_S = 0.4


def attachment_name(volume: Object, node: str) -> str:
    """As the CSI attacher of Kubernetes derives it, from the volume's handle, its driver and the node."""
    csi = spec_of(volume)["csi"]
    digest = hashlib.sha256(f"{csi['volumeHandle']}{csi['driver']}{node}".encode()).hexdigest()
    return f"csi-{digest}"


def needs_attachment(volume: Object, driver: Object | None) -> bool:
    return bool(driver) and spec_of(driver or {}).get("attachRequired", True) is not False


class Attacher(Controller):
    """One key a volume: which nodes need it, which have it."""

    name = "attacher"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.volumes = self.watch(PERSISTENT_VOLUMES, lambda volume: [name_of(volume)])
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._of_claim)
        self.pods = self.watch(PODS, self._of_pod)
        self.attachments = self.watch(VOLUME_ATTACHMENTS, self._of_attachment)
        self.drivers = context.cache(CSI_DRIVERS)
        self._unused_since: dict[str, float] = {}

    def _of_claim(self, claim: Object) -> Iterator[str]:
        if volume := spec_of(claim).get("volumeName"):
            yield str(volume)

    def _of_pod(self, pod: Object) -> Iterator[str]:
        if spec_of(pod).get("nodeName"):
            for name in claim_names(pod).values():
                claim = self.claims.get(name, namespace_of(pod))
                if claim is not None:
                    yield from self._of_claim(claim)

    def _of_attachment(self, attachment: Object) -> Iterator[str]:
        yield str(spec_of(attachment)["source"].get("persistentVolumeName") or "")

    def reconcile(self, key: str) -> float | None:
        attached = [item for item in self.attachments.list() if key in self._of_attachment(item)]
        volume = self.volumes.get(key)
        wanted = self._pods_by_node(volume) if volume is not None else {}
        again_s = None
        for attachment in attached:
            if spec_of(attachment)["nodeName"] not in wanted or is_deleting(attachment):
                again_s = self._detach(attachment) or again_s
            else:
                self._unused_since.pop(name_of(attachment), None)
                self._finish(attachment)
        if volume is not None and wanted:
            have = {spec_of(item)["nodeName"]: item for item in attached}
            self._attach(volume, wanted, have)
        elif again_s is None and volume is not None and _marks(volume):
            self._unmark(key)
        return again_s

    def _pods_by_node(self, volume: Object) -> dict[str, list[Object]]:
        reference = spec_of(volume).get("claimRef") or {}
        if not reference.get("uid") or not needs_attachment(volume, self.drivers.get(driver_of(volume))):
            return {}
        claim = self.claims.get(reference["name"], reference["namespace"])
        if claim is None or uid_of(claim) != reference["uid"]:
            return {}
        found: dict[str, list[Object]] = {}
        for pod in self.pods.list(reference["namespace"]):
            node = spec_of(pod).get("nodeName")
            if node and not is_finished(pod) and reference["name"] in claim_names(pod).values():
                found.setdefault(node, []).append(pod)
        return found

    def _attach(self, volume: Object, wanted: dict[str, list[Object]], have: dict[str, Object]) -> None:
        exclusive = not {"ReadWriteMany", "ReadOnlyMany"} & set(modes_of(volume))
        taken = set(have)
        # The node whose pod came first gets it; a refused one is looked at again when the holder lets go.
        order = sorted(
            wanted, key=lambda node: min(pod["metadata"]["creationTimestamp"] for pod in wanted[node])
        )
        for node in order:
            if node in have:
                continue
            if exclusive and taken:
                self._refuse(volume, wanted[node], [pod for other in taken for pod in wanted.get(other, [])])
                continue
            self._create(volume, node, wanted[node])
            taken.add(node)

    def _create(self, volume: Object, node: str, pods: list[Object]) -> None:
        driver = driver_of(volume)
        body = {
            "metadata": {
                "name": attachment_name(volume, node),
                "finalizers": [_finalizer(driver)],
            },
            "spec": {
                "attacher": driver,
                "nodeName": node,
                "source": {"persistentVolumeName": name_of(volume)},
            },
        }
        mark = _finalizer(driver)
        if mark not in finalizers_of(volume):
            if is_deleting(volume):
                # As the CSI attacher: a volume that is going is attached nowhere any more.
                self._warn(pods, f'PersistentVolume "{name_of(volume)}" is marked for deletion')
                return
            self.context.replace(PERSISTENT_VOLUMES, with_finalizer(volume, mark))
        try:
            created = self.context.create(VOLUME_ATTACHMENTS, body)
        except ApiError as error:
            if error.already_exists:
                return
            raise
        self._finish(created)
        message = f'AttachVolume.Attach succeeded for volume "{name_of(volume)}"'
        for pod in pods:
            self.context.event(pod, PODS, "Normal", "SuccessfulAttachVolume", message, _BY)

    def _finish(self, attachment: Object) -> None:
        if status_of(attachment).get("attached"):
            return
        fresh = copied(attachment)
        fresh["status"] = {"attached": True}
        self.context.replace_status(VOLUME_ATTACHMENTS, fresh)

    def _refuse(self, volume: Object, pods: list[Object], holders: list[Object]) -> None:
        users = ", ".join(sorted({f"{namespace_of(pod)}/{name_of(pod)}" for pod in holders}))
        message = f'Multi-Attach error for volume "{name_of(volume)}" ' + (
            f"Volume is already used by pod(s) {users}"
            if users
            else "Volume is already exclusively attached to one node and can't be attached to another"
        )
        self._warn(pods, message)

    def _warn(self, pods: list[Object], message: str) -> None:
        for pod in pods:
            self.context.event(pod, PODS, "Warning", "FailedAttachVolume", message, _BY)

    def _detach(self, attachment: Object) -> float | None:
        """Lets go a moment after the last pod of the node. Returns when to look again."""
        since = self._unused_since.setdefault(name_of(attachment), time.monotonic())
        left_s = since + _DETACH_AFTER_S - time.monotonic()
        if left_s > 0:
            return left_s
        if not is_deleting(attachment):
            self.context.delete(VOLUME_ATTACHMENTS, attachment)
        current = self.client.find(VOLUME_ATTACHMENTS, name_of(attachment))
        if current is not None and is_deleting(current):
            mark = _finalizer(spec_of(current)["attacher"])
            if mark in finalizers_of(current):
                self.context.replace(VOLUME_ATTACHMENTS, without_finalizer(current, mark))
        self._unused_since.pop(name_of(attachment), None)
        return None

    def _unmark(self, volume_name: str) -> None:
        """Takes our finalizer off a volume without attachments. Asked at every look: a conflict must not leave it for ever."""
        volume = self.client.find(PERSISTENT_VOLUMES, volume_name)
        if volume is None:
            return
        mark = _finalizer(driver_of(volume))
        attached = [a for a in self.client.list(VOLUME_ATTACHMENTS) if volume_name in self._of_attachment(a)]
        if mark in finalizers_of(volume) and not attached:
            self.context.replace(PERSISTENT_VOLUMES, without_finalizer(volume, mark))


def _marks(volume: Object) -> list[str]:
    return [mark for mark in finalizers_of(volume) if mark.startswith("external-attacher/")]


def _finalizer(driver: str) -> str:
    return f"external-attacher/{driver.replace('.', '-')}"
