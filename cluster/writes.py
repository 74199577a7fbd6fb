"""Every write but deletion. Field manager `holdfast`, preconditions, typed errors, the hook around each call."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.transport import Transport
from cluster.values import ClaimRef, Manifest, Ref, Volume, Workload


class Writes(Transport):
    def create(self, manifest: Manifest) -> Ref:
        """Creates the object; `AlreadyExists` carries the Ref (with UID), labels and annotations of what is there."""
        raise NotImplementedError

    def annotate(self, ref: Ref, values: Mapping[str, str | None], *, resource_version: str = "") -> str:
        """Sets annotations, None removes one. `ref.uid` is tested when given. The new resourceVersion; `Conflict` when it moved."""
        raise NotImplementedError

    def label(self, ref: Ref, values: Mapping[str, str | None], *, resource_version: str = "") -> str:
        """As `annotate`, for labels."""
        raise NotImplementedError

    def set_reclaim_policy(
        self, volume: Volume, policy: str, *, annotations: Mapping[str, str | None] | None = None
    ) -> Volume:
        """Sets persistentVolumeReclaimPolicy on exactly this volume (UID and resourceVersion tested) and gives it as read again.

        Raises `Conflict` when the volume changed since, or when the reread does not show `policy`.
        """
        raise NotImplementedError

    def reserve_volume(self, volume: Volume, *, expected_claim_uid: str, namespace: str, name: str) -> Volume:
        """Replaces spec.claimRef whole, without uid, in one JSON patch that tests the old claim's UID (C2.4).

        Gives the volume as read again. `Conflict` when another claim holds it. Retain must be set before: refused otherwise.
        """
        raise NotImplementedError

    def restore_claim_ref(self, volume: Volume, *, expected: ClaimRef | None, wanted: ClaimRef) -> Volume:
        """Puts a reservation for `wanted` in place of `expected` (None: no claimRef), for rolling back and Undo."""
        raise NotImplementedError

    def scale(
        self, kind: str, namespace: str, name: str, replicas: int, *, resource_version: str = ""
    ) -> Workload:
        """Sets replicas by the scale subresource; gives the workload as read again."""
        raise NotImplementedError

    def suspend(
        self,
        kind: str,
        namespace: str,
        name: str,
        value: bool,
        *,
        resource_version: str = "",
        annotations: Mapping[str, str | None] | None = None,
    ) -> str:
        """Sets spec.suspend of a Kustomization, HelmRelease, GitRepository, CronJob or Job. The new resourceVersion."""
        raise NotImplementedError

    def request_reconcile(self, kind: str, namespace: str, name: str, token: str) -> str:
        """Asks Flux for a reconcile: annotation requestedAt = token (unique, see `flux.new_token()`). The new resourceVersion."""
        raise NotImplementedError
