"""The listing that a pass leaves for the next one, in the state directory of the destination."""

import contextlib
import os
import sqlite3
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from blake3 import blake3

from mover.errors import MoverError
from mover.protocol import Identity
from mover.state import State, WriteBack

WRITE_BACK_S = 1.0
CHECKPOINT_S = 10.0
LATER_ROWS = 2000  # stretches of at most 64 names: some 20 MiB
NAME, NEW = b"listing.db", b"listing.new"
TOTALS = "SELECT bytes, files FROM totals"
_BEGUN = struct.Struct(">QQqqQ")


class Span(NamedTuple):
    """The names from `first` up to `end`, which is not among them; without one to the last of the directory."""

    first: bytes
    end: bytes | None


WHOLE = Span(b"", None)


class Listing:
    """The listing database. Rows are trusted by the next pass only after the data that they speak of was written back."""

    def __init__(
        self, state: State, waiting: Callable[[], None], *, trust: bool, racy_ns: int, rules: bytes
    ) -> None:
        self._state = state
        self._rules = rules
        self._lost = False
        self._waiting = waiting
        self._write_back: WriteBack | None = None
        self._later: list[tuple[str, tuple[object, ...]]] = []
        self.racy_ns = racy_ns
        if not trust:
            state.distrust()
        try:
            self._open()
            same = self._same_rules()
        except sqlite3.DatabaseError:
            same = False  # damaged, as after a crash of the node: it only saves work
        if not same:
            with contextlib.suppress(AttributeError, sqlite3.Error):
                self._database.close()
            state.distrust()
            self._open()
            self._database.execute("INSERT INTO rules VALUES (?)", (rules,))
        self._last_s = self._last_commit_s = time.monotonic()

    def _open(self) -> None:
        """Opens what the last pass left. Where it left nothing, a new file under another name, which is ours once it is whole."""
        _unlink(self._state.fd, NEW)
        try:
            os.stat(NAME, dir_fd=self._state.fd, follow_symlinks=False)
            self._new = False
        except FileNotFoundError:
            self._new = True
        self._connect()
        query = "SELECT EXISTS (SELECT 1 FROM stretches), EXISTS (SELECT 1 FROM ranges)"
        self.empty = self._database.execute(query).fetchone() == (0, 0)

    def _same_rules(self) -> bool:
        """Whether what is kept and compared is what it was: the records in the rows depend on it."""
        found = self._database.execute("SELECT header FROM rules").fetchall()
        if not found and self.empty:
            self._database.execute("INSERT INTO rules VALUES (?)", (self._rules,))
            return True
        return found == [(self._rules,)]

    def _connect(self) -> None:
        name = os.fsdecode(NEW if self._new else NAME)
        self._database = sqlite3.connect(f"/proc/self/fd/{self._state.fd}/{name}", isolation_level=None)
        execute = self._database.execute
        execute("PRAGMA cache_size = -8192")
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute(f"PRAGMA journal_mode = {'OFF' if self._new else 'TRUNCATE'}")
        execute(f"PRAGMA synchronous = {'OFF' if self._new else 'FULL'}")
        execute("CREATE TABLE IF NOT EXISTS totals (files INT, bytes INT)")
        execute("CREATE TABLE IF NOT EXISTS rules (header BLOB)")
        execute(
            "CREATE TABLE IF NOT EXISTS stretches (directory BLOB, first BLOB, rows BLOB, UNIQUE (directory, first))"
        )
        execute(
            """CREATE TABLE IF NOT EXISTS ranges (path BLOB, number INT, mark BLOB, digest BLOB,
               PRIMARY KEY (path, number)) WITHOUT ROWID"""
        )
        execute("BEGIN")

    def totals(self) -> tuple[int | None, int | None]:
        """Bytes and files of the last pass that came to its end."""
        found: tuple[int | None, int | None] | None = self._database.execute(TOTALS).fetchone()
        return found or (None, None)

    def few(self, directory: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
        """The rows of a small directory with where they begin, and whether they are all that there are."""
        if self.empty:
            return (), True
        query = "SELECT first, rows FROM stretches WHERE directory = ? LIMIT 5"
        rows = tuple(self._database.execute(query, (_key(directory),)).fetchall())
        return (rows, True) if len(rows) < 5 else ((), False)

    def between(self, directory: bytes, span: Span) -> tuple[tuple[bytes, bytes], ...]:
        """Rows that may cover the names of a span, with where they begin, in that order."""
        query = """SELECT first, rows FROM stretches WHERE directory = ?1 AND (first < ?3 OR ?3 IS NULL) AND first >= coalesce(
                   (SELECT max(first) FROM stretches WHERE directory = ?1 AND first <= ?2), x'') ORDER BY first"""
        return tuple(self._database.execute(query, (_key(directory), span.first, span.end)).fetchall())

    def keep(self, directory: bytes, span: Span, rows: bytes) -> None:
        """Keeps the rows of a stretch, instead of all that begin in its span."""
        key = _key(directory)
        if not self.empty:
            self._write(
                "DELETE FROM stretches WHERE directory = ? AND first >= ? AND (first < ? OR ?)",
                (key, span.first, span.end, span.end is None),
            )
        if rows:
            self._write("INSERT OR REPLACE INTO stretches VALUES (?, ?, ?)", (key, span.first, rows))

    def keep_range(self, path: bytes, identity: Identity, inode: int, number: int, digest: bytes) -> None:
        """Keeps that a range of a large file was copied, so that an interrupted run can go on after it."""
        if identity[3] >= self.racy_ns:
            return
        with contextlib.suppress(struct.error):  # a date that a row cannot hold
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
        """Has the data written back beside the copy, so that the disk works from the beginning. Rows follow it every few seconds."""
        if self._write_back is not None:
            if not self._write_back.is_alive():
                self._settle(commit=time.monotonic() - self._last_commit_s >= CHECKPOINT_S)
        elif time.monotonic() - self._last_s >= min(WRITE_BACK_S, CHECKPOINT_S):
            self._write_back = WriteBack(self._state.destination.fd)

    def _settle(self, *, commit: bool = True) -> None:
        """Waits for the data. Rows that came meanwhile are not committed with the others: some of their data came too late."""
        if self._write_back is not None:
            self._write_data_back(self._write_back)
        self._write_back = None
        self._last_s = time.monotonic()
        if commit:
            self._commit()
        for statement, values in self._later:
            self._database.execute(statement, values)
        self._later.clear()

    def _commit(self) -> None:
        self._last_commit_s = self._last_s
        self._database.execute("COMMIT")
        if self._new:
            self._adopt()
            self._connect()
        else:
            self._database.execute("BEGIN")

    def _write_data_back(self, running: WriteBack) -> None:
        """After a failure nothing more is kept: the system tells of a lost write once, and a second try would seem to succeed."""
        try:
            running.settle(self._waiting)
        except MoverError:
            self._lost = True
            raise

    def _adopt(self) -> None:
        """Gives a new listing its name. It was written without a journal, so it must be on the disk before."""
        self._database.close()
        fd = self._state.fd
        listing = os.open(NEW, os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd)
        try:
            os.fsync(listing)
        finally:
            os.close(listing)
        os.rename(NEW, NAME, src_dir_fd=fd, dst_dir_fd=fd)
        self._new = False

    def _conclude(self) -> None:
        """All that was kept, durable now, and the data before it. A new listing is written back together with the data."""
        if self._write_back is not None:
            self._settle()
        if self._new:
            self._database.execute("COMMIT")
            self._database.close()
            self._write_data_back(WriteBack(self._state.destination.fd))
            os.rename(NEW, NAME, src_dir_fd=self._state.fd, dst_dir_fd=self._state.fd)
            return
        self._write_data_back(WriteBack(self._state.destination.fd))
        self._database.execute("COMMIT")
        self._database.close()

    def finish(self, files: int, total_bytes: int) -> None:
        """The pass came to its end; MoverError where its data could not be written back."""
        execute = self._database.execute
        if self.totals() != (total_bytes, files):
            execute("DELETE FROM totals")
            execute("INSERT INTO totals VALUES (?, ?)", (files, total_bytes))
        if execute("SELECT EXISTS (SELECT 1 FROM ranges)").fetchone()[0]:
            execute("DELETE FROM ranges")
        self._conclude()

    def abandon(self) -> None:
        """The pass failed: keeps what was done, as far as it can be made durable."""
        if not self._lost:
            with contextlib.suppress(sqlite3.Error, MoverError, OSError):
                self._conclude()
        with contextlib.suppress(sqlite3.Error):
            self._database.close()


def totals_of(state: State) -> tuple[int | None, int | None]:
    """Bytes and files that the last whole pass found, if its listing can be read."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:/proc/self/fd/{state.fd}/listing.db?mode=ro&immutable=1", uri=True)
        ) as database:
            found: tuple[int | None, int | None] | None = database.execute(TOTALS).fetchone()
    except sqlite3.Error:
        return None, None
    return found or (None, None)


def _unlink(fd: int, name: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=fd)


def _key(directory: bytes) -> bytes:
    return blake3(directory).digest(16)
