"""What the server itself keeps current, as the quota controller does beside a real one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from sandbox.apiserver.call import Call, User
from sandbox.apiserver.changes import Target
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.server import Cluster

Json = dict[str, Any]

log = logging.getLogger(__name__)

_PAUSE_S = 0.3
_SYSTEM = User("system:kube-controller-manager", ("system:masters", "system:authenticated"))


async def keep_quota_status(cluster: Cluster) -> None:
    """Writes status.used of the quotas of namespaces that changed, until it is cancelled."""
    resource = cluster.registry.find("", "v1", "resourcequotas")
    if resource is None:
        return
    while True:
        await asyncio.sleep(_PAUSE_S)
        for quota, status in cluster.admission.quotas.stale_status():
            metadata = quota["metadata"]
            target = Target(resource, metadata["namespace"], metadata["name"], "status")
            call = Call("PUT", "", {"fieldManager": "kube-controller-manager"}, {}, b"", _SYSTEM)
            try:
                await cluster.writes.update(call, target, _with_status(status), dry_run=False)
            except StatusError as error:
                log.debug("quota %s: %s", metadata["name"], error)


def _with_status(status: Json) -> Any:
    return lambda item: {**item, "status": status}
