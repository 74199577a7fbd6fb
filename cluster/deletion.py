"""The one place that may delete anything, and the probe that must never. A test holds the bytes that both send.

A DELETE with a body ignores `?dryRun=All` (section 0 of the domain facts, fact 4). So the probe sends the query and no body, and a real
deletion sends a body with preconditions and no query; neither can be turned into the other by an argument.
"""

from __future__ import annotations

from typing import Any, Literal

from cluster.answers import Asked, error_of
from cluster.base import Ref
from cluster.errors import ClusterError, Denied, EngineDown, Forbidden, NotFound, Unavailable
from cluster.policies import ProbeAnswer
from cluster.transport import JSON, Transport

Propagation = Literal["Background", "Foreground", "Orphan"]
# Never a namespace, never a volume: a volume that is purged goes by its reclaim policy.
DELETABLE = {"PersistentVolumeClaim", "Pod", "Job", "VolumeSnapshot", "VolumeSnapshotContent"}


class Deletion(Transport):
    """Deletes by UID, and asks what a deletion would answer."""

    def delete(
        self,
        ref: Ref,
        *,
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace_period_s: int | None = None,
    ) -> None:
        """Deletes exactly the object with `ref.uid`. Finalizers may keep it a while: wait until `get_*` gives None.

        Raises NotFound, Conflict (another object, or changed since `resource_version`), Denied, EngineDown, Forbidden, Unavailable;
        `ValueError` without a UID, a namespace or for a kind that Holdfast never deletes.
        """
        if not ref.uid or not ref.name:
            raise ValueError(f"Deleting {ref} needs its name and UID.")
        if ref.kind not in DELETABLE:
            raise ValueError(f"Holdfast never deletes a {ref.kind}.")
        preconditions = {"uid": ref.uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        path = self._resource_of(ref).path(ref.namespace, ref.name)
        self._mutate("delete", "DELETE", path, {}, options, JSON, ref)

    def delete_pod(self, ref: Ref) -> None:
        """Deletes exactly this pod, with its own grace period."""
        if ref.kind != "Pod":
            raise ValueError(f"{ref} is no pod.")
        self.delete(ref)

    def probe_delete(self, namespace: str, name: str) -> ProbeAnswer:
        """What the server answers to deleting the claim, as the identity of this `Cluster`: a dry run, which changes nothing."""
        if not namespace or not name:
            raise ValueError("A probe needs a namespace and a name.")
        resource = self.resource("PersistentVolumeClaim")
        path = resource.path(namespace, name)
        try:
            answer = self._connection.send(
                "DELETE", path, {"dryRun": "All"}, None, "", self.config.read_timeout_s
            )
        except Unavailable as error:
            return ProbeAnswer("unknown", 0, message=error.happened)
        if answer.status in {200, 202}:
            return ProbeAnswer("unprotected", answer.status)
        ref = Ref("v1", resource.kind, namespace, name)
        return probe_answer(error_of(answer, Asked("probe", ref)), answer.status)


def probe_answer(error: ClusterError, status: int) -> ProbeAnswer:
    """The verdict behind an error answer to the probe (B3)."""
    message = error.happened
    if isinstance(error, Denied) and error.by == "built-in":
        return ProbeAnswer("unknown", status, message=error.message)
    if isinstance(error, Denied):
        return ProbeAnswer("protected", status, error.by, error.policy, error.message)
    if isinstance(error, EngineDown):
        return ProbeAnswer("engine-down", status, "webhook", error.webhook, message)
    if isinstance(error, Forbidden):
        return ProbeAnswer("forbidden", status, message=message)
    if isinstance(error, NotFound):
        return ProbeAnswer("gone", status, message=message)
    return ProbeAnswer("unknown", status, message=message)
