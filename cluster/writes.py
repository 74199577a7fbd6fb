"""Every write but deletion. Field manager `holdfast`, preconditions, typed errors, the hook around each call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from cluster.answers import Asked
from cluster.base import Manifest, Ref
from cluster.errors import AlreadyExists, ClusterError, Conflict, Invalid, NotFound, Unavailable
from cluster.flux import REQUESTED_AT
from cluster.reads import Reads
from cluster.transport import FIELD_MANAGER, JSON, JSON_PATCH, MERGE_PATCH, Verb
from cluster.values import ClaimRef, Volume, Workload
from cluster.wire import MetaW, ObjectW

MANAGED = {"fieldManager": FIELD_MANAGER}
Annotations = Mapping[str, str | None]


class Writes(Reads):
    """Creates and patches. Where a method takes `resource_version`, an object that changed since raises `Conflict`."""

    def create(self, manifest: Manifest) -> Ref:
        """Creates the object; `AlreadyExists` carries the Ref (with UID), labels and annotations of what is there."""
        resource = self._resource_of(manifest.ref)
        path = resource.path(manifest.namespace)
        try:
            answer = self._mutate("create", "POST", path, MANAGED, manifest.data, JSON, manifest.ref)
        except AlreadyExists as error:
            raise self._existing(manifest.ref, error) from error
        made = msgspec.json.decode(answer.body, type=ObjectW).metadata
        return _with_uid(manifest.ref, made)

    def _existing(self, ref: Ref, error: AlreadyExists) -> AlreadyExists | Conflict:
        resource = self._resource_of(ref)
        try:
            there = self._read(
                resource.path(ref.namespace, ref.name), {}, ObjectW, Asked("get", ref)
            ).metadata
        except NotFound:
            return Conflict(
                error.happened, safe=error.safe, next="It was deleted meanwhile: try again.", status=409
            )
        return AlreadyExists(
            error.happened,
            safe=error.safe,
            next=error.next,
            existing=_with_uid(ref, there),
            labels=there.labels or {},
            annotations=there.annotations or {},
        )

    def annotate(self, ref: Ref, values: Annotations, *, resource_version: str = "") -> str:
        """Sets annotations, None removes one; `ref.uid` is tested when given. The new resourceVersion."""
        return self._patch_meta(ref, {"annotations": dict(values)}, resource_version)

    def label(self, ref: Ref, values: Annotations, *, resource_version: str = "") -> str:
        """As `annotate`, for labels."""
        return self._patch_meta(ref, {"labels": dict(values)}, resource_version)

    def _patch_meta(self, ref: Ref, metadata: dict[str, Any], resource_version: str) -> str:
        return self._merge(ref, {"metadata": metadata}, resource_version).resource_version or ""

    def _merge(
        self,
        ref: Ref,
        content: dict[str, Any],
        resource_version: str,
        subresource: str = "",
        verb: Verb = "patch",
    ) -> MetaW:
        """One merge patch with the preconditions of `ref.uid` and `resource_version`; the metadata after it."""
        resource = self._resource_of(ref)
        metadata = dict(content.get("metadata") or {})
        if ref.uid:
            metadata["uid"] = ref.uid
        if resource_version:
            metadata["resourceVersion"] = resource_version
        body = content | ({"metadata": metadata} if metadata else {})
        path = resource.path(ref.namespace, ref.name, subresource)
        answer = self._mutate(verb, "PATCH", path, MANAGED, body, MERGE_PATCH, ref)
        return msgspec.json.decode(answer.body, type=ObjectW).metadata

    # Volumes ---------------------------------------------------------------------------------------------------------

    def set_reclaim_policy(
        self, volume: Volume, policy: str, *, annotations: Annotations | None = None
    ) -> Volume:
        """Sets persistentVolumeReclaimPolicy on exactly this volume (UID and resourceVersion tested) and gives it as read again.

        Raises `Conflict` when the volume changed since, or when the reread does not show `policy`.
        """
        content: dict[str, Any] = {"spec": {"persistentVolumeReclaimPolicy": policy}}
        if annotations:
            content["metadata"] = {"annotations": dict(annotations)}
        self._merge(volume.ref, content, volume.resource_version)
        again = self._same_volume(volume)
        if again.reclaim_policy != policy:
            raise _conflict(volume, f"its reclaim policy reads {again.reclaim_policy}, not {policy}")
        return again

    def reserve_volume(self, volume: Volume, *, expected_claim_uid: str, namespace: str, name: str) -> Volume:
        """Replaces spec.claimRef whole, without uid, in one JSON patch that tests the old claim's UID (C2.4).

        Gives the volume as read again. Raises `Conflict` when the volume changed, another claim holds it, or it is not on Retain:
        a merge would keep the stale uid, and with policy Delete the controller would then destroy the data.
        """
        if not expected_claim_uid:
            raise ValueError("The UID of the claim that held the volume is required.")
        tests = [
            {"op": "test", "path": "/spec/persistentVolumeReclaimPolicy", "value": "Retain"},
            {"op": "test", "path": "/spec/claimRef/uid", "value": expected_claim_uid},
        ]
        wanted = ClaimRef(namespace, name)
        return self._set_claim_ref(volume, tests, "replace", wanted)

    def restore_claim_ref(self, volume: Volume, *, expected: ClaimRef | None, wanted: ClaimRef) -> Volume:
        """Puts `wanted` in place of `expected` (None: no claimRef), for rolling back and Undo. Retain must be set."""
        tests = [{"op": "test", "path": "/spec/persistentVolumeReclaimPolicy", "value": "Retain"}]
        if expected is not None:
            tests.append({"op": "test", "path": "/spec/claimRef/namespace", "value": expected.namespace})
            tests.append({"op": "test", "path": "/spec/claimRef/name", "value": expected.name})
        if expected is not None and expected.uid:
            tests.append({"op": "test", "path": "/spec/claimRef/uid", "value": expected.uid})
        return self._set_claim_ref(volume, tests, "replace" if expected else "add", wanted)

    def _set_claim_ref(
        self, volume: Volume, tests: list[dict[str, str]], operation: str, wanted: ClaimRef
    ) -> Volume:
        claim_ref = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": wanted.namespace,
            "name": wanted.name,
        }
        if wanted.uid:
            claim_ref["uid"] = wanted.uid
        patch: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": volume.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": volume.resource_version},
            *tests,
            {"op": operation, "path": "/spec/claimRef", "value": claim_ref},
        ]
        path = self._resource_of(volume.ref).path("", volume.name)
        try:
            self._mutate("patch", "PATCH", path, MANAGED, patch, JSON_PATCH, volume.ref)
        except Invalid as error:
            raise _conflict(
                volume, f"a test of the patch failed: {error.causes[0] if error.causes else ''}"
            ) from error
        again = self._same_volume(volume)
        held = again.claim_ref
        if held is None or (held.namespace, held.name) != (wanted.namespace, wanted.name):
            raise _conflict(volume, f"its claimRef reads {held}")
        return again

    def _same_volume(self, volume: Volume) -> Volume:
        with _changed_already():
            again = self.get_volume(volume.name)
        if again is None or again.uid != volume.uid:
            raise _conflict(volume, "it is gone or another")
        return again

    # Workloads and GitOps --------------------------------------------------------------------------------------------

    def scale(
        self, kind: str, namespace: str, name: str, replicas: int, *, resource_version: str = ""
    ) -> Workload:
        """Sets replicas by the scale subresource; gives the workload as read again."""
        resource = self.resource(kind)
        ref = Ref(resource.api_version, kind, namespace, name)
        self._merge(ref, {"spec": {"replicas": replicas}}, resource_version, "scale", "scale")
        with _changed_already():
            again = self.get_workload(kind, namespace, name)
        if again is None:
            raise NotFound(
                f"{ref} is gone.",
                safe="It was scaled, then deleted.",
                next="Look who deleted it.",
                status=404,
            )
        return again

    def suspend(
        self,
        kind: str,
        namespace: str,
        name: str,
        value: bool,
        *,
        resource_version: str = "",
        annotations: Annotations | None = None,
    ) -> str:
        """Sets spec.suspend of a Kustomization, HelmRelease, GitRepository, CronJob or Job. The new resourceVersion.

        Resuming takes the field of Flux's kinds away, as the flux program does: a `false` of ours would hide from their
        parent, and from us, that Git states it.
        """
        ref = self._ref(kind, namespace, name)
        resumed = False if kind in {"CronJob", "Job"} else None
        content: dict[str, Any] = {"spec": {"suspend": True if value else resumed}}
        if annotations:
            content["metadata"] = {"annotations": dict(annotations)}
        return self._merge(ref, content, resource_version).resource_version or ""

    def request_reconcile(self, kind: str, namespace: str, name: str, token: str) -> str:
        """Asks Flux for a reconcile: annotation requestedAt = `token` (unique: `flux.new_token()`). The new resourceVersion."""
        return self.annotate(self._ref(kind, namespace, name), {REQUESTED_AT: token})

    def _ref(self, kind: str, namespace: str, name: str) -> Ref:
        return Ref(self.resource(kind).api_version, kind, namespace, name)


@contextmanager
def _changed_already() -> Iterator[None]:
    """Around reading again what was just changed: that this fails does not say that nothing was changed."""
    try:
        yield
    except ClusterError as error:
        raise Unavailable(
            error.happened,
            safe="The change was made; what it came to was not seen.",
            next=error.next,
            command=error.command,
            status=error.status,
            maybe_done=True,
        ) from error


def _with_uid(ref: Ref, metadata: MetaW) -> Ref:
    return Ref(ref.api_version, ref.kind, ref.namespace, ref.name, metadata.uid or "")


def _conflict(volume: Volume, why: str) -> Conflict:
    return Conflict(
        f"{volume.ref} is not what was expected: {why}.",
        safe="The data on the volume is untouched.",
        next="It is read again before anything else is tried.",
        command=f"kubectl get pv {volume.name} -o yaml",
        status=409,
    )
