"""The coordinator of verify and digest: walks one or two trees in step, folds the listings into digests, gathers differences."""

from collections.abc import Iterator

from mover.attributes import Rules
from mover.differences import DESTINATION, REPORTED, SOURCE, compare_sides
from mover.hardlinks import HardLinks
from mover.listing import RANGE_BYTES, Seen, file_content, head, metadata, tree_digests
from mover.names import joined
from mover.progress import Progress
from mover.protocol import Compare, Compared, Difference, Hash, Hashed, Large, Look, Looked, Records
from mover.reading import combined, identity
from mover.tally import Tally
from mover.walk import Agenda, Node, each, stretch_count, stretches


class _Waiting:
    """A stretch with large files in it: its records, one a name, and how many files are still being hashed."""

    def __init__(self, node: Node, position: int, records: list[list[Records]], left: int) -> None:
        self.node = node
        self.position = position
        self.records = records
        self.left = left

    def joined(self) -> tuple[Records, ...]:
        return tuple(
            Records(b"".join(r.content for r in side), b"".join(r.metadata for r in side))
            for side in self.records
        )


class _LargeFile:
    """One large file on one side: the hashes of its ranges as they arrive."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.hashes: dict[int, bytes] = {}
        self.ranges = -(-seen.status.st_size // RANGE_BYTES)
        self.failed = False


class _Pair:
    """A large file on its sides, waiting to be compared."""

    def __init__(self, waiting: _Waiting, large: Large) -> None:
        self.waiting = waiting
        self.large = large
        self.sides: list[Seen | None] = list(large.sides)
        self.left = 0


class Verification:
    """Walks `sides` trees: 2 to verify, 1 to digest. Results are in the tally, digests in its sides."""

    def __init__(self, sides: int, rules: Rules, tally: Tally, progress: Progress) -> None:
        self.sides = sides
        self.rules = rules
        self.tally = tally
        self.progress = progress
        self.links = HardLinks()
        self.agenda = Agenda()
        self._large_inodes: dict[tuple[int, int, int], bytes] = {}
        root = Node(b"", None, 0, sides)
        self._root = root
        self.agenda.urgent.append((Look(b"", SOURCE | DESTINATION if sides == 2 else SOURCE), root))

    def next_task(self) -> tuple[object, object] | None:
        """See mover.pool.Source."""
        return self.agenda.next()

    def note(self, counted: dict[str, int]) -> None:
        """See mover.pool.Source."""
        self.tally.note(counted)

    def tick(self) -> None:
        """See mover.pool.Source."""
        self.progress.bytes = self.tally.sides[0].bytes
        self.progress.tick()

    def handle(self, context: object, task: object, result: object) -> None:
        """See mover.pool.Source."""
        if isinstance(result, Compared) and isinstance(task, Compare):
            assert isinstance(context, tuple)  # noqa: S101
            self._compared(context[0], context[1], len(task.masks), result)
        elif isinstance(result, Looked) and isinstance(task, Look):
            assert isinstance(context, Node)  # noqa: S101
            self._looked(context, task, result)
        elif isinstance(result, Hashed) and isinstance(task, Hash):
            assert isinstance(context, tuple)  # noqa: S101
            self._hashed(context[0], context[1], task, result)

    # -- directories ---------------------------------------------------------------------------------------------------

    def _looked(self, node: Node, task: Look, result: Looked) -> None:
        tally = self.tally
        tally.fail(result.problems)
        tally.skip(result.skipped)
        tally.differ(result.differences)
        seen = [side.seen if side else None for side in result.sides]
        node.metadata = tuple(side.metadata if side else None for side in result.sides)
        for side, found in enumerate(seen):
            if found is not None:
                tally.sides[side].directories += 1
        if self.sides == 2 and not result.problems and not task.mask & REPORTED:
            tally.differ(compare_sides(task.path, seen[0], seen[1], self.rules))
        parts = stretch_count(result.name_masks) if result.inline is None else 1
        node.items = parts + len(result.directory_masks)
        if not node.items:
            self._complete(node)
            return
        self.agenda.push(self._tasks(node, result))
        if result.inline is not None:
            self._compared(node, 0, len(result.name_masks), result.inline)

    def _tasks(self, node: Node, listed: Looked) -> Iterator[tuple[object, object]]:
        position = int(listed.inline is not None)
        for names, masks in stretches(listed.names, b"" if listed.inline else listed.name_masks):
            yield Compare(node.path, names, masks), (node, position)
            position += 1
        for name, mask in each(listed.directories, listed.directory_masks):
            path = joined(node.path, name)
            yield Look(path, mask), Node(path, node, position, self.sides)
            position += 1

    def _deliver(self, node: Node, position: int, records: tuple[Records, ...]) -> None:
        if node.deliver(position, records):
            self._complete(node)

    def _complete(self, node: Node) -> None:
        """Folds a directory into its parent, and that one into its own, as far as they are complete."""
        current: Node | None = node
        while current is not None and current.parent is not None:
            parent = current.parent
            if not parent.deliver(current.position, current.records()):
                return
            current = parent

    # -- entries -------------------------------------------------------------------------------------------------------

    def _compared(self, node: Node, position: int, names: int, result: Compared) -> None:
        tally = self.tally
        for side, counted in enumerate(result.counted):
            tally.sides[side].add(counted)
        tally.differ(result.differences)
        tally.skip(result.skipped)
        self.links.add(result.links)
        self.progress.files += names
        self.progress.path = node.path
        tally.fail(result.problems)
        if not result.large:
            self._deliver(node, position, tuple(side[0] for side in result.records))
            return
        waiting = _Waiting(node, position, [list(side) for side in result.records], len(result.large))
        for large in result.large:
            self._start_large(waiting, large, node.path)

    def _start_large(self, waiting: _Waiting, large: Large, directory: bytes) -> None:
        pair = _Pair(waiting, large)
        started: list[tuple[int, _LargeFile]] = []
        for side, seen in enumerate(large.sides):
            if seen is None or seen.content or seen.letter != b"f":
                continue
            known = self._large_inodes.get((side, seen.status.st_dev, seen.status.st_ino))
            if known is not None:
                pair.sides[side] = seen._replace(content=known)
            else:
                started.append((side, _LargeFile(seen)))
        pair.left = len(started)
        if not started:
            self._finish_pair(pair)
        for side, file in started:
            self.agenda.push(_ranges(side, joined(directory, large.name), file, pair))

    def _hashed(self, pair: _Pair, file: _LargeFile, task: Hash, result: Hashed) -> None:
        if result.problem is not None:
            if not file.failed:
                self.tally.fail([result.problem])
            file.failed = True
        file.hashes[task.start // RANGE_BYTES] = result.digest
        self.progress.path = task.path
        if len(file.hashes) < file.ranges:
            return
        size = file.seen.status.st_size
        hashes = [file.hashes[i] for i in range(file.ranges)]
        content = file_content(size, combined(hashes) if size > RANGE_BYTES else hashes[0])
        if file.failed:
            pair.sides[task.side] = None
        else:
            pair.sides[task.side] = file.seen._replace(content=content)
            if file.seen.status.st_nlink > 1:
                self._large_inodes[task.side, file.seen.status.st_dev, file.seen.status.st_ino] = content
        pair.left -= 1
        if not pair.left:
            self._finish_pair(pair)

    def _finish_pair(self, pair: _Pair) -> None:
        large, waiting = pair.large, pair.waiting
        failed = any(
            now is None and before is not None for now, before in zip(pair.sides, large.sides, strict=True)
        )
        for side, seen in enumerate(pair.sides):
            if seen is not None:
                start = head(seen.letter, large.name)
                body = metadata(seen.status, seen.xattrs, seen.holes, self.rules)
                waiting.records[side][large.position] = Records(start + seen.content, start + body)
        if self.sides == 2 and not failed and not large.mask & REPORTED:
            path = joined(waiting.node.path, large.name)
            self.tally.differ(compare_sides(path, pair.sides[0], pair.sides[1], self.rules))
        waiting.left -= 1
        if not waiting.left:
            self._deliver(waiting.node, waiting.position, waiting.joined())

    # -- the end -------------------------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """Hard links, and the digests of the trees. Call once, when there is nothing left to do."""
        self.links.finish()
        if self.sides == 2:
            for path, source, destination in self.links.lost():
                self.tally.differ([Difference(path, "hard-link", source, destination)])
        for side in range(self.sides):
            own = self._root.metadata[side]
            if own is None:
                continue
            self._root.require_complete()
            content, listing = self._root.digests(side)
            found = self.tally.sides[side]
            found.hard_links = self.links.extra_names(side)
            found.content_digest, found.metadata_digest = tree_digests(
                content, self.links.digest(side), own + listing, self.rules
            )
        self.tally.pair_renamed()


def _ranges(side: int, path: bytes, file: _LargeFile, pair: _Pair) -> Iterator[tuple[object, object]]:
    size = file.seen.status.st_size
    mark = identity(file.seen.status)
    for start in range(0, size, RANGE_BYTES):
        yield Hash(side, path, start, min(start + RANGE_BYTES, size), mark), (pair, file)
