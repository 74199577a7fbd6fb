"""pvc-protection and pv-protection: what is in use is not removed before it is let go."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    claim_names,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    phase_of,
    spec_of,
    with_finalizer,
    without_finalizer,
)
from sandbox.controllers.storage.names import PV_PROTECTION, PVC_PROTECTION
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS


def holds_claim(pod: Object, claim_name: str) -> bool:
    """Any scheduled pod object holds its claims, also a finished one."""
    return bool(spec_of(pod).get("nodeName")) and claim_name in claim_names(pod).values()


class ClaimProtection(Controller):
    name = "pvc-protection"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS)
        self.pods = self.watch(PODS, self._of_pod)

    def _of_pod(self, pod: Object) -> Iterator[tuple[str, str]]:
        for name in claim_names(pod).values():
            yield namespace_of(pod), name

    def reconcile(self, key: tuple[str, str]) -> float | None:
        claim = self.claims.get(key[1], key[0])
        if claim is None:
            return None
        held = PVC_PROTECTION in finalizers_of(claim)
        if not is_deleting(claim) and not held:
            self.context.replace(PERSISTENT_VOLUME_CLAIMS, with_finalizer(claim, PVC_PROTECTION))
        elif is_deleting(claim) and held and not self._is_used(claim):
            self.context.replace(PERSISTENT_VOLUME_CLAIMS, without_finalizer(claim, PVC_PROTECTION))
        return None

    def _is_used(self, claim: Object) -> bool:
        name, namespace = name_of(claim), namespace_of(claim)
        if any(holds_claim(pod, name) for pod in self.pods.list(namespace)):
            return True
        # The cache may be behind a pod that was just scheduled: ask before letting go.
        return any(holds_claim(pod, name) for pod in self.client.list(PODS, namespace))


class VolumeProtection(Controller):
    name = "pv-protection"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.volumes = self.watch(PERSISTENT_VOLUMES)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        volume = self.volumes.get(key[1])
        if volume is None:
            return None
        held = PV_PROTECTION in finalizers_of(volume)
        if not is_deleting(volume) and not held:
            self.context.replace(PERSISTENT_VOLUMES, with_finalizer(volume, PV_PROTECTION))
        elif is_deleting(volume) and held and phase_of(volume) != "Bound":
            self.context.replace(PERSISTENT_VOLUMES, without_finalizer(volume, PV_PROTECTION))
        return None
