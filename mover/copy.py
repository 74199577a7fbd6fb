"""The coordinator of copy: walks the source, has it copied, folds its listing into digests, keeps rows for the next pass."""

from collections.abc import Iterator

from mover.attributes import Rules
from mover.hardlinks import HardLinks
from mover.listing import RANGE_BYTES, head, tree_digests
from mover.listing_database import WHOLE, Listing, Span
from mover.names import joined
from mover.pending import Directory, File, Inode, Place, Waiting
from mover.progress import Progress
from mover.protocol import (
    Begun,
    Complete,
    CopyOne,
    CopyRange,
    Counted,
    Done,
    Enter,
    Entered,
    Failed,
    Hashed,
    Leave,
    Left,
    Link,
    Linked,
    LinkTo,
    Records,
    Stretch,
    Stretched,
)
from mover.reading import combined
from mover.rows import Row, merged
from mover.tally import Tally
from mover.walk import Agenda, Node, each, stretch_count, stretches


class CopyPass:
    """One pass over the source."""

    def __init__(self, rules: Rules, listing: Listing, tally: Tally, progress: Progress) -> None:
        self.rules = rules
        self.listing = listing
        self.tally = tally
        self.progress = progress
        self.links = HardLinks()
        self.agenda = Agenda()
        self._inodes: dict[tuple[int, int], Inode] = {}
        self._root = Node(b"", None, 0, 1)
        self.agenda.urgent.append((self._enter(b""), self._root))

    def next_task(self) -> tuple[object, object] | None:
        """See mover.pool.Source."""
        return self.agenda.next()

    def note(self, counted: dict[str, int]) -> None:
        """See mover.pool.Source."""
        self.tally.note(counted)

    def tick(self) -> None:
        """See mover.pool.Source."""
        self.progress.tick()
        self.listing.tick()

    def handle(self, context: object, task: object, result: object) -> None:
        """See mover.pool.Source."""
        if isinstance(result, Stretched):
            assert isinstance(context, Place)  # noqa: S101
            self._stretched(context, result)
        elif isinstance(result, Entered):
            assert isinstance(context, Node)  # noqa: S101
            assert isinstance(task, Enter)  # noqa: S101
            self._entered(context, task, result)
        elif isinstance(result, Left):
            if result.problem is not None:
                self.tally.fail([result.problem])
            assert isinstance(context, Node)  # noqa: S101
            self._fold(context)
        else:
            assert isinstance(context, File)  # noqa: S101
            self._file_result(context, task, result)

    # -- directories ---------------------------------------------------------------------------------------------------

    def _enter(self, path: bytes) -> Enter:
        rows, complete = self.listing.few(path)
        return Enter(path, tuple([blob for _, blob in rows]), complete)

    def _entered(self, node: Node, task: Enter, result: Entered) -> None:
        tally = self.tally
        tally.fail(result.problems)
        tally.skip(result.skipped)
        tally.vanished += result.vanished
        tally.deleted_files += result.deleted
        tally.extra += result.extra
        if not result.metadata:  # vanished or failed
            node.metadata = (None,)
            node.state = Directory(result.identity, finished=True)
            self._complete(node)
            return
        tally.sides[0].directories += 1
        node.metadata = (result.metadata,)
        node.state = Directory(result.identity, result.finished)
        parts = stretch_count(bytes(result.name_count)) if result.inline is None else bool(result.name_count)
        node.items = parts + result.directory_count
        if result.inline is not None and result.name_count:
            rows = tuple([(b"", blob) for blob in task.rows])
            self._stretched(Place(node, 0, WHOLE, rows), result.inline)
        if not node.items:
            self._complete(node)
            return
        self.agenda.push(self._tasks(node, result))

    def _tasks(self, node: Node, listed: Entered) -> Iterator[tuple[object, object]]:
        position = int(listed.inline is not None and listed.name_count > 0)
        if listed.inline is None:
            first = b""
            carried: tuple[tuple[bytes, bytes], ...] = ()
            parts = stretches(listed.names, bytes(listed.name_count))
            names = next(parts, (b"", b""))[0]
            while names:
                following = next(parts, (b"", b""))[0]
                span = Span(first, following.partition(b"\0")[0] if following else None)
                rows: tuple[tuple[bytes, bytes], ...] = ()
                if not (listed.fresh or self.listing.empty):
                    rows = self.listing.between(node.path, span)
                    # What began in the span before was found then, and may be replaced by now.
                    if carried and (not rows or rows[0][0] != first):
                        rows = (*carried, *rows)
                    carried = rows[-1:]
                blobs = tuple([blob for _, blob in rows])
                yield Stretch(node.path, names, blobs, listed.fresh), Place(node, position, span, rows)
                position += 1
                first, names = span.end or b"", following
        for name, _ in each(listed.directories, bytes(listed.directory_count)):
            path = joined(node.path, name)
            yield self._enter(path), Node(path, node, position, 1)
            position += 1

    def _deliver(self, node: Node, position: int, records: Records) -> None:
        if node.deliver(position, (records,)):
            self._complete(node)

    def _complete(self, node: Node) -> None:
        """All in a directory is done: it gets its attributes, then it is folded into its parent."""
        state = node.state
        assert isinstance(state, Directory)  # noqa: S101
        if state.finished:
            self._fold(node)
        else:
            self.agenda.urgent.append((Leave(node.path, state.identity), node))

    def _fold(self, node: Node) -> None:
        if node.parent is not None:
            self._deliver(node.parent, node.position, node.records()[0])

    # -- entries -------------------------------------------------------------------------------------------------------

    def _stretched(self, place: Place, result: Stretched) -> None:
        node = place.node
        tally = self.tally
        tally.sides[0].add(result.counted)
        tally.skip(result.skipped)
        tally.copied_files += result.copied_files
        tally.copied_bytes += result.copied_bytes
        tally.unchanged_files += result.unchanged_files
        tally.changed += result.changed
        tally.vanished += result.vanished
        tally.deleted_files += result.deleted
        counted = result.counted
        self.progress.bytes += counted.bytes
        self.progress.files += counted.files + counted.symlinks + counted.fifos + counted.devices
        self.progress.path = node.path
        tally.fail(result.problems)
        if not result.pending:
            self._keep(place, result)
            self._deliver(node, place.position, result.records[0])
            return
        waiting = Waiting(place, result)
        for pending in result.pending:
            self._start(File(waiting, pending))

    def _keep(self, place: Place, result: Stretched) -> None:
        if not result.same:
            self.listing.keep(place.node.path, place.span, result.rows)
            return
        begins, rows = place.rows[0]
        if begins != place.span.first:  # the same names, but no longer the first or no longer a later stretch
            self.listing.keep(place.node.path, place.span, rows)

    def _start(self, file: File) -> None:
        pending = file.pending
        if pending.names == 1:
            self._copy_one(file)
            return
        self.links.add([Link(0, pending.device, pending.inode, file.path)])
        key = (pending.device, pending.inode)
        file.inode = self._inodes.get(key)
        if file.inode is None:
            file.inode = self._inodes[key] = Inode()
        self._join(file, file.inode)

    def _join(self, file: File, inode: Inode) -> None:
        """Makes a file the first of its inode, or links it to the first, or has it wait for the first."""
        known = file.pending.known
        if inode.done is not None:
            if known is not None and known.destination_inode == inode.done.destination_inode:
                self._count_unchanged(known)
                self._finish(file, known)
            else:
                link = LinkTo(file.path, inode.path, inode.done.destination_inode)
                self.agenda.urgent.append((link, file))
        elif inode.path:
            inode.waiting.append(file)
        elif known is not None:
            inode.path = file.path
            inode.done = known
            self._count_unchanged(known)
            self._finish(file, known)
        else:
            inode.path = file.path
            self._copy_one(file)

    def _count_unchanged(self, known: Done) -> None:
        if known.letter == b"f":
            self.tally.unchanged_files += 1

    def _copy_one(self, file: File) -> None:
        begun = self.listing.begun(file.path) if file.pending.large else None
        if begun is not None:
            file.hashes = begun[2]
        self.agenda.urgent.append((CopyOne(file.path, begun[:2] if begun else None), file))

    def _file_result(self, file: File, task: object, result: object) -> None:
        if isinstance(result, Hashed) and isinstance(task, CopyRange):
            self._range_copied(file, task, result)
        elif isinstance(result, Begun):
            self._begun(file, result)
        elif isinstance(result, Done):
            self.tally.copied_files += 1
            self.tally.copied_bytes += result.copied_bytes
            self._copied(file, result)
        elif isinstance(result, Linked):
            assert file.inode is not None and file.inode.done is not None  # noqa: S101
            self._finish(file, file.inode.done)
        elif isinstance(result, Failed):
            self._give_up(file, result)

    def _begun(self, file: File, begun: Begun) -> None:
        file.begun = begun
        if not begun.resumed:
            file.hashes.clear()
            self.listing.forget(file.path)
        self.tally.resumed_ranges += len(file.hashes)
        self.progress.bytes += len(file.hashes) * RANGE_BYTES
        if not self._complete_large(file, begun):
            self.agenda.push(_ranges(file, begun))

    def _range_copied(self, file: File, task: CopyRange, result: Hashed) -> None:
        begun = file.begun
        assert begun is not None  # noqa: S101
        if result.problem is not None or result.changed:
            if not file.failed and result.problem is not None:
                self.tally.fail([result.problem])
            file.failed = True
        file.hashes[task.start // RANGE_BYTES] = result.digest
        if not file.failed:
            self.listing.keep_range(
                file.path, begun.identity, begun.destination_inode, task.start // RANGE_BYTES, result.digest
            )
        file.copied_bytes += result.copied_bytes
        self.progress.bytes += task.end - task.start
        self.progress.path = file.path
        self._complete_large(file, begun)

    def _complete_large(self, file: File, begun: Begun) -> bool:
        """Whether all ranges of a large file are there; then it gets its attributes."""
        ranges = -(-begun.identity[1] // RANGE_BYTES)
        if len(file.hashes) < ranges:
            return False
        if file.failed:
            self._give_up(file, Failed(None))
            return True
        digest = combined([file.hashes[i] for i in range(ranges)])
        complete = Complete(file.path, begun.identity, begun.destination_inode, digest, file.copied_bytes)
        self.agenda.urgent.append((complete, file))
        return True

    def _copied(self, file: File, done: Done) -> None:
        inode = file.inode
        if inode is not None:
            inode.done = done
            waiting, inode.waiting = inode.waiting, []
            for other in waiting:
                self._join(other, inode)
        self._finish(file, done)

    def _give_up(self, file: File, failed: Failed) -> None:
        """An entry could not be copied, or changed or vanished in a warm pass. Another name of its inode may do better."""
        tally = self.tally
        if failed.vanished:
            tally.vanished += 1
        elif (failed.problem is None and not file.failed) or (file.failed and not tally.problems_total):
            tally.changed += 1
        inode = file.inode
        if inode is not None and inode.path == file.path and inode.done is None:
            inode.path = b""
            waiting, inode.waiting = inode.waiting, []
            for other in waiting:
                self._join(other, inode)
        self._settle(file, Records(), b"")
        if failed.problem is not None:
            tally.fail([failed.problem])

    def _finish(self, file: File, done: Done) -> None:
        name = file.pending.name
        start = head(done.letter, name)
        counted = {
            b"f": Counted(files=1, bytes=done.bytes),
            b"l": Counted(symlinks=1),
            b"p": Counted(fifos=1),
        }.get(done.letter, Counted(devices=1))
        self.tally.sides[0].add(counted)
        self.progress.files += 1
        if not file.hashes:
            self.progress.bytes += done.bytes
        self._settle(file, Records(start + done.content, start + done.metadata), done.row)
        self._forget(file)

    def _forget(self, file: File) -> None:
        """An inode whose names were all seen and settled is not needed any more; one that gets more names meanwhile begins anew."""
        inode = file.inode
        if inode is not None:
            inode.settled += 1
            key = (file.pending.device, file.pending.inode)
            if inode.settled >= file.pending.names and not inode.waiting and self._inodes.get(key) is inode:
                del self._inodes[key]

    def _settle(self, file: File, records: Records, row: bytes) -> None:
        waiting = file.waiting
        waiting.records[file.pending.position] = records
        if row:
            waiting.more.append((file.pending.name, Row(row, records.content, records.metadata)))
        waiting.left -= 1
        if waiting.left:
            return
        self.listing.keep(waiting.node.path, waiting.span, merged(waiting.rows, waiting.more))
        content = b"".join([r.content for r in waiting.records])
        metadata = b"".join([r.metadata for r in waiting.records])
        self._deliver(waiting.node, waiting.position, Records(content, metadata))

    # -- the end -------------------------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """Hard links and digests of the source as it was copied. Call once, when there is nothing left to do."""
        self.links.finish()
        own = self._root.metadata[0]
        if own is None:
            return
        self._root.require_complete()
        content, listing = self._root.digests(0)
        side = self.tally.sides[0]
        side.hard_links = self.links.extra_names(0)
        side.content_digest, side.metadata_digest = tree_digests(
            content, self.links.digest(0), own + listing, self.rules
        )


def _ranges(file: File, begun: Begun) -> Iterator[tuple[object, object]]:
    size = begun.identity[1]
    done = frozenset(file.hashes)
    for start in range(0, size, RANGE_BYTES):
        if start // RANGE_BYTES in done:
            continue
        end = min(start + RANGE_BYTES, size)
        yield CopyRange(file.path, start, end, begun.identity, begun.destination_inode), file
