"""The listing that a pass leaves for the next one, in the state directory of the destination."""

import contextlib
import sqlite3
import struct
import time
from collections.abc import Callable

from blake3 import blake3

from mover.errors import MoverError
from mover.protocol import Identity
from mover.state import State, WriteBack

CHECKPOINT_S = 10.0
LATER_ROWS = 2000  # stretches of at most 64 names: some 20 MiB
_BEGUN = struct.Struct(">QQqqQ")


class Listing:
    """The listing database. Rows are trusted by the next pass only after the data that they speak of was written back."""

    def __init__(self, state: State, waiting: Callable[[], None], *, trust: bool, racy_ns: int) -> None:
        self._state = state
        self._waiting = waiting
        self._write_back: WriteBack | None = None
        self._later: list[tuple[str, tuple[object, ...]]] = []
        self.racy_ns = racy_ns
        if not trust:
            state.distrust()
        try:
            self._open()
        except sqlite3.DatabaseError:
            # Damaged, as after a crash of the node: it only saves work, so start anew.
            state.distrust()
            self._open()
        self._last_s = time.monotonic()

    def _open(self) -> None:
        self._database = sqlite3.connect(f"/proc/self/fd/{self._state.fd}/listing.db", isolation_level=None)
        execute = self._database.execute
        execute("PRAGMA cache_size = -8192")
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = TRUNCATE")
        execute("CREATE TABLE IF NOT EXISTS totals (run INTEGER PRIMARY KEY, files INT, bytes INT)")
        execute(
            """CREATE TABLE IF NOT EXISTS stretches (directory BLOB, run INT, first BLOB, rows BLOB,
               PRIMARY KEY (directory, run, first)) WITHOUT ROWID"""
        )
        execute(
            """CREATE TABLE IF NOT EXISTS ranges (path BLOB, number INT, mark BLOB, digest BLOB,
               PRIMARY KEY (path, number)) WITHOUT ROWID"""
        )
        self._earlier: list[int] = [run for (run,) in execute("SELECT run FROM totals ORDER BY run")]
        self.run = (self._earlier[-1] if self._earlier else 0) + 1
        self.empty = not self._earlier
        execute("INSERT INTO totals VALUES (?, NULL, NULL)", (self.run,))
        execute("BEGIN")

    def totals(self) -> tuple[int | None, int | None]:
        """Bytes and files of the last pass that came to its end."""
        query = "SELECT bytes, files FROM totals WHERE files IS NOT NULL ORDER BY run DESC LIMIT 1"
        found: tuple[int | None, int | None] | None = self._database.execute(query).fetchone()
        return found or (None, None)

    def few(self, directory: bytes) -> tuple[tuple[bytes, ...], bool]:
        """The rows of a small directory, and whether they are all that there are."""
        if self.empty:
            return (), True
        query = "SELECT rows FROM stretches WHERE directory = ? AND run < ? ORDER BY run LIMIT 5"
        rows = tuple(row for (row,) in self._database.execute(query, (_key(directory), self.run)))
        return (rows, True) if len(rows) < 5 else ((), False)

    def between(self, directory: bytes, first: bytes, last: bytes) -> tuple[bytes, ...]:
        """Rows that may cover the names from `first` to `last`, older passes first."""
        found: list[bytes] = []
        key = _key(directory)
        for run in self._earlier:
            query = """SELECT rows FROM stretches WHERE directory = ?1 AND run = ?2 AND first <= ?4 AND first >= coalesce(
                       (SELECT max(first) FROM stretches WHERE directory = ?1 AND run = ?2 AND first <= ?3), x'')"""
            found += [rows for (rows,) in self._database.execute(query, (key, run, first, last))]
        return tuple(found)

    def keep(self, directory: bytes, first: bytes, rows: bytes) -> None:
        """Keeps the rows of a stretch."""
        if rows:
            self._write(
                "INSERT OR REPLACE INTO stretches VALUES (?, ?, ?, ?)",
                (_key(directory), self.run, first, rows),
            )

    def keep_range(self, path: bytes, identity: Identity, inode: int, number: int, digest: bytes) -> None:
        """Keeps that a range of a large file was copied, so that an interrupted run can go on after it."""
        if identity[3] < self.racy_ns:
            row = (_key(path), number, _BEGUN.pack(*identity, inode), digest)
            self._write("INSERT OR REPLACE INTO ranges VALUES (?, ?, ?, ?)", row)

    def begun(self, path: bytes) -> tuple[Identity, int, dict[int, bytes]] | None:
        """A large file that an interrupted run had begun: identity in the source, inode of the copy, hashes of its ranges."""
        query = "SELECT number, mark, digest FROM ranges WHERE path = ?"
        rows = self._database.execute(query, (_key(path),)).fetchall()
        if len({mark for _, mark, _ in rows}) != 1:
            return None
        one, size, mtime_ns, ctime_ns, inode = _BEGUN.unpack(rows[0][1])
        return (one, size, mtime_ns, ctime_ns), inode, {number: digest for number, _, digest in rows}

    def forget(self, path: bytes) -> None:
        """Forgets the ranges of a file that begins anew."""
        self._write("DELETE FROM ranges WHERE path = ?", (_key(path),))

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        """Rows that come while the data is written back speak of data that may miss it: they wait for the next time."""
        if self._write_back is None:
            self._database.execute(statement, values)
            return
        self._later.append((statement, values))
        if len(self._later) >= LATER_ROWS:
            self._settle()

    def tick(self) -> None:
        """Makes what was kept durable from time to time: first the data is written back, then the rows that speak of it."""
        if self._write_back is not None:
            if not self._write_back.is_alive():
                self._settle()
        elif time.monotonic() - self._last_s >= CHECKPOINT_S:
            self._write_back = WriteBack(self._state.destination.fd)

    def _settle(self) -> None:
        if self._write_back is not None:
            self._write_back.settle(self._waiting)
        self._write_back = None
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")
        for statement, values in self._later:
            self._database.execute(statement, values)
        self._later.clear()
        self._last_s = time.monotonic()

    def _checkpoint(self) -> None:
        """All that was kept, durable now."""
        if self._write_back is not None:
            self._settle()
        self._write_back = WriteBack(self._state.destination.fd)
        self._settle()

    def finish(self, files: int, total_bytes: int) -> None:
        """The pass came to its end: earlier rows are no longer needed."""
        self._database.execute("DELETE FROM stretches WHERE run < ?", (self.run,))
        self._database.execute("DELETE FROM totals WHERE run < ?", (self.run,))
        self._database.execute("DELETE FROM ranges")
        self._database.execute(
            "UPDATE totals SET files = ?, bytes = ? WHERE run = ?", (files, total_bytes, self.run)
        )
        self._checkpoint()
        self._database.close()

    def abandon(self) -> None:
        """The pass failed: keeps what was done, as far as it can be made durable."""
        with contextlib.suppress(sqlite3.Error, MoverError):
            self._checkpoint()
        with contextlib.suppress(sqlite3.Error):
            self._database.close()


def totals_of(state: State) -> tuple[int | None, int | None]:
    """Bytes and files that the last whole pass found, if its listing can be read."""
    query = "SELECT bytes, files FROM totals WHERE files IS NOT NULL ORDER BY run DESC LIMIT 1"
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:/proc/self/fd/{state.fd}/listing.db?mode=ro&immutable=1", uri=True)
        ) as database:
            found: tuple[int | None, int | None] | None = database.execute(query).fetchone()
    except sqlite3.Error:
        return None, None
    return found or (None, None)


def _key(directory: bytes) -> bytes:
    return blake3(directory).digest(16)
