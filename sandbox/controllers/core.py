"""What every controller is made of: caches that see their own writes, queues, and a recorder of events."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sandbox.answers import ApiError, WatchEvent
from sandbox.client import Client
from sandbox.controllers.objects import Object, finalizers_of, is_deleting
from sandbox.controllers.recorder import Recorder
from sandbox.informer import Informer, Key, WorkQueue, key_of, run_workers
from sandbox.kinds import Resource

log = logging.getLogger(__name__)

_REMEMBERED_GONE = 20_000


def _version(item: Object) -> int:
    return int(item["metadata"].get("resourceVersion") or 0)


class Cache(Informer):
    """An informer that also takes in what our own writes returned, so that no controller acts on a state
    from before its last write."""

    def __init__(self, client: Client, resource: Resource) -> None:
        super().__init__(client, resource)
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._by_owner: dict[str, dict[Key, Object]] = {}

    def observe(self, item: Object) -> None:
        """Takes in an object that a write returned."""
        if is_deleting(item) and not finalizers_of(item) and not _is_graceful(item):
            return
        with self._lock:
            known = self._objects.get(key_of(item))
            if item["metadata"]["uid"] in self._gone or (known and _version(known) > _version(item)):
                return
            self._put(known, item)

    def owned_by(self, uid: str) -> list[Object]:
        """The objects with an owner reference to this uid."""
        with self._lock:
            return list(self._by_owner.get(uid, {}).values())

    def _handle(self, event: WatchEvent) -> None:
        if event.type == "SYNCED":
            super()._handle(event)
            return
        item = event.object
        item["metadata"].pop("managedFields", None)
        with self._lock:
            known = self._objects.get(key_of(item))
            if event.type == "DELETED":
                self._forget(known, item)
                new = None
            elif item["metadata"]["uid"] in self._gone:
                return
            else:
                new = known if known and _version(known) > _version(item) else item
                self._put(known, new)
        for handler in self._handlers:
            try:
                handler("DELETED" if new is None else "MODIFIED" if known else "ADDED", known or item, new)
            except Exception:
                log.exception("a handler of %s failed", self.resource.plural)

    def _put(self, known: Object | None, item: Object) -> None:
        if known is not None:
            self._unlink(known)
        self._objects[key_of(item)] = item
        for owner in item["metadata"].get("ownerReferences") or []:
            self._by_owner.setdefault(owner["uid"], {})[key_of(item)] = item

    def _unlink(self, item: Object) -> None:
        for owner in item["metadata"].get("ownerReferences") or []:
            entries = self._by_owner.get(owner["uid"])
            if entries is not None:
                entries.pop(key_of(item), None)
                if not entries:
                    del self._by_owner[owner["uid"]]

    def _forget(self, known: Object | None, item: Object) -> None:
        self._gone[item["metadata"]["uid"]] = None
        if len(self._gone) > _REMEMBERED_GONE:
            self._gone.popitem(last=False)
        if known is not None and known["metadata"]["uid"] == item["metadata"]["uid"]:
            self._unlink(known)
            self._objects.pop(key_of(item), None)


def _is_graceful(item: Object) -> bool:
    return bool(item["metadata"].get("deletionGracePeriodSeconds"))


class Context:
    """What controllers share: the client, one cache a resource, the events recorder, the data directory."""

    def __init__(self, client: Client, data: Path) -> None:
        self.client = client
        self.data = data
        self.recorder = Recorder(client)
        self._caches: dict[Resource, Cache] = {}
        self._lock = threading.Lock()

    def cache(self, resource: Resource) -> Cache:
        with self._lock:
            if resource not in self._caches:
                self._caches[resource] = Cache(self.client, resource)
            return self._caches[resource]

    def items(self, resource: Resource, namespace: str) -> list[Object]:
        """All objects of a resource in a namespace: from its cache where one is filled, else from the API."""
        with self._lock:
            cache = self._caches.get(resource)
        if cache is not None and cache.synced:
            return cache.list(namespace)
        return self.client.list(resource, namespace)

    def caches(self) -> list[Cache]:
        with self._lock:
            return list(self._caches.values())

    # Writes: what they return goes into the cache.

    def create(self, resource: Resource, body: Object, namespace: str = "") -> Object:
        return self._observed(resource, self.client.create(resource, body, namespace))

    def replace(self, resource: Resource, body: Object) -> Object:
        return self._observed(resource, self.client.replace(resource, body))

    def replace_status(self, resource: Resource, body: Object) -> Object:
        return self._observed(resource, self.client.replace_status(resource, body))

    def delete(self, resource: Resource, item: Object, **options: Any) -> None:
        """Deletes exactly this object (by uid). An object that is gone or is another one by now is no error."""
        item_meta = item["metadata"]
        try:
            answer = self.client.delete(
                resource,
                item_meta["name"],
                item_meta.get("namespace", ""),
                uid=item_meta["uid"],
                **options,
            )
        except ApiError as error:
            if error.conflict:
                return
            raise
        if answer and answer.get("metadata", {}).get("uid") == item_meta["uid"]:
            self.cache(resource).observe(answer)

    def _observed(self, resource: Resource, item: Object) -> Object:
        item["metadata"].pop("managedFields", None)
        with self._lock:
            cache = self._caches.get(resource)
        if cache is not None:
            cache.observe(item)
        return item

    def event(self, item: Object, resource: Resource, kind: str, reason: str, message: str, by: str) -> None:
        """Records an Event: kind is Normal or Warning, `by` the reporting component."""
        self.recorder.record(item, resource, kind, reason, message, by)


Mapper = Callable[[Object], Iterable[Any]]


class Controller:
    """A queue and a function. Subclasses call `watch` in their constructor and implement `reconcile`.

    `reconcile(key)` returns None, or seconds after which to look again; an exception means a retry.
    """

    name = "controller"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client = context.client
        self.queue = WorkQueue(cap_s=5.0)
        self._sources: list[Cache] = []

    def watch(self, resource: Resource, mapper: Mapper | None = None) -> Cache:
        """Queues mapper(object) for every change of a resource; the object's own key by default."""
        cache = self.context.cache(resource)
        self._sources.append(cache)

        def handle(_: str, old: Object | None, new: Object | None) -> None:
            for item in (old, new):
                if item is not None:
                    for key in mapper(item) if mapper else [key_of(item)]:
                        self.queue.add(key)

        cache.on_change(handle)
        return cache

    def start(self) -> Callable[[], None]:
        return run_workers(self.queue, self._guarded, workers=self.workers, name=self.name)

    def _guarded(self, key: Any) -> float | None:
        try:
            return self.reconcile(key)
        except ApiError as error:
            if error.conflict or error.not_found:
                # Somebody else wrote first, or the object went: look again at the newer state.
                log.debug("%s %s: %s", self.name, key, error)
            raise

    def reconcile(self, key: Any) -> float | None:
        raise NotImplementedError
