"""Objects as JSON bytes in memory, persisted in SQLite, with a bounded history of changes for watches.

One event loop owns a store: nothing here waits, so every method is atomic towards other requests. A
write is in the database (write-ahead log) before the caller is answered, so it survives a kill. The
resourceVersion is one counter for all objects; it is saved with each write and never goes back.
"""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]
Table = tuple[str, str]
"""(group, plural)"""
Name = tuple[str, str]
"""(namespace, name)"""

FIRST_VERSION = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored object. `raw` begins with apiVersion and kind, so that lists can leave them out."""

    namespace: str
    name: str
    uid: str
    version: int
    raw: bytes
    labels: dict[str, str]

    def decode(self) -> Json:
        decoded: Json = msgspec.json.decode(self.raw)
        return decoded


@dataclass(frozen=True, slots=True)
class Change:
    """One write. For a deletion `after` holds the last state, with the deletion's resourceVersion."""

    version: int
    table: Table
    before: Entry | None
    after: Entry
    deleted: bool


class Follower:
    """Receives the changes of one table from the moment that it is made."""

    def __init__(self, limit: int) -> None:
        self.pending: list[Change] = []
        self.overflowed = False
        self._limit = limit
        self._wake = asyncio.Event()

    def push(self, change: Change) -> None:
        if len(self.pending) >= self._limit:
            self.overflowed = True
        else:
            self.pending.append(change)
        self._wake.set()

    def take(self) -> list[Change]:
        taken, self.pending = self.pending, []
        self._wake.clear()
        return taken

    def wake(self) -> None:
        self._wake.set()

    async def wait(self, timeout_s: float) -> None:
        """Returns when there is something to take, or after the time."""
        try:
            await asyncio.wait_for(self._wake.wait(), timeout_s)
        except TimeoutError:
            return


class Store:
    """See the module. `history` bounds how many changes a watch can catch up with."""

    def __init__(self, path: Path, history: int = 4000) -> None:
        self._tables: dict[Table, dict[Name, Entry]] = defaultdict(dict)
        self._history: list[Change] = []
        self._history_limit = history
        self._followers: dict[Table, list[Follower]] = defaultdict(list)
        self._listeners: list[Callable[[Change], None]] = []
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._prepare()
        self.closing = False
        self.version = self._load()
        self.floor = self.version

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS objects (grp TEXT, plural TEXT, namespace TEXT, name TEXT,"
            " version INTEGER, raw BLOB, PRIMARY KEY (grp, plural, namespace, name)) WITHOUT ROWID"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER)")

    def _load(self) -> int:
        rows = self._database.execute("SELECT grp, plural, namespace, name, version, raw FROM objects")
        for group, plural, namespace, name, version, raw in rows:
            metadata = msgspec.json.decode(raw)["metadata"]
            self._tables[group, plural][namespace, name] = Entry(
                namespace, name, metadata["uid"], version, raw, metadata.get("labels") or {}
            )
        row = self._database.execute("SELECT value FROM counters WHERE name = 'version'").fetchone()
        return int(row[0]) if row else FIRST_VERSION

    def close(self) -> None:
        self._database.close()

    # -- reading ----------------------------------------------------------------------------------

    def get(self, table: Table, namespace: str, name: str) -> Entry | None:
        return self._tables[table].get((namespace, name))

    def entries(self, table: Table, namespace: str = "") -> list[Entry]:
        """All entries of a table, or of one namespace of it, in the order of namespace and name."""
        found = self._tables[table]
        if namespace:
            return [found[key] for key in sorted(key for key in found if key[0] == namespace)]
        return [found[key] for key in sorted(found)]

    def count(self, table: Table) -> int:
        return len(self._tables[table])

    # -- writing ----------------------------------------------------------------------------------

    def put(self, table: Table, item: Json, before: Entry | None) -> Entry:
        """Stores an object with a fresh resourceVersion. The caller has just looked up `before`."""
        version = self.version + 1
        metadata = item["metadata"]
        metadata["resourceVersion"] = str(version)
        entry = _entry(item, version)
        group, plural = table
        with self._transaction(version):
            self._database.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)",
                (group, plural, entry.namespace, entry.name, version, entry.raw),
            )
        self._tables[table][entry.namespace, entry.name] = entry
        self._publish(Change(version, table, before, entry, deleted=False))
        return entry

    def remove(self, table: Table, before: Entry, last: Json) -> Entry:
        """Deletes an object; `last` is the state that watchers see."""
        version = self.version + 1
        last["metadata"]["resourceVersion"] = str(version)
        entry = _entry(last, version)
        group, plural = table
        with self._transaction(version):
            self._database.execute(
                "DELETE FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?",
                (group, plural, before.namespace, before.name),
            )
        del self._tables[table][before.namespace, before.name]
        self._publish(Change(version, table, before, entry, deleted=True))
        return entry

    def _transaction(self, version: int) -> _Transaction:
        return _Transaction(self, self._database, version)

    # -- changes ----------------------------------------------------------------------------------

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Calls the listener after each write, before the writer is answered."""
        self._listeners.append(listener)

    def follow(self, table: Table, limit: int = 20_000) -> Follower:
        follower = Follower(limit)
        self._followers[table].append(follower)
        return follower

    def unfollow(self, table: Table, follower: Follower) -> None:
        self._followers[table].remove(follower)

    def wake_all(self) -> None:
        """Lets every follower look up, for the shutdown."""
        for followers in self._followers.values():
            for follower in followers:
                follower.wake()

    def since(self, table: Table, version: int) -> Iterator[Change] | None:
        """The changes of a table after a version; None when the history does not reach back that far."""
        if version < self.floor:
            return None
        start = bisect_right(self._history, version, key=lambda change: change.version)
        return (change for change in self._history[start:] if change.table == table)

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > self._history_limit * 2:
            kept = self._history_limit
            self.floor = self._history[-kept - 1].version
            self._history = self._history[-kept:]
        for listener in self._listeners:
            listener(change)
        for follower in self._followers[change.table]:
            follower.push(change)


class _Transaction:
    """Saves the version counter together with the write; counts on only when both are saved."""

    def __init__(self, store: Store, database: sqlite3.Connection, version: int) -> None:
        self._store = store
        self._database = database
        self._version = version

    def __enter__(self) -> None:
        self._database.execute("BEGIN")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._database.execute("ROLLBACK")
            return
        self._database.execute("INSERT OR REPLACE INTO counters VALUES ('version', ?)", (self._version,))
        self._database.execute("COMMIT")
        self._store.version = self._version


def _entry(item: Json, version: int) -> Entry:
    metadata = item["metadata"]
    ordered = {"apiVersion": item["apiVersion"], "kind": item["kind"], **item}
    return Entry(
        metadata.get("namespace", ""),
        metadata["name"],
        metadata["uid"],
        version,
        msgspec.json.encode(ordered),
        metadata.get("labels") or {},
    )
