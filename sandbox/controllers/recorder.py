"""Records core/v1 Events, as `kubectl describe` shows them. Repeated ones are counted, not multiplied."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.controllers.objects import Object, timestamp
from sandbox.kinds import EVENTS, Resource

log = logging.getLogger(__name__)

_REMEMBERED = 4096
_QUIET_S = 2.0


class _Wish(NamedTuple):
    reference: tuple[str, str, str, str, str]
    kind: str
    reason: str
    message: str
    component: str


class _Known(NamedTuple):
    name: str
    times: int
    at: float


class Recorder:
    """Writes Events from a thread of its own: a controller never waits for one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wishes: queue.Queue[tuple[_Wish, Object]] = queue.Queue(maxsize=10_000)
        self._known: OrderedDict[_Wish, _Known] = OrderedDict()

    def start(self) -> None:
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def record(
        self, item: Object, resource: Resource, kind: str, reason: str, message: str, component: str
    ) -> None:
        about = item["metadata"]
        namespace = about.get("namespace") or ""
        reference = (resource.api_version, resource.kind, namespace, about["name"], about.get("uid", ""))
        body = {"resourceVersion": about.get("resourceVersion", "")}
        try:
            self._wishes.put_nowait((_Wish(reference, kind, reason, message, component), body))
        except queue.Full:
            log.warning("dropped an event: %s %s", reason, message)

    def _run(self) -> None:
        while True:
            wish, extra = self._wishes.get()
            try:
                self._write(wish, extra)
            except ApiError as error:
                # A namespace that is going away takes no new events; nothing depends on them.
                log.debug("event %s not recorded: %s", wish.reason, error)
            except Exception:
                log.exception("event %s not recorded", wish.reason)

    def _write(self, wish: _Wish, extra: Object) -> None:
        known = self._known.get(wish)
        if known and time.monotonic() - known.at < _QUIET_S:
            return
        if known and self._count(wish, known):
            return
        name = f"{wish.reference[3]}.{secrets.token_hex(8)}"
        self._client.create(EVENTS, _event(wish, name, extra), wish.reference[2] or "default")
        self._remember(wish, _Known(name, 1, time.monotonic()))

    def _count(self, wish: _Wish, known: _Known) -> bool:
        fresh = {"count": known.times + 1, "lastTimestamp": timestamp()}
        try:
            self._client.patch(EVENTS, known.name, fresh, wish.reference[2] or "default")
        except ApiError as error:
            if error.not_found:
                return False
            raise
        self._remember(wish, _Known(known.name, known.times + 1, time.monotonic()))
        return True

    def _remember(self, wish: _Wish, known: _Known) -> None:
        self._known[wish] = known
        self._known.move_to_end(wish)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _event(wish: _Wish, name: str, extra: Object) -> Object:
    api_version, kind, namespace, about, uid = wish.reference
    involved = {"apiVersion": api_version, "kind": kind, "name": about, "uid": uid, **extra}
    if namespace:
        involved["namespace"] = namespace
    return {
        "metadata": {"name": name, "namespace": namespace or "default"},
        "involvedObject": involved,
        "type": wish.kind,
        "reason": wish.reason,
        "message": wish.message[:1024],
        "source": {"component": wish.component},
        "reportingComponent": wish.component,
        "reportingInstance": "",
        "firstTimestamp": timestamp(),
        "lastTimestamp": timestamp(),
        "count": 1,
    }
