"""The work of verify and digest inside a worker: reads entries of one or two trees and compares them."""

import os
import threading
from collections.abc import Sequence

from mover.ahead import Ahead, Found, LooksAhead
from mover.attributes import Rules
from mover.differences import DESTINATION, REPORTED, SOURCE, compare_sides
from mover.errors import Changed, reason_of
from mover.listing import (
    Seen,
    head,
    metadata,
)
from mover.names import joined
from mover.protocol import (
    Compare,
    Compared,
    Counted,
    Difference,
    Hash,
    Hashed,
    Large,
    Link,
    Look,
    Looked,
    Problem,
    Records,
    Side,
    Skip,
    pack,
    unpack,
)
from mover.reading import hash_range, identity, open_regular, require_identity
from mover.seeing import see, see_directory
from mover.tree import LEFT_OUT_OF_ROOT, STATE_NAME, Tree, entries, split, status
from mover.walk import INLINE

LINK_CACHE = 20_000


class Comparing(LooksAhead):
    """Runs the tasks of verify (two trees) and digest (one)."""

    def __init__(self, trees: tuple[Tree, ...], rules: Rules, drop: tuple[bool, ...]) -> None:
        super().__init__()
        self.trees = trees
        self.rules = rules
        self.drop = drop
        self._linked: dict[tuple[int, int, int], Seen] = {}
        self._lock = threading.Lock()

    def run(self, task: object) -> object:
        """Dispatches one task of the coordinator."""
        if isinstance(task, Compare):
            return self.compare(task)
        if isinstance(task, Look):
            return self.look(task)
        assert isinstance(task, Hash)  # noqa: S101
        return self.hash(task)

    # -- directories ---------------------------------------------------------------------------------------------------

    def look(self, task: Look) -> Looked:
        """Lists a directory on its sides, and compares what is in it where that is little."""
        handles = [-1] * len(self.trees)
        try:
            return self._look(task, handles)
        finally:
            for fd in handles:
                if fd >= 0:
                    os.close(fd)

    def _look(self, task: Look, handles: list[int]) -> Looked:
        sides: list[Side | None] = []
        found: list[tuple[list[bytes], list[bytes]]] = []
        problems: list[Problem] = []
        skipped: list[Skip] = []
        for index, tree in enumerate(self.trees):
            side = None
            names: tuple[list[bytes], list[bytes]] = ([], [])
            if task.mask & (1 << index):
                try:
                    handles[index] = fd = tree.open_directory(task.path)
                    side = see_directory(fd, self.rules)
                    names = entries(fd)
                    if side.seen.status.st_dev != tree.device:
                        raise Changed("another file system is mounted here; the mover stays on one")
                except (OSError, Changed) as error:
                    problems.append(Problem(task.path, reason_of(error), getattr(error, "errno", 0) or 0))
                    names = ([], [])
            if not task.path:
                skipped += leave_out_of_root(names, is_destination=index == 1)
            sides.append(side)
            found.append(names)
        directories, directory_masks = _union([names[0] for names in found])
        others, other_masks = _union([names[1] for names in found])
        differing = self._type_differences(task.path, directories, directory_masks, others, other_masks)
        inline = None
        if 0 < len(others) <= INLINE:
            work = _Stretch(self, Compare(task.path, b"", bytes(other_masks)))
            work.entries(others, handles)
            inline = work.result()
        return Looked(
            tuple(sides),
            pack(others) if inline is None else b"",
            bytes(other_masks),
            pack(directories),
            bytes(directory_masks),
            inline,
            tuple(differing),
            tuple(skipped),
            tuple(problems),
        )

    def _type_differences(
        self,
        path: bytes,
        directories: list[bytes],
        directory_masks: bytearray,
        others: list[bytes],
        other_masks: bytearray,
    ) -> list[Difference]:
        """A directory on one side where the other has something else."""
        if len(self.trees) < 2:
            return []
        lonely = {name: i for i, name in enumerate(directories) if directory_masks[i] != SOURCE | DESTINATION}
        found = []
        for i, name in enumerate(others if lonely else ()):
            j = lonely.get(name)
            if j is None:
                continue
            source_is_directory = bool(directory_masks[j] & SOURCE)
            directory_masks[j] |= REPORTED
            other_masks[i] |= REPORTED
            first, second = ("directory", "not a directory")[:: 1 if source_is_directory else -1]
            found.append(Difference(joined(path, name), "type", first, second))
        return found

    # -- entries -------------------------------------------------------------------------------------------------------

    def compare(self, task: Compare) -> Compared:
        """Reads entries and compares them."""
        work = _Stretch(self, task)
        handles: list[int] = []
        try:
            for index, tree in enumerate(self.trees):
                needed = any(mask & (1 << index) for mask in task.masks)
                handles.append(tree.open_directory(task.path) if needed else -1)
            work.entries(unpack(task.names), handles)
        except OSError as error:
            work.problems.append(Problem(task.path, reason_of(error), error.errno or 0))
        finally:
            for fd in handles:
                if fd >= 0:
                    os.close(fd)
        return work.result()

    def see(
        self, side: int, directory: int, path: bytes, name: bytes, found: Found | None, links: list[Link]
    ) -> Seen | None:
        """Reads one entry, and one inode of many names only once a worker. `found`: what is known and open of it already."""
        found = found or (status(name, directory), -1)
        st = found[0]
        if st.st_nlink == 1:
            return see(directory, name, found, self.rules, self.brake, drop=self.drop[side])
        links.append(Link(side, st.st_dev, st.st_ino, joined(path, name)))
        key = (side, st.st_dev, st.st_ino)
        known = self._linked.get(key)
        if known is not None and identity(known.status) == identity(st):
            return known
        seen = see(directory, name, found, self.rules, self.brake, drop=self.drop[side])
        if seen is not None and seen.content:
            with self._lock:
                if len(self._linked) >= LINK_CACHE:
                    self._linked.clear()
                self._linked[key] = seen
        return seen

    def hash(self, task: Hash) -> Hashed:
        """Hashes a range of a large file."""
        directory, name = split(task.path)
        try:
            with self.trees[task.side].directory(directory) as handle:
                st = status(name, handle)
                fd = open_regular(name, handle, st)
                try:
                    require_identity(st, task.identity)
                    length = task.end - task.start
                    if self.drop[task.side]:
                        os.posix_fadvise(fd, task.start, length, os.POSIX_FADV_DONTNEED)
                    os.posix_fadvise(fd, task.start, length, os.POSIX_FADV_SEQUENTIAL)
                    digest = hash_range(fd, task.start, task.end, self.brake)
                    require_identity(os.fstat(fd), task.identity)
                finally:
                    os.close(fd)
        except (OSError, Changed) as error:
            return Hashed(b"", 0, Problem(task.path, reason_of(error), getattr(error, "errno", 0) or 0))
        return Hashed(digest, length, None)


class _Stretch:
    """Gathers the result of one Compare task."""

    def __init__(self, owner: Comparing, task: Compare) -> None:
        self.owner = owner
        self.task = task
        count = len(owner.trees)
        self.records: list[list[Records]] = [[] for _ in range(count)]
        self.tallies = [[0, 0, 0, 0, 0] for _ in range(count)]
        self.large: list[Large] = []
        self.links: list[Link] = []
        self.found: list[Difference] = []
        self.skipped: list[Skip] = []
        self.problems: list[Problem] = []

    def entries(self, names: list[bytes], handles: list[int]) -> None:
        """Reads all names of the task on their sides."""
        position = 0
        while position < len(names):
            position = self._batch(names, position, handles)

    def _batch(self, names: list[bytes], position: int, handles: list[int]) -> int:
        """Reads the names from a position on, or as many as are asked for ahead at once; the position after them."""
        masks = self.task.masks
        owner = self.owner
        if not owner.handles.active:
            for name in names:
                self._entry(position, name, masks[position], handles, ())
                position += 1
            return position
        ahead = [Ahead(owner.handles) for _ in handles]
        try:
            end = position
            while end < len(names) and (end == position or not any(side.full for side in ahead)):
                name = names[end]
                for index, side in enumerate(ahead):
                    st = side.look(handles[index], name) if masks[end] & (1 << index) else None
                    if st is not None:
                        side.ask(handles[index], name, st, drop=owner.drop[index])
                end += 1
            for name in names[position:end]:
                self._entry(position, name, masks[position], handles, ahead)
                position += 1
        finally:
            for side in ahead:
                side.close()
        return position

    def _entry(
        self, position: int, name: bytes, mask: int, handles: list[int], ahead: Sequence[Ahead]
    ) -> None:
        """Reads one name on its sides."""
        path = self.task.path
        rules = self.owner.rules
        sides: list[Seen | None] = []
        for index in range(len(handles)):
            seen = None
            if mask & (1 << index):
                try:
                    found = ahead[index].get(name) if ahead else None
                    seen = self.owner.see(index, handles[index], path, name, found, self.links)
                    if seen is None or (seen.letter in b"cb" and "devices" in rules.left_out):
                        side = "source" if index == 0 else "destination"
                        what = "socket" if seen is None else "device node, left out as accepted"
                        self.skipped.append(Skip(joined(path, name), f"{what} ({side})"))
                        mask &= ~(1 << index)
                        seen = None
                except (OSError, Changed) as error:
                    side = ("source", "destination")[index] if len(handles) > 1 else "tree"
                    reason = f"{reason_of(error)} ({side})"
                    self.problems.append(Problem(joined(path, name), reason, getattr(error, "errno", 0) or 0))
                    mask |= REPORTED
            sides.append(seen)
        is_large = False
        for index, seen in enumerate(sides):
            if seen is None:
                self.records[index].append(Records())
                continue
            self._count(index, seen)
            is_large = is_large or (seen.letter == b"f" and not seen.content)
            start = head(seen.letter, name)
            body = metadata(seen.status, seen.xattrs, seen.holes, rules)
            self.records[index].append(Records(start + seen.content, start + body))
        if is_large:
            self.large.append(Large(position, name, mask, tuple(sides)))
        elif len(sides) == 2 and not mask & REPORTED and self.records[0][-1] != self.records[1][-1]:
            self.found += compare_sides(joined(path, name), sides[0], sides[1], rules)

    def _count(self, index: int, seen: Seen) -> None:
        tally = self.tallies[index]
        letter = seen.letter
        if letter == b"f":
            tally[0] += 1
            tally[4] += seen.status.st_size
        elif letter == b"l":
            tally[1] += 1
        elif letter == b"p":
            tally[2] += 1
        else:
            tally[3] += 1

    def result(self) -> Compared:
        """The whole result; records are joined where no large file waits among them."""
        records = self.records
        if not self.large:
            records = [
                [Records(b"".join([r.content for r in side]), b"".join([r.metadata for r in side]))]
                for side in records
            ]
        return Compared(
            tuple(tuple(side) for side in records),
            tuple(Counted(*tally) for tally in self.tallies),
            tuple(self.large),
            tuple(self.links),
            tuple(self.found),
            tuple(self.skipped),
            tuple(self.problems),
        )


def leave_out_of_root(names: tuple[list[bytes], list[bytes]], *, is_destination: bool) -> list[Skip]:
    """Takes out of the root's names what is not the users' data; what was taken out, and why."""
    skipped = []
    for name, why in LEFT_OUT_OF_ROOT.items():
        if name in names[0]:
            names[0].remove(name)
            side = "destination" if is_destination else "source"
            skipped.append(Skip(name, f"{why} ({side})"))
    for part, why in zip(
        names, ("state of an earlier run of the mover", "it has the name of the mover's state"), strict=True
    ):
        if STATE_NAME in part:
            part.remove(STATE_NAME)
            if not is_destination:
                skipped.append(Skip(STATE_NAME, f"{why} (source)"))
    return skipped


def _union(sides: list[list[bytes]]) -> tuple[list[bytes], bytearray]:
    """Sorted names of one or two sorted lists, with a mask of the sides that have each."""
    if len(sides) == 1 or not sides[1]:
        return sides[0], bytearray(b"\1" * len(sides[0]))
    if sides[0] == sides[1]:
        return sides[0], bytearray(b"\3" * len(sides[0]))
    first, second = (frozenset(side) for side in sides)
    names = sorted(first | second)
    return names, bytearray((name in first) | ((name in second) << 1) for name in names)
