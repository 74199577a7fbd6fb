"""OpenAPI v3 documents: what kubectl needs to validate, apply and explain."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver import builtin_schema
from sandbox.apiserver.resources import Registry, ResourceType

Json = dict[str, Any]


class OpenApi:
    """One document a group and version."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def document(self, parts: list[str]) -> Json | None:
        """The index for [], else the document of api/v1 or apis/<group>/<version>."""
        if not parts:
            return self._index()
        match parts:
            case ["api", version]:
                return self._of_version("", version)
            case ["apis", group, version]:
                return self._of_version(group, version)
        return None

    def _index(self) -> Json:
        paths = {}
        for group, versions in self._registry.groups().items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._registry.revision}"}
        return {"paths": paths}

    def _of_version(self, group: str, version: str) -> Json | None:
        resources = [one for one in self._registry.all() if (one.group, one.version) == (group, version)]
        if not resources:
            return None
        paths: Json = {}
        schemas: Json = {}
        for resource in resources:
            paths |= _paths(resource)
            _add_schema(resource, schemas)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.33.1"},
            "paths": paths,
            "components": {"schemas": schemas},
        }


def _gvk(resource: ResourceType) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema_name(resource: ResourceType) -> str:
    if root := builtin_schema.root_of(resource):
        return builtin_schema.schema_name(root)
    domain = ".".join(reversed(resource.group.split(".")))
    return f"{domain}.{resource.version}.{resource.kind}"


def _add_schema(resource: ResourceType, schemas: Json) -> None:
    name = _schema_name(resource)
    if root := builtin_schema.root_of(resource):
        builtin_schema.openapi_schemas(root, schemas)
    else:
        schemas[name] = dict(
            resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        )
    schemas[name]["x-kubernetes-group-version-kind"] = [_gvk(resource)]


def _query(name: str, kind: str = "string") -> Json:
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}


def _operation(resource: ResourceType, action: str, body: tuple[str, ...] = ()) -> Json:
    operation: Json = {
        "parameters": [_query("dryRun"), _query("fieldManager"), _query("fieldValidation")],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if body:
        reference = {"$ref": f"#/components/schemas/{_schema_name(resource)}"}
        operation["requestBody"] = {"content": {one: {"schema": reference} for one in body}}
    return operation


def _paths(resource: ResourceType) -> Json:
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{base}{scope}/{resource.plural}"
    patch_types = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ]
    found: Json = {
        collection: {
            "get": _operation(resource, "list"),
            "post": _operation(resource, "post", ("application/json",)),
        }
    }
    if "get" in resource.verbs:
        found[collection + "/{name}"] = {
            "get": _operation(resource, "get"),
            "put": _operation(resource, "put", ("application/json",)),
            "patch": _operation(resource, "patch", tuple(patch_types)),
            "delete": _operation(resource, "delete", ("application/json",)),
        }
    return found
