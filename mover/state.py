"""What the mover keeps in the destination between passes: its mark, its lock, its listing. See docs/explanation/mover.md.

All of it lives in `.holdfast-mover/` of the root, which no scan sees; it goes away with a successful verify.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import sqlite3
import struct
import time

from blake3 import blake3

from mover import VERSION
from mover.errors import MoverError, reason_of
from mover.protocol import Identity
from mover.tree import DIRECTORY, LEFT_OUT_OF_ROOT, STATE_NAME, Tree, entries

REMOVING = "user.holdfast.removing"
CHECKPOINT_S = 10.0
_FILES = (
    b"listing.db",
    b"listing.db-journal",
    b"mark.new",
    b"mark",
    b"holdfast-node",
    b"holdfast-probe",
    b"lock",
)

_BEGUN = struct.Struct(">QQqqQ")


def sync_file_system(fd: int) -> None:
    """Writes back the file system of a handle; OSError when that failed, which a lost write does only here."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class State:
    """The state directory, locked. `fd` is its handle."""

    def __init__(self, destination: Tree, fd: int, lock: int) -> None:
        self.destination = destination
        self.fd = fd
        self._lock = lock

    def close(self) -> None:
        """Lets go of the lock."""
        os.close(self._lock)
        os.close(self.fd)

    def remove(self) -> None:
        """Removes the state, and gives the root back the mtime that the removal changes. Can be killed at any point."""
        root = self.destination.fd
        st = os.fstat(root)
        with contextlib.suppress(OSError):
            os.setxattr(root, REMOVING, b"%d %d" % (st.st_atime_ns, st.st_mtime_ns))
        _remove_files(self.fd)
        os.rmdir(STATE_NAME, dir_fd=root)
        os.utime(root, ns=(st.st_atime_ns, st.st_mtime_ns))
        with contextlib.suppress(OSError):
            os.removexattr(root, REMOVING)

    def distrust(self) -> None:
        """Forgets the listing, so that the next pass copies every file again."""
        for name in _FILES[:2]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.fd)


def _remove_files(fd: int) -> None:
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=fd)


def finish_removal(destination: Tree) -> None:
    """Completes a removal of the state that was killed half way."""
    try:
        times = os.getxattr(destination.fd, REMOVING)
    except OSError:
        return
    atime_ns, mtime_ns = (int(part) for part in times.split())
    fd = _open_directory(destination)
    if fd is not None:
        _remove_files(fd)
        os.close(fd)
        os.rmdir(STATE_NAME, dir_fd=destination.fd)
    os.utime(destination.fd, ns=(atime_ns, mtime_ns))
    os.removexattr(destination.fd, REMOVING)


def _open_directory(destination: Tree) -> int | None:
    try:
        return os.open(STATE_NAME, DIRECTORY, dir_fd=destination.fd)
    except FileNotFoundError:
        return None


def _locked(fd: int, *, writable: bool) -> int:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY)
    lock = os.open(b"lock", flags, 0o600, dir_fd=fd)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise MoverError(
            "another mover is at work on this destination",
            next_step="Wait until it is done, or end it; then run again.",
        ) from error
    return lock


def claim(destination: Tree, mark: str) -> State:
    """Takes the destination for a copy: an empty one is marked, a marked one must carry this mark, any other is refused."""
    finish_removal(destination)
    directories, others = entries(destination.fd)
    strange = others + [name for name in directories if name != STATE_NAME and name not in LEFT_OUT_OF_ROOT]
    fd = _open_directory(destination)
    if fd is None:
        if strange:
            raise _refused(f"it is not empty and carries no mark of ours (it holds {len(strange)} names)")
        os.mkdir(STATE_NAME, 0o700, dir_fd=destination.fd)
        fd = os.open(STATE_NAME, DIRECTORY, dir_fd=destination.fd)
    lock = _locked(fd, writable=True)
    found = _read_mark(fd)
    if found is None:
        if strange:
            raise _refused("it is not empty and our mark in it is missing or damaged")
        _write_mark(fd, mark)
    elif found != mark:
        raise _refused(
            "it carries the mark of another migration" if mark else "it is marked, and no mark was given"
        )
    return State(destination, fd, lock)


def _refused(reason: str) -> MoverError:
    return MoverError(
        f"the destination is refused: {reason}",
        next_step="Nothing was written. Give an empty destination, or the --staging-mark with which it was first filled.",
    )


def _read_mark(fd: int) -> str | None:
    try:
        mark = os.open(b"mark", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except FileNotFoundError:
        return None
    with os.fdopen(mark, "rb") as file:
        try:
            return str(json.loads(file.read())["mark"])
        except (ValueError, KeyError, TypeError):
            return None


def _write_mark(fd: int, mark: str) -> None:
    text = json.dumps({"program": "holdfast-mover", "version": VERSION, "mark": mark}).encode()
    new = os.open(
        b"mark.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd
    )
    with os.fdopen(new, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(b"mark.new", b"mark", src_dir_fd=fd, dst_dir_fd=fd)
    os.fsync(fd)


def existing(destination: Tree) -> State | None:
    """The state that a copy left, locked; None where there is none."""
    fd = _open_directory(destination)
    if fd is None:
        return None
    try:
        try:
            return State(destination, fd, _locked(fd, writable=True))
        except OSError:  # mounted read-only
            return State(destination, fd, _locked(fd, writable=False))
    except FileNotFoundError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise


class Listing:
    """The listing database. Rows are trusted by the next pass only after the data that they speak of was written back."""

    def __init__(self, state: State, *, trust: bool, racy_ns: int) -> None:
        self._state = state
        self.racy_ns = racy_ns
        if not trust:
            state.distrust()
        try:
            self._open()
        except (
            sqlite3.DatabaseError
        ):  # damaged, as after a crash of the node: it only saves work, so start anew
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
            self._database.execute(
                "INSERT OR REPLACE INTO stretches VALUES (?, ?, ?, ?)",
                (_key(directory), self.run, first, rows),
            )

    def keep_range(self, path: bytes, identity: Identity, inode: int, number: int, digest: bytes) -> None:
        """Keeps that a range of a large file was copied, so that an interrupted run can go on after it."""
        if identity[3] < self.racy_ns:
            row = (_key(path), number, _BEGUN.pack(*identity, inode), digest)
            self._database.execute("INSERT OR REPLACE INTO ranges VALUES (?, ?, ?, ?)", row)

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
        self._database.execute("DELETE FROM ranges WHERE path = ?", (_key(path),))

    def tick(self) -> None:
        """Makes what was kept durable from time to time."""
        if time.monotonic() - self._last_s >= CHECKPOINT_S:
            self.checkpoint()
            self._database.execute("BEGIN")

    def checkpoint(self) -> None:
        """Writes the data back, then the rows that speak of it."""
        sync_file_system(self._state.destination.fd)
        self._database.execute("COMMIT")
        self._last_s = time.monotonic()

    def finish(self, files: int, total_bytes: int) -> None:
        """The pass came to its end: earlier rows are no longer needed."""
        self._database.execute("DELETE FROM stretches WHERE run < ?", (self.run,))
        self._database.execute("DELETE FROM totals WHERE run < ?", (self.run,))
        self._database.execute("DELETE FROM ranges")
        self._database.execute(
            "UPDATE totals SET files = ?, bytes = ? WHERE run = ?", (files, total_bytes, self.run)
        )
        self.checkpoint()
        self._database.close()

    def abandon(self) -> None:
        """The pass failed: keeps what was done, as far as it can be made durable."""
        with contextlib.suppress(sqlite3.Error, OSError):
            self.checkpoint()
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


def write_back(destination: Tree) -> None:
    """Writes the destination back; MoverError when the disk did not take it."""
    try:
        sync_file_system(destination.fd)
    except OSError as error:
        raise MoverError(f"{reason_of(error)} (while the destination was written back)") from error
