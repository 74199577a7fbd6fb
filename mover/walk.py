"""The coordinator's view of a tree: which directories are open, what is left to do in them, their digests so far.

Depth first: the tasks of the directory found last come first, so that only directories on the way down are held in memory. A directory
that is complete is folded into its parent's listing and forgotten.
"""

from collections import deque
from collections.abc import Iterator

from blake3 import blake3

from mover.errors import MoverError
from mover.listing import head
from mover.protocol import Records

STRETCH = 64  # names a task
INLINE = 128  # names that are worked on with the directory itself


class Node:
    """A directory that is not complete. Its items, in the order of its listing: stretches of names, then its directories."""

    __slots__ = (
        "_content",
        "_metadata",
        "_next",
        "_waiting",
        "items",
        "metadata",
        "name",
        "parent",
        "path",
        "position",
        "state",
    )

    def __init__(self, path: bytes, parent: "Node | None", position: int, sides: int) -> None:
        self.path = path
        self.name = path.rpartition(b"/")[2]
        self.parent = parent
        self.position = position
        self.items = 0
        self.metadata: tuple[bytes | None, ...] = ()
        self.state: object = None
        self._content = [blake3() for _ in range(sides)]
        self._metadata = [blake3() for _ in range(sides)]
        self._next = 0
        self._waiting: dict[int, tuple[Records, ...]] = {}

    def deliver(self, position: int, records: tuple[Records, ...]) -> bool:
        """Takes the records of an item, one Records a side; True when the directory is complete."""
        self._waiting[position] = records
        while (ready := self._waiting.pop(self._next, None)) is not None:
            for side, record in enumerate(ready):
                self._content[side].update(record.content)
                self._metadata[side].update(record.metadata)
            self._next += 1
        return self._next >= self.items

    def require_complete(self) -> None:
        """MoverError where an item is missing, so that nothing is called whole that is not."""
        if self._next < self.items:
            raise MoverError(
                "a part of the tree was never looked at: a defect of the mover, trust nothing", path=self.path
            )

    def digests(self, side: int) -> tuple[bytes, bytes]:
        """Content and metadata digest of the listings."""
        return self._content[side].digest(), self._metadata[side].digest()

    def records(self) -> tuple[Records, ...]:
        """The records of this directory in its parent's listing; empty on a side that has no such directory."""
        start = head(b"d", self.name)
        found = []
        for side, own in enumerate(self.metadata):
            if own is None:
                found.append(Records())
                continue
            content, metadata = self.digests(side)
            found.append(Records(start + content, start + own + metadata))
        return tuple(found)


class Agenda:
    """What is to be done next: urgent follow-ups first, then the tasks of the newest directory."""

    def __init__(self) -> None:
        self.urgent: deque[tuple[object, object]] = deque()
        self._stack: list[Iterator[tuple[object, object]]] = []

    def push(self, tasks: Iterator[tuple[object, object]]) -> None:
        """Adds tasks with their contexts, before all that are there."""
        self._stack.append(tasks)

    def next(self) -> tuple[object, object] | None:
        """The next task and its context."""
        if self.urgent:
            return self.urgent.popleft()
        while self._stack:
            item = next(self._stack[-1], None)
            if item is not None:
                return item
            self._stack.pop()
        return None


def name_at(packed: bytes, start: int) -> int:
    """Where the name that begins at `start` of packed names ends."""
    end = packed.find(b"\0", start)
    return len(packed) if end < 0 else end


def stretches(names: bytes, masks: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Packed names in stretches, without ever unpacking all of them."""
    start = 0
    position = 0
    while position < len(masks):
        end = start
        count = min(STRETCH, len(masks) - position)
        for _ in range(count):
            end = name_at(names, end) + 1
        yield names[start : end - 1], masks[position : position + count]
        start = end
        position += count


def each(names: bytes, masks: bytes) -> Iterator[tuple[bytes, int]]:
    """Packed names one by one."""
    start = 0
    for mask in masks:
        end = name_at(names, start)
        yield names[start:end], mask
        start = end + 1


def stretch_count(masks: bytes) -> int:
    """How many stretches there are."""
    return -(-len(masks) // STRETCH)
