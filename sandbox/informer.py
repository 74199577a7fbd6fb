"""A cache that follows the API, and a work queue with backoff: what a controller is made of.

    pods = Informer(client, PODS)
    queue = WorkQueue()
    pods.on_change(lambda kind, old, new: queue.add(key_of(new or old)))
    pods.start(); pods.wait_synced()
    stop = run_workers(queue, reconcile, workers=2, name="jobs")

`reconcile(key)` returns None (done) or seconds after which to look again; an exception is logged and
retried with backoff. Objects in the cache are shared: copy before you change one.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from sandbox.answers import ApiError, Object, WatchEvent
from sandbox.client import Client
from sandbox.kinds import Resource

log = logging.getLogger(__name__)

Key = tuple[str, str]
Handler = Callable[[str, Object | None, Object | None], None]


def key_of(item: Object) -> Key:
    """(namespace, name)"""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


class Informer:
    """Keeps all objects of one resource in memory, current within milliseconds."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.resource = resource
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._objects: dict[Key, Object] = {}
        self._lock = threading.Lock()
        self._handlers: list[Handler] = []
        self._synced = threading.Event()

    def on_change(self, handler: Handler) -> None:
        """Calls handler("ADDED"|"MODIFIED"|"DELETED", old, new) on the informer's thread; register before start()."""
        self._handlers.append(handler)

    def start(self) -> Informer:
        threading.Thread(target=self._run, name=f"watch-{self.resource.plural}", daemon=True).start()
        return self

    def wait_synced(self, timeout_s: float = 60.0) -> None:
        """Waits until the first list is complete. TimeoutError otherwise."""
        if not self._synced.wait(timeout_s):
            raise TimeoutError(f"no list of {self.resource.plural} within {timeout_s} s")

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    def get(self, name: str, namespace: str = "") -> Object | None:
        with self._lock:
            return self._objects.get((namespace, name))

    def list(self, namespace: str | None = None) -> list[Object]:
        """All objects, or those of one namespace."""
        with self._lock:
            if namespace is None:
                return list(self._objects.values())
            return [item for key, item in self._objects.items() if key[0] == namespace]

    def _run(self) -> None:
        while True:
            try:
                self._follow()
            except ApiError as error:
                log.warning("watch of %s refused: %s", self.resource.plural, error)
            except RuntimeError:
                return  # the client was closed
            except Exception:
                log.exception("the watch of %s failed; starting again", self.resource.plural)
            time.sleep(2.0)

    def _follow(self) -> None:
        for event in self._client.watch(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        ):
            self._handle(event)

    def _handle(self, event: WatchEvent) -> None:
        if event.type == "SYNCED":
            self._synced.set()
            return
        key = key_of(event.object)
        with self._lock:
            old = self._objects.get(key)
            if event.type == "DELETED":
                self._objects.pop(key, None)
            else:
                self._objects[key] = event.object
        new = None if event.type == "DELETED" else event.object
        gone = event.object if event.type == "DELETED" else old
        kind = event.type if event.type == "DELETED" else ("MODIFIED" if old else "ADDED")
        for handler in self._handlers:
            try:
                handler(kind, gone, new)
            except Exception:
                log.exception("a handler of %s failed", self.resource.plural)


class WorkQueue:
    """Keys to look at: each at most once in the queue, never by two workers at once, later on failure."""

    def __init__(self, base_s: float = 0.05, cap_s: float = 30.0) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._condition = threading.Condition()
        self._due: dict[Hashable, float] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._active: set[Hashable] = set()
        self._again: dict[Hashable, float] = {}
        self._failures: dict[Hashable, int] = {}
        self._counter = 0
        self._closed = False

    def add(self, key: Hashable, after_s: float = 0.0) -> None:
        """Queues the key, at once or after a delay; the earliest wish wins."""
        when = time.monotonic() + after_s
        with self._condition:
            if key in self._active:
                self._again[key] = min(when, self._again.get(key, when))
            else:
                self._push(key, when)

    def add_backoff(self, key: Hashable) -> float:
        """Queues the key after its backoff, which doubles with each call until `forget`. Returns the delay."""
        with self._condition:
            count = self._failures.get(key, 0)
            self._failures[key] = count + 1
        delay_s = float(min(self._cap_s, self._base_s * 2 ** min(count, 20)))
        self.add(key, delay_s)
        return delay_s

    def forget(self, key: Hashable) -> None:
        with self._condition:
            self._failures.pop(key, None)

    def get(self) -> Any:
        """The next due key; blocks. None when the queue is closed. Call done(key) afterwards."""
        with self._condition:
            while not self._closed:
                now = time.monotonic()
                while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
                    heapq.heappop(self._heap)
                if self._heap and self._heap[0][0] <= now:
                    _, _, key = heapq.heappop(self._heap)
                    del self._due[key]
                    self._active.add(key)
                    return key
                self._condition.wait(self._heap[0][0] - now if self._heap else None)
            return None

    def done(self, key: Hashable) -> None:
        with self._condition:
            self._active.discard(key)
            if key in self._again:
                self._push(key, self._again.pop(key))

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _push(self, key: Hashable, when: float) -> None:
        if key in self._due and self._due[key] <= when:
            return
        self._due[key] = when
        self._counter += 1
        heapq.heappush(self._heap, (when, self._counter, key))
        self._condition.notify()


def run_workers(
    queue: WorkQueue, reconcile: Callable[[Any], float | None], *, workers: int = 1, name: str = "worker"
) -> Callable[[], None]:
    """Starts daemon threads that reconcile keys from the queue. Returns a function that stops them."""

    def loop() -> None:
        while (key := queue.get()) is not None:
            try:
                _reconcile_once(queue, reconcile, key, name)
            finally:
                queue.done(key)

    for number in range(workers):
        threading.Thread(target=loop, name=f"{name}-{number}", daemon=True).start()
    return queue.close


def _reconcile_once(
    queue: WorkQueue, reconcile: Callable[[Any], float | None], key: Hashable, name: str
) -> None:
    try:
        again_s = reconcile(key)
    except ApiError as error:
        delay_s = queue.add_backoff(key)
        level = logging.DEBUG if error.conflict or error.not_found else logging.WARNING
        log.log(level, "%s %s: %s; again in %.2f s", name, key, error, delay_s)
    except Exception:
        queue.add_backoff(key)
        log.exception("%s failed on %s", name, key)
    else:
        queue.forget(key)
        if again_s is not None:
            queue.add(key, again_s)
