"""Keeps the rows of one cluster current: lists everything, then follows the claims, and polls what surrounds them.

One process at a time does this for a cluster, by a lock in PostgreSQL. It writes copies for pages and decides nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Literal

from django.db import OperationalError, connection, connections
from django.utils import timezone

from cluster.client import Cluster
from cluster.connection import forget
from cluster.errors import ClusterError
from cluster.values import Change, Claim, Volume
from dashboard import inventory, models
from dashboard.inventory import Reading
from dashboard.states import Connection
from worker.declared import known
from worker.reading import read_surroundings

log = logging.getLogger(__name__)

LOCK_CLASS = 0x686F6C64  # "hold"
POLL_S = 15.0
RELIST_S = 300.0
GATHER_S = 0.2  # changes that come together are written together
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)


@dataclass(frozen=True)
class Pace:
    """How often the surroundings are polled, and everything is listed anew, in seconds."""

    poll_s: float = POLL_S
    relist_s: float = RELIST_S


@dataclass
class Feed:
    """Claim changes from a thread of their own: the watch blocks, and the polls must not wait for it."""

    adapter: Cluster
    resource_version: str
    changes: queue.Queue[Change | BaseException] = field(default_factory=queue.Queue)
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._run, name="claims", daemon=True).start()

    def _run(self) -> None:
        try:
            for change in self.adapter.watch_claims(
                stop=self.stopped.is_set, resource_version=self.resource_version
            ):
                self.changes.put(change)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that reads
            self.changes.put(error)

    def stop(self) -> None:
        self.stopped.set()

    def gather(self, timeout_s: float) -> list[Change]:
        """The changes of the next moment, empty after `timeout_s`; raises what ended the watch."""
        found: list[Change] = []
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                entry = self.changes.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return found
            if isinstance(entry, BaseException):
                raise entry
            if not found:
                deadline = time.monotonic() + GATHER_S
            found.append(entry)


class Watcher:
    """Follows one cluster until the process ends."""

    def __init__(self, name: str, adapter: Cluster, pace: Pace | None = None) -> None:
        self.name = name
        self.adapter = adapter
        self.pace = pace or Pace()
        self.stopped = threading.Event()
        self.failures = 0

    def run(self) -> None:
        """Never returns by itself but after `stop()`: what fails is recorded and tried again, at growing distance."""
        while not self.stopped.is_set():
            try:
                row = self._row()
                if self._locked(row):
                    self._follow(row)
            except ClusterError as error:
                self._away(error.happened)
            except OperationalError as error:
                log.warning("The database is away: %s", error)
                connections.close_all()
            if not self.stopped.is_set():
                self.stopped.wait(BACKOFF_S[min(self.failures, len(BACKOFF_S) - 1)])
                self.failures += 1

    def stop(self) -> None:
        self.stopped.set()

    def _row(self) -> models.Cluster:
        return models.Cluster.objects.get_or_create(name=self.name)[0]

    def _locked(self, row: models.Cluster) -> bool:
        """Takes the lock of the cluster; PostgreSQL frees it when our connection ends, however that comes."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, row.pk])
            locked = bool(cursor.fetchone()[0])
        if not locked:
            self.failures = 0
            log.info("Another watcher follows cluster %s; waiting.", self.name)
        return locked

    def _unlock(self, row: models.Cluster) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, row.pk])
        except OperationalError:
            connections.close_all()

    def _follow(self, row: models.Cluster) -> None:
        try:
            while not self.stopped.is_set():
                self._round(row)
        finally:
            self._unlock(row)

    def _round(self, row: models.Cluster) -> None:
        """From one full list to the next."""
        claims, resource_version = self.adapter.list_claims_at()
        reading = read_surroundings(self.adapter, tuple(claims), known(row))
        inventory.refresh(row, reading)
        self._connected(row)
        feed = Feed(self.adapter, resource_version)
        feed.start()
        try:
            self._until_relist(row, reading, feed)
        finally:
            feed.stop()

    def _until_relist(self, row: models.Cluster, reading: Reading, feed: Feed) -> None:
        relist_at = time.monotonic() + self.pace.relist_s
        poll_at = time.monotonic() + self.pace.poll_s
        while time.monotonic() < relist_at and not self.stopped.is_set():
            changes = feed.gather(max(0.0, min(poll_at, relist_at) - time.monotonic()))
            if any(change.kind == "synced" for change in changes):
                return  # the watch had to list anew: so do we, to see what is gone
            reading = self._write(row, reading, changes)
            if time.monotonic() >= poll_at:
                reading = read_surroundings(self.adapter, reading.claims, known(row))
                inventory.refresh(row, reading)
                self._connected(row)
                poll_at = time.monotonic() + self.pace.poll_s

    def _write(self, row: models.Cluster, reading: Reading, changes: list[Change]) -> Reading:
        """Writes changed claims; the reading as it is after them."""
        latest = _latest(changes)
        if not latest:
            return reading
        kept = {claim.uid: claim for claim in reading.claims}
        for uid, (kind, claim) in latest.items():
            if kind == "gone":
                kept.pop(uid, None)
            else:
                kept[uid] = claim
        changed = [claim for kind, claim in latest.values() if kind == "there"]
        reading = replace(self._with_volumes(reading, changed), claims=tuple(kept.values()))
        gone = [uid for uid, (kind, _) in latest.items() if kind == "gone"]
        inventory.refresh_claims(row, reading, changed, gone)
        self._connected(row)
        return reading

    def _with_volumes(self, reading: Reading, claims: list[Claim]) -> Reading:
        """With the volumes of the claims as they are now: binding a claim makes or changes its volume."""
        fresh: dict[str, Volume] = {}
        for claim in claims:
            volume = self.adapter.get_volume(claim.volume_name) if claim.volume_name else None
            if volume:
                fresh[volume.name] = volume
        if not fresh:
            return reading
        volumes = dict(reading.around.volume_by_name) | fresh
        return replace(reading, around=replace(reading.around, volumes=tuple(volumes.values())))

    def _connected(self, row: models.Cluster) -> None:
        self.failures = 0
        if row.state != Connection.CONNECTED:
            log.info("Cluster %s answers.", self.name)
        row.state, row.seen_at, row.away_since, row.error = Connection.CONNECTED, timezone.now(), None, ""
        row.save(update_fields=["state", "seen_at", "away_since", "error"])

    def _away(self, reason: str) -> None:
        """Records since when the cluster is away. Its rows stay, as of the last answer."""
        row = self._row()
        if row.state != Connection.AWAY:
            log.warning("Cluster %s is away: %s", self.name, reason)
        row.away_since = row.away_since or timezone.now()
        row.state, row.error = Connection.AWAY, reason
        row.save(update_fields=["state", "away_since", "error"])
        forget(self.adapter.config)


def _latest(changes: list[Change]) -> dict[str, tuple[Literal["there", "gone"], Claim]]:
    """The last word on each claim, by UID."""
    found: dict[str, tuple[Literal["there", "gone"], Claim]] = {}
    for change in changes:
        if change.claim:
            found[change.claim.uid] = ("gone" if change.kind == "deleted" else "there", change.claim)
    return found
