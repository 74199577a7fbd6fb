"""Empties namespaces that are being deleted, and says what stands in the way."""

from __future__ import annotations

import time

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    finalizers_of,
    is_deleting,
    name_of,
    set_condition,
    spec_of,
    uid_of,
)
from sandbox.kinds import NAMESPACES, PODS, Resource

_LOOK_AGAIN_S = 0.3
_LOOK_AGAIN_LATER_S = 3.0
_DISCOVERY_S = 10.0


class NamespaceLifecycle(Controller):
    name = "namespaces"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.namespaces = self.watch(NAMESPACES)
        self._known: tuple[float, list[Resource]] = (0.0, [])
        self._seen_empty: set[str] = set()

    def reconcile(self, key: tuple[str, str]) -> float | None:
        namespace = self.namespaces.get(key[1])
        if namespace is None or not is_deleting(namespace):
            return None
        if "kubernetes" not in (spec_of(namespace).get("finalizers") or []):
            return None
        problems, remaining = self._empty(key[1])
        namespace = self._report(namespace, problems, remaining)
        if problems or remaining:
            return _LOOK_AGAIN_LATER_S if problems else _LOOK_AGAIN_S
        if uid_of(namespace) not in self._seen_empty:
            # A cache may be some milliseconds behind: believe it when it says so twice.
            self._seen_empty.add(uid_of(namespace))
            return _LOOK_AGAIN_S
        self._seen_empty.discard(uid_of(namespace))
        body = copied(namespace)
        body["spec"]["finalizers"] = [
            entry for entry in spec_of(namespace)["finalizers"] if entry != "kubernetes"
        ]
        self.client.request("PUT", NAMESPACES.path("", key[1], "finalize"), body)
        return None

    def _empty(self, name: str) -> tuple[list[str], dict[str, list[Object]]]:
        """Deletes all content, object by object, so that admission is asked for each. What refused; what is left."""
        problems: list[str] = []
        remaining: dict[str, list[Object]] = {}
        for resource in self._resources():
            for item in self.context.items(resource, name):
                if not is_deleting(item):
                    problem = self._delete(resource, item)
                    if problem:
                        problems.append(problem)
            left = self.context.items(resource, name)
            if left:
                remaining[f"{resource.plural}.{resource.group}".rstrip(".")] = left
        return problems, remaining

    def _resources(self) -> list[Resource]:
        since, known = self._known
        if time.monotonic() - since > _DISCOVERY_S:
            known = [resource for resource in self.client.all_resources() if resource.namespaced]
            known.sort(key=lambda resource: resource != PODS)
            self._known = (time.monotonic(), known)
        return known

    def _delete(self, resource: Resource, item: Object) -> str:
        try:
            self.context.delete(resource, item, propagation="Background")
        except ApiError as error:
            return f"{resource.plural} {name_of(item)}: {error.message}"
        return ""

    def _report(self, namespace: Object, problems: list[str], remaining: dict[str, list[Object]]) -> Object:
        fresh = copied(self.client.get(NAMESPACES, name_of(namespace)))
        status = fresh.setdefault("status", {})
        status["phase"] = "Terminating"
        conditions = status.setdefault("conditions", [])
        before = copied({"conditions": conditions})["conditions"]
        set_condition(
            conditions,
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        )
        set_condition(
            conditions,
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        )
        failure = "Failed to delete all resource types, " + (
            f"{len(problems)} remaining: " + "; ".join(sorted(problems))
        )
        set_condition(
            conditions,
            "NamespaceDeletionContentFailure",
            "True" if problems else "False",
            "ContentDeletionFailed" if problems else "ContentDeleted",
            failure[:1024]
            if problems
            else "All content successfully deleted, may be waiting on finalization",
        )
        _say_what_remains(conditions, remaining)
        if conditions == before:
            return fresh
        return self.context.replace_status(NAMESPACES, fresh)


def _say_what_remains(conditions: list[Object], remaining: dict[str, list[Object]]) -> None:
    counts = ", ".join(
        f"{kind} has {len(items)} resource instances" for kind, items in sorted(remaining.items())
    )
    set_condition(
        conditions,
        "NamespaceContentRemaining",
        "True" if remaining else "False",
        "SomeResourcesRemain" if remaining else "ContentRemoved",
        f"Some resources are remaining: {counts}" if remaining else "All content successfully removed",
    )
    held: dict[str, int] = {}
    for items in remaining.values():
        for item in items:
            for finalizer in finalizers_of(item):
                held[finalizer] = held.get(finalizer, 0) + 1
    listed = ", ".join(
        f"{finalizer} in {count} resource instances" for finalizer, count in sorted(held.items())
    )
    set_condition(
        conditions,
        "NamespaceFinalizersRemaining",
        "True" if held else "False",
        "SomeFinalizersRemain" if held else "ContentHasNoFinalizers",
        f"Some content in the namespace has finalizers remaining: {listed}"
        if held
        else "All content-preserving finalizers finished",
    )
