"""Subresources that are more than a part of the object: log, binding, eviction, token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.apiserver import logs
from sandbox.apiserver.bodies import Answer, json_answer
from sandbox.apiserver.call import Call, DeleteOptions
from sandbox.apiserver.changes import Target
from sandbox.apiserver.errors import bad_request, conflict, method_not_allowed
from sandbox.apiserver.routes import Route
from sandbox.apiserver.server import Cluster

Json = dict[str, Any]

_SUCCESS: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_TOKEN_LIFE_S = 3600


class Subresources:
    """Answers the requests of a route with such a subresource."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def answer(self, call: Call, route: Route) -> Answer:
        match route.subresource, route.verb:
            case "log", "get":
                return self._log(call, route)
            case "binding", "create":
                return await self._bind(call, route)
            case "eviction", "create":
                return await self._evict(call, route)
            case "token", "create":
                return self._token(call, route)
        raise method_not_allowed()

    def _log(self, call: Call, route: Route) -> Answer:
        entry = self._cluster.reads.get(route.resource, route.namespace, route.name)
        pod = entry.decode()
        container = logs.container_of(pod, call.query.get("container", ""))
        folder = self._cluster.logs / entry.uid
        if call.flag("previous"):
            path = folder / f"{container}.previous.log"
            if not path.exists():
                raise bad_request(
                    f'previous terminated container "{container}" in pod "{route.name}" not found'
                )
        else:
            logs.check_started(pod, container)
            path = folder / f"{container}.log"
        reader = logs.LogReader(path, call)
        return Answer(
            200, content_type="text/plain", stream=self._log_stream(reader, route, entry.uid, container)
        )

    async def _log_stream(
        self, reader: logs.LogReader, route: Route, uid: str, container: str
    ) -> AsyncIterator[bytes]:
        def finished() -> bool:
            entry = self._cluster.store.get(route.resource.table, route.namespace, route.name)
            gone = entry is None or entry.uid != uid
            return (
                self._cluster.store.closing
                or gone
                or (entry is not None and _ended(entry.decode(), container))
            )

        yield b""
        async for chunk in reader.stream(finished):
            yield chunk

    async def _bind(self, call: Call, route: Route) -> Answer:
        body = call.decode_object()
        node = (body.get("target") or {}).get("name", "")
        target = Target(route.resource, route.namespace, route.name, internal=True)

        def assign(pod: Json) -> Json:
            spec = pod["spec"]
            if spec.get("nodeName"):
                why = f'pod {route.name} is already assigned to node "{spec["nodeName"]}"'
                raise conflict("", "pods/binding", route.name, why)
            spec["nodeName"] = node
            conditions = pod.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [one for one in conditions if one["type"] != "PodScheduled"]
            return pod

        await self._cluster.writes.update(call, target, assign, dry_run=call.dry_run())
        return json_answer(201, _SUCCESS)

    async def _evict(self, call: Call, route: Route) -> Answer:
        body = call.decode_object()
        options = body.get("deleteOptions") or {}
        chosen = DeleteOptions(
            dry_run=call.dry_run() or bool(options.get("dryRun")),
            grace_period_s=options.get("gracePeriodSeconds"),
        )
        await self._cluster.writes.delete(call, Target(route.resource, route.namespace, route.name), chosen)
        return json_answer(201, _SUCCESS)

    def _token(self, call: Call, route: Route) -> Answer:
        entry = self._cluster.reads.get(route.resource, route.namespace, route.name)
        body = call.decode_object()
        spec = body.get("spec") or {}
        seconds = int(spec.get("expirationSeconds") or _TOKEN_LIFE_S)
        token = self._cluster.tokens.issue(route.namespace, route.name, entry.uid, seconds)
        expires = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": route.name, "namespace": route.namespace, "creationTimestamp": None},
            "spec": {**spec, "expirationSeconds": seconds},
            "status": {"token": token, "expirationTimestamp": expires},
        }
        return json_answer(201, found)


def _ended(pod: Json, container: str) -> bool:
    """Whether a container writes no more: its pod is over, or it has ended and will not be started again."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    for one in (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or []):
        if one.get("name") == container:
            return bool((one.get("state") or {}).get("terminated"))
    return False
