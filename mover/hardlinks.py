"""Inodes with several names: gathered in a private database that spills to disk, so that memory does not grow with them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from blake3 import blake3

from mover.errors import MoverError
from mover.listing import hard_links_record
from mover.protocol import Link

CACHE_MIB = 8


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise MoverError(
            f"names of hard links cannot be gathered in the temporary directory: {error}",
            next_step="Give it more room, or name another one in TMPDIR; then run again.",
        ) from error


class HardLinks:
    """The names of linked inodes on each side. The database has no name: it is gone with the process."""

    def __init__(self) -> None:
        self._opened: sqlite3.Connection | None = None

    @property
    def _database(self) -> sqlite3.Connection:
        """Opened with the first link: most trees have none."""
        if self._opened is None:
            self._opened = sqlite3.connect("", isolation_level=None)
            self._prepare()
        return self._opened

    def _prepare(self) -> None:
        self._database.execute(f"PRAGMA cache_size = -{CACHE_MIB * 1024}")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE names (side INT, device INT, inode BLOB, path BLOB, PRIMARY KEY (side, device, inode, path)) WITHOUT ROWID"
        )
        self._database.execute(
            "CREATE TABLE groups (side INT, first BLOB, paths BLOB, PRIMARY KEY (side, first)) WITHOUT ROWID"
        )

    def add(self, links: Sequence[Link]) -> None:
        """Adds names; MoverError where the temporary directory does not take them."""
        if not links:
            return
        rows = [(link.side, link.device, link.inode.to_bytes(8, "big"), link.path) for link in links]
        with _told():
            self._database.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?)", rows)

    def finish(self) -> None:
        """Orders the groups of two or more names by their smallest path. Call once, after the last `add`."""
        if self._opened is not None:
            with _told():
                self._order()

    def _order(self) -> None:
        self._database.execute("BEGIN")
        current: tuple[object, ...] = ()
        paths: list[bytes] = []
        for side, device, inode, path in self._database.execute(
            "SELECT * FROM names ORDER BY side, device, inode, path"
        ):
            if (side, device, inode) != current:
                self._store(current, paths)
                current, paths = (side, device, inode), []
            paths.append(path)
        self._store(current, paths)
        self._database.execute("COMMIT")

    def _store(self, key: tuple[object, ...], paths: list[bytes]) -> None:
        if len(paths) > 1:
            self._database.execute(
                "INSERT INTO groups VALUES (?, ?, ?)", (key[0], paths[0], b"\0".join(paths))
            )

    def groups(self, side: int) -> Iterator[list[bytes]]:
        """Groups of a side, each sorted, ordered by their smallest path."""
        if self._opened is None:
            return
        for (paths,) in self._database.execute(
            "SELECT paths FROM groups WHERE side = ? ORDER BY first", (side,)
        ):
            yield paths.split(b"\0")

    def digest(self, side: int) -> bytes:
        """Of all groups of a side."""
        hasher = blake3()
        for group in self.groups(side):
            hasher.update(hard_links_record(group))
        return hasher.digest()

    def extra_names(self, side: int) -> int:
        """Names beyond the first of each group."""
        return sum(len(group) - 1 for group in self.groups(side))

    def lost(self) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """Names whose group differs: path, the first name that it is linked with in the source, and in the destination."""
        if self._opened is None:
            return
        query = """SELECT a.paths, b.paths FROM groups a LEFT JOIN groups b ON b.side = 1 AND b.first = a.first
                   WHERE a.side = 0 AND b.paths IS NOT a.paths"""
        for mine, other in self._database.execute(query):
            left, right = mine.split(b"\0"), other.split(b"\0") if other else []
            there = frozenset(right)
            for path in left[1:]:
                if path not in there:
                    yield path, left[0], None
            here = frozenset(left)
            for path in right[1:]:
                if path not in here:
                    yield path, None, right[0]
        query = """SELECT b.paths FROM groups b LEFT JOIN groups a ON a.side = 0 AND a.first = b.first
                   WHERE b.side = 1 AND a.paths IS NULL"""
        for (other,) in self._database.execute(query):
            right = other.split(b"\0")
            for path in right[1:]:
                yield path, None, right[0]
