"""Binds claims and volumes as the PersistentVolume controller of Kubernetes 1.36 does (syncClaim, syncVolume)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    annotate,
    annotations_of,
    copied,
    name_of,
    namespace_of,
    phase_of,
    spec_of,
    uid_of,
)
from sandbox.controllers.storage.names import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
    claim_reference,
    class_of,
    find_match,
    is_delayed,
    is_volume_bound_to,
    mismatch_of,
    mode_of,
    modes_of,
)
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES

_BY = "persistentvolume-controller"


class BindKey(NamedTuple):
    """A claim, or a volume (its namespace is empty)."""

    namespace: str
    name: str


class Binder(Controller):
    """One worker: claims and volumes are looked at one after another, never at the same time."""

    name = "binder"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._for_claim)
        self.volumes = self.watch(PERSISTENT_VOLUMES, self._for_volume)
        self.classes = self.watch(STORAGE_CLASSES, self._for_class)

    def _for_claim(self, claim: Object) -> Iterator[BindKey]:
        yield BindKey(namespace_of(claim), name_of(claim))
        if volume := spec_of(claim).get("volumeName"):
            yield BindKey("", volume)

    def _for_volume(self, volume: Object) -> Iterator[BindKey]:
        yield BindKey("", name_of(volume))
        if reference := claim_reference(volume):
            yield BindKey(reference.get("namespace", ""), reference.get("name", ""))
        for claim in self.claims.list():
            wants = spec_of(claim).get("volumeName")
            if wants == name_of(volume) or (not wants and class_of(claim) == class_of(volume)):
                yield BindKey(namespace_of(claim), name_of(claim))

    def _for_class(self, found: Object) -> Iterator[BindKey]:
        for claim in self.claims.list():
            if class_of(claim) == name_of(found) and not spec_of(claim).get("volumeName"):
                yield BindKey(namespace_of(claim), name_of(claim))

    def reconcile(self, key: BindKey) -> float | None:
        if key.namespace:
            claim = self.claims.get(key.name, key.namespace)
            if claim is not None:
                self._sync_claim(claim)
        else:
            volume = self.volumes.get(key.name)
            if volume is not None:
                self._sync_volume(volume)
        return None

    # -- claims -----------------------------------------------------------------------------------

    def _sync_claim(self, claim: Object) -> None:
        if BIND_COMPLETED in annotations_of(claim):
            self._sync_bound_claim(claim)
        elif spec_of(claim).get("volumeName"):
            self._sync_prebound_claim(claim)
        else:
            self._sync_unbound_claim(claim)

    def _sync_unbound_claim(self, claim: Object) -> None:
        delayed = is_delayed(claim, self.classes)
        volume = find_match(self.volumes.list(), claim, delayed)
        if volume is not None:
            self._bind(volume, claim)
            return
        storage_class = self.classes.get(class_of(claim))
        if delayed:
            self._say(
                claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
            )
        elif storage_class is not None:
            claim = self._ask_provisioner(claim, storage_class)
        elif class_of(claim):
            message = f'storageclass.storage.k8s.io "{class_of(claim)}" not found'
            self._say(claim, "ProvisioningFailed", message, "Warning")
        else:
            message = "no persistent volumes available for this claim and no storage class is set"
            self._say(claim, "FailedBinding", message)
        self._claim_phase(claim, "Pending")

    def _ask_provisioner(self, claim: Object, storage_class: Object) -> Object:
        driver = storage_class["provisioner"]
        if claim["metadata"].get("deletionTimestamp") or driver == "kubernetes.io/no-provisioner":
            return claim
        fresh = copied(claim)
        changed = annotate(fresh, STORAGE_PROVISIONER, driver)
        changed = annotate(fresh, STORAGE_PROVISIONER_BETA, driver) or changed
        if changed:
            claim = self.context.replace(PERSISTENT_VOLUME_CLAIMS, fresh)
            message = (
                f"Waiting for a volume to be created either by the external provisioner '{driver}' or manually "
                "by the system administrator. If volume creation is delayed, please verify that the provisioner "
                "is running and correctly registered."
            )
            self._say(claim, "ExternalProvisioning", message)
        return claim

    def _sync_prebound_claim(self, claim: Object) -> None:
        volume = self.volumes.get(spec_of(claim)["volumeName"])
        if volume is None:
            self._claim_phase(claim, "Pending")
        elif claim_reference(volume) is None:
            if problem := mismatch_of(volume, claim):
                message = f'Cannot bind to requested volume "{name_of(volume)}": {problem}'
                self._say(claim, "VolumeMismatch", message, "Warning")
                self._claim_phase(claim, "Pending")
            else:
                self._bind(volume, claim)
        elif is_volume_bound_to(volume, claim):
            self._bind(volume, claim)
        else:
            message = f'volume "{name_of(volume)}" already bound to a different claim.'
            self._say(claim, "FailedBinding", message, "Warning")
            self._claim_phase(claim, "Pending")

    def _sync_bound_claim(self, claim: Object) -> None:
        wanted = spec_of(claim).get("volumeName")
        if not wanted:
            self._lose(
                claim,
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            )
            return
        volume = self.volumes.get(wanted) or self.client.find(PERSISTENT_VOLUMES, wanted)
        if volume is None:
            self._lose(
                claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            )
            return
        reference = claim_reference(volume)
        if reference is None or reference.get("uid") == uid_of(claim):
            self._bind(volume, claim)
        else:
            message = "Two claims are bound to the same volume, this one is bound incorrectly"
            self._lose(claim, "ClaimMisbound", message)

    def _lose(self, claim: Object, reason: str, message: str) -> None:
        if phase_of(claim) != "Lost":
            self._claim_phase(claim, "Lost")
            self._say(claim, reason, message, "Warning")

    # -- volumes ----------------------------------------------------------------------------------

    def _sync_volume(self, volume: Object) -> None:
        reference = claim_reference(volume)
        if reference is None or not reference.get("uid"):
            self._volume_phase(volume, "Available")
            return
        claim = self._claim_of(reference)
        if claim is None:
            if phase_of(volume) not in ("Released", "Failed"):
                self._volume_phase(volume, "Released")
        elif not spec_of(claim).get("volumeName"):
            self._offer(volume, claim)
        elif spec_of(claim)["volumeName"] == name_of(volume):
            self._volume_phase(volume, "Bound")
        elif self._is_spare(volume):
            self._volume_phase(volume, "Released")
        else:
            self._unbind(volume)

    def _claim_of(self, reference: Object) -> Object | None:
        """The claim that a volume names, by uid. Another claim of that name is no claim of this volume."""
        namespace, name, uid = reference["namespace"], reference["name"], reference["uid"]
        claim = self.claims.get(name, namespace)
        if claim is None or uid_of(claim) != uid:
            # The cache may be behind: what is at stake is the data, so ask.
            claim = self.client.find(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        return claim if claim is not None and uid_of(claim) == uid else None

    def _offer(self, volume: Object, claim: Object) -> None:
        if mode_of(volume) != mode_of(claim):
            message = "Cannot bind to requested volume: volumeMode does not match"
            self._say(claim, "VolumeMismatch", message, "Warning")
            return
        self.queue.add(BindKey(namespace_of(claim), name_of(claim)))

    def _is_spare(self, volume: Object) -> bool:
        """Provisioned for a claim that took another volume meanwhile."""
        policy = spec_of(volume).get("persistentVolumeReclaimPolicy")
        return PROVISIONED_BY in annotations_of(volume) and policy == "Delete"

    def _unbind(self, volume: Object) -> None:
        fresh = copied(volume)
        if BOUND_BY_CONTROLLER in annotations_of(volume):
            fresh["spec"]["claimRef"] = None
            del fresh["metadata"]["annotations"][BOUND_BY_CONTROLLER]
        else:
            fresh["spec"]["claimRef"]["uid"] = ""
        saved = self.context.replace(PERSISTENT_VOLUMES, fresh)
        self._volume_phase(saved, "Available")

    # -- binding ----------------------------------------------------------------------------------

    def _bind(self, volume: Object, claim: Object) -> None:
        """The four writes of a binding, in the order that makes a crash between any two repairable."""
        volume = self._bind_volume_to_claim(volume, claim)
        volume = self._volume_phase(volume, "Bound")
        claim = self._bind_claim_to_volume(volume, claim)
        self._claim_phase(claim, "Bound", volume)

    def _bind_volume_to_claim(self, volume: Object, claim: Object) -> Object:
        fresh = copied(volume)
        changed = False
        if not is_volume_bound_to(volume, claim):
            changed = annotate(fresh, BOUND_BY_CONTROLLER, "yes")
        reference = claim_reference(volume) or {}
        if reference.get("uid") != uid_of(claim):
            fresh["spec"]["claimRef"] = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace_of(claim),
                "name": name_of(claim),
                "uid": uid_of(claim),
                "resourceVersion": claim["metadata"]["resourceVersion"],
            }
            changed = True
        return self.context.replace(PERSISTENT_VOLUMES, fresh) if changed else volume

    def _bind_claim_to_volume(self, volume: Object, claim: Object) -> Object:
        fresh = copied(claim)
        changed = False
        if spec_of(claim).get("volumeName") != name_of(volume):
            fresh["spec"]["volumeName"] = name_of(volume)
            annotate(fresh, BOUND_BY_CONTROLLER, "yes")
            changed = True
        changed = annotate(fresh, BIND_COMPLETED, "yes") or changed
        return self.context.replace(PERSISTENT_VOLUME_CLAIMS, fresh) if changed else claim

    def _volume_phase(self, volume: Object, phase: str) -> Object:
        if phase_of(volume) == phase:
            return volume
        fresh = copied(volume)
        fresh.setdefault("status", {})["phase"] = phase
        fresh["status"].pop("message", None)
        return self.context.replace_status(PERSISTENT_VOLUMES, fresh)

    def _claim_phase(self, claim: Object, phase: str, volume: Object | None = None) -> Object:
        fresh = copied(claim)
        status = fresh.setdefault("status", {})
        before = copied(status)
        status["phase"] = phase
        if volume is None:
            status.pop("accessModes", None)
            status.pop("capacity", None)
        else:
            status["accessModes"] = modes_of(volume)
            if before.get("phase") != phase or "capacity" not in status:
                # Later growth is reported by the expansion, when the file system has really grown.
                status["capacity"] = dict(spec_of(volume).get("capacity") or {})
        if status == before:
            return claim
        return self.context.replace_status(PERSISTENT_VOLUME_CLAIMS, fresh)

    def _say(self, claim: Object, reason: str, message: str, kind: str = "Normal") -> None:
        self.context.event(claim, PERSISTENT_VOLUME_CLAIMS, kind, reason, message, _BY)


def is_provisionable(claim: Object, delayed_class: bool) -> bool:
    """The external provisioner's own question: is this claim mine to provision now?"""
    if spec_of(claim).get("volumeName") or STORAGE_PROVISIONER not in annotations_of(claim):
        return False
    return not delayed_class or SELECTED_NODE in annotations_of(claim)
