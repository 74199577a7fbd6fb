"""The one place that may delete anything, and the probe that must never. A test holds the bytes that both send.

A DELETE with a body ignores `?dryRun=All` (B, fact 4). So the probe sends the query and no body, and a real deletion sends a
body with preconditions and no dryRun query; neither can be turned into the other by an argument.
"""

from __future__ import annotations

from typing import Literal

from cluster.policies import ProbeAnswer
from cluster.transport import Transport
from cluster.values import Ref

Propagation = Literal["Background", "Foreground", "Orphan"]


class Deletion(Transport):
    def delete(
        self,
        ref: Ref,
        *,
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace_period_s: int | None = None,
    ) -> None:
        """Deletes exactly the object with `ref.uid` (required). It may linger while finalizers hold it: wait until get gives None.

        Raises NotFound, Conflict (another object, or changed since `resource_version`), Denied, EngineDown, Forbidden, Unavailable.
        """
        raise NotImplementedError

    def delete_pod(self, ref: Ref) -> None:
        """Deletes exactly this pod, with its own grace period."""
        raise NotImplementedError

    def probe_delete(self, namespace: str, name: str) -> ProbeAnswer:
        """What the server would answer to deleting the claim: a dry run, as the identity of this `Cluster`."""
        raise NotImplementedError
