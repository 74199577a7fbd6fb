"""Reads what a path asks for, as the API's request info does."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import no_route
from sandbox.apiserver.rbac import Wish
from sandbox.apiserver.resources import Registry, ResourceType


@dataclass(frozen=True)
class Route:
    """A resource, the object in it, and the verb of the API."""

    resource: ResourceType
    namespace: str
    name: str
    subresource: str
    verb: str

    @property
    def wish(self) -> Wish:
        resource = self.resource
        namespace = self.name if resource.table == ("", "namespaces") else self.namespace
        return Wish(self.verb, resource.group, resource.plural, self.subresource, namespace, self.name)


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def split(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def resource_route(call: Call, parts: list[str], registry: Registry) -> Route:
    """The route of /api/v1/... or /apis/<group>/<version>/... StatusError 404 when there is no such resource."""
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not _is_namespace_subresource(group, rest):
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    if resource is None or (namespace and not resource.namespaced) or len(rest) > 3:
        raise no_route()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        raise no_route()
    if resource.namespaced and not namespace and (name or call.method not in ("GET", "HEAD")):
        raise no_route()
    return Route(resource, namespace, name, subresource, _verb(call, name))


def _is_namespace_subresource(group: str, rest: list[str]) -> bool:
    return not group and len(rest) == 3 and rest[2] in ("status", "finalize")


def _verb(call: Call, name: str) -> str:
    if call.method in ("GET", "HEAD"):
        if call.flag("watch"):
            return "watch"
        return "get" if name else "list"
    if call.method == "DELETE":
        return "delete" if name else "deletecollection"
    if call.method not in _VERBS:
        raise no_route()
    return _VERBS[call.method]
