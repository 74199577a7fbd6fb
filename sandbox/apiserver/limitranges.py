"""LimitRange: defaults for containers, and bounds for containers and claims."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import quantity
from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.errors import forbidden
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.store import Store

Json = dict[str, Any]

_RANGES = ("", "limitranges")


def _limits(store: Store, namespace: str, kind: str) -> Iterator[Json]:
    for entry in store.entries(_RANGES, namespace):
        for limit in (entry.decode().get("spec") or {}).get("limits") or ():
            if limit.get("type") == kind:
                yield limit


def add_defaults(store: Store, resource: ResourceType, item: Json) -> None:
    """Gives a new pod's containers the default requests and limits of the namespace."""
    if resource.table != ("", "pods"):
        return
    for limit in _limits(store, item["metadata"].get("namespace", ""), "Container"):
        for container in (item.get("spec") or {}).get("containers") or ():
            resources = container.setdefault("resources", {})
            for field, source in (("limits", "default"), ("requests", "defaultRequest")):
                for name, value in (limit.get(source) or {}).items():
                    resources.setdefault(field, {}).setdefault(name, value)


def check(store: Store, attributes: Attributes) -> None:
    """StatusError 403 when a claim or a container is outside the bounds of its namespace."""
    if attributes.new is None or attributes.subresource or not attributes.namespace:
        return
    if attributes.resource.table == ("", "persistentvolumeclaims"):
        requests = ((attributes.new.get("spec") or {}).get("resources") or {}).get("requests") or {}
        for limit in _limits(store, attributes.namespace, "PersistentVolumeClaim"):
            _check_bounds(limit, requests, attributes, "PersistentVolumeClaim", "request")
    elif attributes.resource.table == ("", "pods") and attributes.operation == "CREATE":
        for limit in _limits(store, attributes.namespace, "Container"):
            for container in (attributes.new.get("spec") or {}).get("containers") or ():
                resources = container.get("resources") or {}
                _check_bounds(
                    {"min": limit.get("min")},
                    resources.get("requests") or {},
                    attributes,
                    "Container",
                    "request",
                )
                _check_bounds(
                    {"max": limit.get("max")}, resources.get("limits") or {}, attributes, "Container", "limit"
                )


def _check_bounds(limit: Json, given: Json, attributes: Attributes, kind: str, word: str) -> None:
    problems = []
    for bound, text in (("min", "minimum"), ("max", "maximum")):
        for name, value in (limit.get(bound) or {}).items():
            if name not in given:
                if kind == "Container":
                    problems.append(f"{text} {name} usage per {kind} is {value}.  No {word} is specified")
                continue
            amount, edge = quantity.parse(given[name]), quantity.parse(value)
            if (bound == "min" and amount < edge) or (bound == "max" and amount > edge):
                problems.append(f"{text} {name} usage per {kind} is {value}, but {word} is {given[name]}")
    if problems:
        why = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise forbidden(attributes.resource.group, attributes.resource.plural, attributes.name, why)
