"""The garbage collector: dependents whose owners are gone, foreground and orphan deletion."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

from sandbox.answers import ApiError
from sandbox.controllers.core import Cache, Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    uid_of,
    without_finalizer,
)
from sandbox.kinds import CUSTOM_RESOURCE_DEFINITIONS, EVENTS, Resource

log = logging.getLogger(__name__)

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_IGNORED = {"events", "leases", "componentstatuses"}


class Target(NamedTuple):
    resource: Resource
    namespace: str
    name: str


class GarbageCollector(Controller):
    """Watches every resource that discovery names; follows definitions as they come."""

    name = "garbage"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._caches: dict[Resource, Cache] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._watching = threading.Lock()
        self._running = False
        self.watch(CUSTOM_RESOURCE_DEFINITIONS, lambda _: ["discover"])

    def prepare(self) -> None:
        """Watches what is there now; called before the caches are started."""
        self._discover()
        self._running = True

    def _discover(self) -> None:
        for resource in self.client.all_resources():
            if resource.plural in _IGNORED or resource == EVENTS:
                continue
            with self._watching:
                if resource in self._caches:
                    continue
                self._kinds[resource.api_version, resource.kind] = resource
                self._caches[resource] = self._follow(resource)

    def _follow(self, resource: Resource) -> Cache:
        known = {cache.resource for cache in self.context.caches()}
        cache = self.watch(resource, lambda item: self._keys(resource, item))
        if self._running and resource not in known:
            cache.start()
        return cache

    def _keys(self, resource: Resource, item: Object) -> list[Target]:
        """The object itself, and all that it owns once it is going or gone."""
        keys = []
        owners = item["metadata"].get("ownerReferences") or []
        if owners or _FOREGROUND in finalizers_of(item) or _ORPHAN in finalizers_of(item):
            keys.append(Target(resource, namespace_of(item), name_of(item)))
        if is_deleting(item) or self._is_gone(resource, item):
            keys += [target for target, _ in self._dependents(item)]
        if is_deleting(item) or self._is_gone(resource, item):
            # An owner that waits in the foreground is looked at again when a dependent goes.
            for owner in owners:
                kind = self._kinds.get((owner["apiVersion"], owner["kind"]))
                if kind is not None:
                    keys.append(Target(kind, namespace_of(item) if kind.namespaced else "", owner["name"]))
        return keys

    def _is_gone(self, resource: Resource, item: Object) -> bool:
        known = (
            self._caches[resource].get(name_of(item), namespace_of(item))
            if resource in self._caches
            else None
        )
        return known is None or uid_of(known) != uid_of(item)

    def _dependents(self, owner: Object) -> list[tuple[Target, Object]]:
        found = []
        for resource, cache in list(self._caches.items()):
            for item in cache.owned_by(uid_of(owner)):
                found.append((Target(resource, namespace_of(item), name_of(item)), item))
        return found

    def reconcile(self, key: object) -> float | None:
        if not isinstance(key, Target):
            self._discover()
            return None
        cache = self._caches.get(key.resource)
        item = cache.get(key.name, key.namespace) if cache else None
        if item is None:
            return None
        if is_deleting(item):
            if _ORPHAN in finalizers_of(item):
                self._orphan(key, item)
            elif _FOREGROUND in finalizers_of(item):
                return self._foreground(key, item)
            return None
        if item["metadata"].get("ownerReferences"):
            self._judge(key, item)
        return None

    # -- owners -----------------------------------------------------------------------------------

    def _orphan(self, key: Target, owner: Object) -> None:
        """Cuts the dependents loose, then lets the owner go."""
        for target, item in self._dependents(owner):
            self._cut(target, item, {uid_of(owner)})
        current = self.client.find(key.resource, key.name, key.namespace)
        if current is not None and _ORPHAN in finalizers_of(current):
            self.context.replace(key.resource, without_finalizer(current, _ORPHAN))

    def _foreground(self, key: Target, owner: Object) -> float | None:
        blocking = False
        for target, item in self._dependents(owner):
            if not is_deleting(item):
                self.context.delete(target.resource, item, propagation="Foreground")
            references = item["metadata"].get("ownerReferences") or []
            if any(entry["uid"] == uid_of(owner) and entry.get("blockOwnerDeletion") for entry in references):
                blocking = True
        if blocking:
            return 0.5
        current = self.client.find(key.resource, key.name, key.namespace)
        if current is not None and _FOREGROUND in finalizers_of(current):
            self.context.replace(key.resource, without_finalizer(current, _FOREGROUND))
        return None

    # -- dependents -------------------------------------------------------------------------------

    def _judge(self, key: Target, item: Object) -> None:
        """Deletes what has no living owner; cuts references to dead ones where another lives."""
        owners = item["metadata"]["ownerReferences"]
        dead: set[str] = set()
        waiting: set[str] = set()
        alive: set[str] = set()
        for owner in owners:
            state = self._state_of(owner, namespace_of(item))
            {"dead": dead, "waiting": waiting, "alive": alive}[state].add(owner["uid"])
        if alive:
            if dead or waiting:
                self._cut(key, item, dead | waiting)
        elif dead or waiting:
            # An owner that waits in the foreground takes its dependents the same way.
            propagation = "Foreground" if waiting and self._dependents(item) else "Background"
            if finalizers_of(item) and _ORPHAN in finalizers_of(item):
                propagation = "Orphan"
            self.context.delete(key.resource, item, propagation=propagation)

    def _state_of(self, owner: Object, namespace: str) -> str:
        """Asks the API before anything is called dead: a cache may be behind."""
        resource = self._kinds.get((owner["apiVersion"], owner["kind"]))
        if resource is None:
            try:
                resource = self.client.mapping(owner["apiVersion"], owner["kind"])
            except ApiError:
                return "alive"  # an unknown kind proves nothing
        scope = namespace if resource.namespaced else ""
        found = self._caches[resource].get(owner["name"], scope) if resource in self._caches else None
        if found is None or uid_of(found) != owner["uid"]:
            found = self.client.find(resource, owner["name"], scope)
        if found is None or uid_of(found) != owner["uid"]:
            return "dead"
        waits = is_deleting(found) and _FOREGROUND in finalizers_of(found)
        return "waiting" if waits else "alive"

    def _cut(self, key: Target, item: Object, uids: set[str]) -> None:
        fresh = copied(item)
        left = [entry for entry in item["metadata"]["ownerReferences"] if entry["uid"] not in uids]
        fresh["metadata"]["ownerReferences"] = left
        self.context.replace(key.resource, fresh)
