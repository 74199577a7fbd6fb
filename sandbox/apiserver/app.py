"""The ASGI application: authentication, authorization, routing, answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from sandbox.apiserver import auth, discovery
from sandbox.apiserver.bodies import Answer, json_answer
from sandbox.apiserver.call import Call, parse_query
from sandbox.apiserver.errors import StatusError, internal, no_route
from sandbox.apiserver.objects import Objects
from sandbox.apiserver.rbac import Wish
from sandbox.apiserver.routes import resource_route, split
from sandbox.apiserver.server import Cluster

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY_LIMIT_BYTES = 3 * 1024 * 1024
_HEALTH_PATHS = ("/healthz", "/readyz", "/livez")


class Application:
    """Serves one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._objects = Objects(cluster)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        call = await _read_call(scope, receive)
        try:
            answer = await self._answer(call)
        except StatusError as error:
            answer = json_answer(error.code, error.to_json())
        except Exception as error:
            log.exception("%s %s failed", call.method, call.path)
            answer = json_answer(500, internal(repr(error)).to_json())
        await _send_answer(call, answer, send)

    async def _answer(self, call: Call) -> Answer:
        if call.path.startswith(_HEALTH_PATHS):
            return Answer(200, b"ok", "text/plain")
        if len(call.body) > _BODY_LIMIT_BYTES:
            raise StatusError(413, "RequestEntityTooLarge", f"limit is {_BODY_LIMIT_BYTES}")
        cluster = self._cluster
        call.user = auth.authenticate(call, cluster.tokens, cluster.store)
        self._impersonate(call)
        parts = split(call.path)
        if (len(parts) > 2 and parts[0] == "api") or (len(parts) > 3 and parts[0] == "apis"):
            route = resource_route(call, parts, cluster.registry)
            cluster.authorizer.require(call.user, route.wish)
            return await self._objects.answer(call, route)
        cluster.authorizer.require(call.user, Wish(call.method.lower(), path=call.path))
        return json_answer(200, self._document(parts))

    def _impersonate(self, call: Call) -> None:
        other = auth.impersonated(call, call.query_lists.pop("\0groups", []))
        if other is not None:
            wish = Wish("impersonate", resource="users", name=other.name)
            self._cluster.authorizer.require(call.user, wish)
            call.user = other

    def _document(self, parts: list[str]) -> Any:
        registry = self._cluster.registry
        found: Any
        match parts:
            case []:
                found = {
                    "paths": ["/api", "/api/v1", "/apis", "/healthz", "/openapi/v3", "/readyz", "/version"]
                }
            case ["version"]:
                found = discovery.VERSION
            case ["api"]:
                found = discovery.api_versions()
            case ["apis"]:
                found = discovery.group_list(registry)
            case ["api", version]:
                found = discovery.resource_list(registry, "", version)
            case ["apis", group]:
                found = discovery.group(registry, group)
            case ["apis", group, version]:
                found = discovery.resource_list(registry, group, version)
            case ["openapi", "v3", *rest]:
                found = self._cluster.openapi.document(rest)
            case _:
                found = None
        if found is None:
            raise no_route()
        return found


async def _read_call(scope: Scope, receive: Receive) -> Call:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers: dict[str, str] = {}
    groups = []
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        headers[key] = value.decode("latin-1")
        if key == "impersonate-group":
            groups.append(headers[key])
    query, lists = parse_query(scope["query_string"])
    if groups:
        lists["\0groups"] = groups
    return Call(scope["method"], scope["path"], query, headers, b"".join(chunks), query_lists=lists)


async def _send_answer(call: Call, answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"cache-control", b"no-cache, private"),
        *((b"warning", _warning(text)) for text in dict.fromkeys(call.warnings)),
        *((name.encode(), value.encode()) for name, value in answer.headers.items()),
    ]
    if answer.stream is None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    if answer.stream is None:
        await send({"type": "http.response.body", "body": answer.body})
        return
    try:
        async for chunk in answer.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        await answer.stream.aclose()  # type: ignore[attr-defined]
    await send({"type": "http.response.body", "body": b""})


def _warning(text: str) -> bytes:
    quoted = msgspec.json.encode(text).decode()
    return f"299 - {quoted}".encode("ascii", "backslashreplace")
