"""Holding a controller at a named point, so that a test can force an interleaving.

    kubectl annotate kustomization apps sandbox.holdfast.dev/hold=prune      # stops before it prunes
    kubectl wait ... held-at appears ...; act; remove the annotation         # goes on

Points, in order: fetch (GitRepository only), build, apply, write (all dry runs done, nothing written yet), prune,
delete (one object was judged, its DELETE is next), health, status. Several are separated by commas.
"""

from __future__ import annotations

import logging
import threading

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.flux.values import dig
from sandbox.kinds import GIT_REPOSITORIES, KUSTOMIZATIONS

log = logging.getLogger(__name__)

HOLD = "sandbox.holdfast.dev/hold"
HELD_AT = "sandbox.holdfast.dev/held-at"
# Only requests (requestedAt) and deletion start a pass: neither the interval nor a new revision does.
MANUAL = "sandbox.holdfast.dev/manual"
_MANAGER = "sandbox-hold"
_POLL_S = 0.05
_RESOURCES = {"GitRepository": GIT_REPOSITORIES, "Kustomization": KUSTOMIZATIONS}


class Holds:
    """Reads the annotation at each point, and waits while it names the point."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stop = threading.Event()

    def stop(self) -> None:
        """Lets everything that is held go on."""
        self._stop.set()

    def __call__(self, point: str, kind: str, key: tuple[str, str]) -> None:
        if not self._is_held(point, kind, key):
            return
        self._mark(kind, key, point)
        while self._is_held(point, kind, key) and not self._stop.wait(_POLL_S):
            pass
        self._mark(kind, key, None)

    def _is_held(self, point: str, kind: str, key: tuple[str, str]) -> bool:
        try:
            item = self._client.find(_RESOURCES[kind], key[1], key[0])
        except ApiError as error:
            log.info("cannot read the hold of %s %s: %s", kind, key, error)
            return False
        held = dig(item, "metadata", "annotations", HOLD, default="")
        return point in [part.strip() for part in held.split(",")]

    def _mark(self, kind: str, key: tuple[str, str], point: str | None) -> None:
        body = {"metadata": {"annotations": {HELD_AT: point}}}
        try:
            self._client.patch(_RESOURCES[kind], key[1], body, key[0], field_manager=_MANAGER)
        except ApiError as error:
            log.info("cannot mark the hold of %s %s: %s", kind, key, error)
