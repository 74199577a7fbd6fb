"""Grows volumes: the volume first, then the file system on the node of a pod that uses it."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    claim_names,
    copied,
    drop_conditions,
    is_deleting,
    name_of,
    namespace_of,
    phase_of,
    quantity,
    quantity_text,
    set_condition,
    spec_of,
    status_of,
)
from sandbox.controllers.storage.names import CEPHFS, capacity_bytes, class_of, driver_of, requested_bytes
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES

_CONDITIONS = ("Resizing", "FileSystemResizePending")


class Expander(Controller):
    """One key a claim."""

    name = "expander"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS)
        self.pods = self.watch(PODS, self._of_pod)
        self.volumes = context.cache(PERSISTENT_VOLUMES)
        self.classes = context.cache(STORAGE_CLASSES)

    def _of_pod(self, pod: Object) -> Iterator[tuple[str, str]]:
        if phase_of(pod) == "Running":
            for name in claim_names(pod).values():
                yield namespace_of(pod), name

    def reconcile(self, key: tuple[str, str]) -> float | None:
        claim = self.claims.get(key[1], key[0])
        if claim is None or is_deleting(claim) or phase_of(claim) != "Bound":
            return None
        volume = self.volumes.get(spec_of(claim)["volumeName"])
        have = quantity((status_of(claim).get("capacity") or {}).get("storage"))
        if volume is None or not have or requested_bytes(claim) <= have:
            return None
        if not (self.classes.get(class_of(claim)) or {}).get("allowVolumeExpansion"):
            return None
        if capacity_bytes(volume) < requested_bytes(claim):
            volume = self._grow_volume(claim, volume)
        if driver_of(volume) == CEPHFS or self._is_mounted(claim):
            self._finish(claim)
        else:
            self._wait_for_node(claim)
        return None

    def _grow_volume(self, claim: Object, volume: Object) -> Object:
        fresh = copied(self.claims.get(name_of(claim), namespace_of(claim)) or claim)
        conditions = fresh["status"].setdefault("conditions", [])
        if set_condition(conditions, "Resizing", "True"):
            fresh["status"]["allocatedResources"] = {
                "storage": quantity_text(quantity(requested_bytes(claim)))
            }
            self.context.replace_status(PERSISTENT_VOLUME_CLAIMS, fresh)
            message = f"External resizer is resizing volume {name_of(volume)}"
            self._say(claim, "Resizing", message, driver_of(volume))
        grown = copied(volume)
        grown["spec"]["capacity"]["storage"] = spec_of(claim)["resources"]["requests"]["storage"]
        return self.context.replace(PERSISTENT_VOLUMES, grown)

    def _is_mounted(self, claim: Object) -> bool:
        return any(
            phase_of(pod) == "Running" and name_of(claim) in claim_names(pod).values()
            for pod in self.pods.list(namespace_of(claim))
        )

    def _wait_for_node(self, claim: Object) -> None:
        fresh = copied(self.claims.get(name_of(claim), namespace_of(claim)) or claim)
        conditions = drop_conditions(fresh["status"].get("conditions") or [], ["Resizing"])
        message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
        fresh["status"]["conditions"] = conditions
        if set_condition(conditions, "FileSystemResizePending", "True", "", message):
            self.context.replace_status(PERSISTENT_VOLUME_CLAIMS, fresh)
            self._say(
                claim, "FileSystemResizeRequired", "Require file system resize of volume on node", "resizer"
            )

    def _finish(self, claim: Object) -> None:
        fresh = copied(self.claims.get(name_of(claim), namespace_of(claim)) or claim)
        status = fresh["status"]
        status["capacity"] = {"storage": spec_of(claim)["resources"]["requests"]["storage"]}
        status["conditions"] = drop_conditions(status.get("conditions") or [], _CONDITIONS)
        status.pop("allocatedResources", None)
        self.context.replace_status(PERSISTENT_VOLUME_CLAIMS, fresh)
        self._say(claim, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded", "kubelet")

    def _say(self, claim: Object, reason: str, message: str, by: str) -> None:
        self.context.event(claim, PERSISTENT_VOLUME_CLAIMS, "Normal", reason, message, by)
