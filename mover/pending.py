"""What the coordinator of copy remembers of tasks that are not done: stretches, entries that need several tasks, inodes with several names."""

from typing import NamedTuple

from mover.listing_database import Span
from mover.names import joined
from mover.protocol import Begun, Done, Pending, Stretched
from mover.rows import Row
from mover.walk import Node


class Place(NamedTuple):
    """Where a stretch belongs: its directory, its position there, the names that it spans, the rows that were found for it."""

    node: Node
    position: int
    span: Span
    rows: tuple[tuple[bytes, bytes], ...]


class Waiting:
    """A stretch with pending entries: its records, one a name, its rows so far, how many entries are left."""

    def __init__(self, place: Place, result: Stretched) -> None:
        self.node = place.node
        self.position = place.position
        self.span = place.span
        self.records = list(result.records)
        self.rows = result.rows
        self.more: list[tuple[bytes, Row]] = []
        self.left = len(result.pending)


class File:
    """A pending entry."""

    def __init__(self, waiting: Waiting, pending: Pending) -> None:
        self.waiting = waiting
        self.pending = pending
        self.path = joined(waiting.node.path, pending.name)
        self.begun: Begun | None = None
        self.hashes: dict[int, bytes] = {}
        self.copied_bytes = 0
        self.failed = False
        self.inode: Inode | None = None  # of an entry with several names


class Inode:
    """An inode with several names: the first of them, and the files that wait for it."""

    def __init__(self) -> None:
        self.path = b""
        self.done: Done | None = None
        self.waiting: list[File] = []
        self.settled = 0


class Directory:
    """What Leave needs of a directory."""

    def __init__(self, identity: tuple[int, int, int, int], finished: bool) -> None:
        self.identity = identity
        self.finished = finished
