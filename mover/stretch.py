"""Copies a stretch of names of one directory: the loop that runs once for every file of a tree, so it is written to be quick."""

import os
import stat
import struct
from typing import TYPE_CHECKING

from mover.ahead import Ahead, Found
from mover.attributes import by_handle, read_xattrs
from mover.errors import Changed, reason_of
from mover.listing import LETTERS, RANGE_BYTES, device_content, head, metadata
from mover.names import joined
from mover.protocol import Counted, Done, Pending, Problem, Records, Skip, Stretched
from mover.reading import SPREAD_BYTES
from mover.rows import DESTINATION_IDENTITY, IDENTITY_BYTES, SOURCE_IDENTITY, Row, Rows, opened, packed
from mover.rows import identity as both
from mover.tree import remove, status_or_none

if TYPE_CHECKING:
    from mover.making import Making

_HEAD_BYTES = 5


class CopyStretch:
    """Gathers the result of one stretch. `rows` are what earlier passes left of its names."""

    def __init__(
        self, owner: "Making", path: bytes, source: int, into: int, rows: tuple[bytes, ...], *, fresh: bool
    ) -> None:
        self.owner = owner
        self.path = path
        self.source = source
        self.into = into
        self.fresh = fresh
        self.packed_rows = rows
        self.records: list[Records] = []
        self.rows: list[tuple[bytes, Row]] = []
        self.tally = [0, 0, 0, 0, 0]
        self.pending: list[Pending] = []
        self.copied_files = 0
        self.copied_bytes = 0
        self.unchanged = 0
        self.changed = 0
        self.vanished = 0
        self.deleted = 0
        self.skipped: list[Skip] = []
        self.problems: list[Problem] = []

    def run(self, names: list[bytes]) -> Stretched:
        """Copies all of them."""
        known: dict[bytes, Row] = {}
        if not self.fresh and self.packed_rows:
            if len(self.packed_rows) == 1:
                rows = opened(self.packed_rows[0])
                if rows.names == b"\0".join(names) and self._nothing_changed(names, rows):
                    return self._same(rows)
            for stretch in self.packed_rows:
                known.update(opened(stretch).each())
        position = 0
        while position < len(names):
            position = self._batch(names, position, known)
        return self._result()

    def _batch(self, names: list[bytes], position: int, known: dict[bytes, Row]) -> int:
        """Copies the names from a position on, or as many as are asked for ahead at once; the position after them."""
        if not self.owner.handles.active:
            for name in names:
                self._try(position, name, known.get(name), None)
                position += 1
            return position
        ahead = Ahead(self.owner.handles)
        try:
            end = position
            while end < len(names) and (end == position or not ahead.full):
                name = names[end]
                end += 1
                st = ahead.look(self.source, name)
                if st is not None and not self._seems_unchanged(name, st, known.get(name)):
                    ahead.ask(self.source, name, st)
            for name in names[position:end]:
                self._try(position, name, known.get(name), ahead.get(name))
                position += 1
        finally:
            ahead.close()
        return position

    # -- what did not change -------------------------------------------------------------------------------------------

    def _nothing_changed(self, names: list[bytes], rows: Rows) -> bool:
        """Looks at every name on both sides, and stops at the first that is not as it was."""
        source, into = self.source, self.into
        identities = rows.identities
        position = files = total = 0
        own_size = SOURCE_IDENTITY.size
        try:
            for name in names:
                st = os.stat(name, dir_fd=source, follow_symlinks=False)
                middle, end = position + own_size, position + IDENTITY_BYTES
                if st.st_nlink != 1 or identities[position:middle] != SOURCE_IDENTITY.pack(
                    st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns
                ):
                    return False
                made = os.stat(name, dir_fd=into, follow_symlinks=False)
                if (
                    identities[middle:end] != DESTINATION_IDENTITY.pack(made.st_ino, made.st_ctime_ns)
                    or made.st_mtime_ns != st.st_mtime_ns
                    or made.st_size != st.st_size
                ):
                    return False
                position = end
                if st.st_mode & 0o170000 == stat.S_IFREG:
                    files += 1
                    total += st.st_size
        except (OSError, struct.error):
            return False
        self.unchanged, self.tally[0], self.tally[4] = files, files, total
        return True

    def _same(self, rows: Rows) -> Stretched:
        if self.tally[0] != len(rows.identities) // IDENTITY_BYTES:
            for _, row in rows.each():
                if row.content[:1] != b"f":
                    self._count(row.content[:1], 0)
        self.records = [Records(rows.contents, rows.metadatas)]
        return self._result(same=True)

    def _seems_unchanged(self, name: bytes, st: os.stat_result, row: Row | None) -> bool:
        """For asking ahead alone: an error here comes up again, under its own name, when the entry is copied."""
        try:
            return row is not None and self._unchanged(name, st, row)
        except OSError:
            return False

    def _unchanged(self, name: bytes, st: os.stat_result, row: Row) -> bool:
        made = status_or_none(name, self.into)
        if made is None or stat.S_IFMT(made.st_mode) != stat.S_IFMT(st.st_mode):
            return False
        if (made.st_ino, made.st_size, made.st_mtime_ns) != (
            row.destination_inode,
            st.st_size,
            st.st_mtime_ns,
        ):
            return False
        now, before = both(st, made), row.identity
        # Making another name of the file changes the ctime of the copy as well.
        own = SOURCE_IDENTITY.size
        return now == before or (st.st_nlink > 1 and bool(now) and now[:own] == before[:own])

    # -- one name ------------------------------------------------------------------------------------------------------

    def _try(self, position: int, name: bytes, row: Row | None, found: Found | None) -> None:
        """Copies one name, or leaves it to the coordinator. `found`: what is known and open of it already."""
        self.records.append(Records())
        try:
            self._entry(position, name, row, found)
        except (OSError, Changed) as error:
            owner = self.owner
            if not owner.final and isinstance(error, Changed):
                self.changed += 1
            elif not owner.final and owner.vanished(error) and status_or_none(name, self.source) is None:
                self.vanished += 1
            else:
                self.problems.append(
                    Problem(joined(self.path, name), reason_of(error), getattr(error, "errno", 0) or 0)
                )

    def _entry(self, position: int, name: bytes, row: Row | None, found: Found | None) -> None:
        owner = self.owner
        st, opened_fd = found or (os.stat(name, dir_fd=self.source, follow_symlinks=False), -1)
        letter = LETTERS.get(stat.S_IFMT(st.st_mode))
        if letter is None:
            self._leave_out(name, "socket (source)")
            return
        if letter == b"d":
            raise Changed("it became a directory")
        if letter in b"cb" and ("devices" in owner.lost or "devices" in owner.rules.left_out):
            self._leave_out_device(position, name, letter, st)
            return
        if row is not None and not self._unchanged(name, st, row):
            row = None
        if st.st_nlink > 1 or (row is None and letter == b"f" and st.st_size > SPREAD_BYTES):
            self._leave_to_coordinator(position, name, st, row)
            return
        if row is None:
            done = owner.copy_entry(self.source, self.into, name, st, opened_fd, fresh=self.fresh)
            start = head(letter, name)
            row = Row(done.row, start + done.content, start + done.metadata)
            self.copied_files += 1
            self.copied_bytes += done.copied_bytes
        elif letter == b"f":
            self.unchanged += 1
        self.records[position] = Records(row.content, row.metadata)
        if row.identity:
            self.rows.append((name, row))
        self._count(letter, st.st_size)

    def _leave_out(self, name: bytes, why: str) -> None:
        """Reports what is not copied. What the destination has under its name goes, where a pass removes at all."""
        self.skipped.append(Skip(joined(self.path, name), why))
        if self.owner.delete:
            there = status_or_none(name, self.into)
            if there is not None and LETTERS.get(stat.S_IFMT(there.st_mode), b"c") not in b"cb":
                remove(name, self.into)
                self.deleted += 1

    def _leave_out_device(self, position: int, name: bytes, letter: bytes, st: os.stat_result) -> None:
        owner = self.owner
        if "devices" in owner.rules.left_out:
            self._leave_out(name, "device node (source): left out as accepted")
            return
        owner.note("devices")
        self._leave_out(name, "device node (source): this identity cannot make one")
        # It is in the source's digest all the same: a copy without it is not equal.
        start = head(letter, name)
        xattrs = owner.recorded(read_xattrs(by_handle(self.source, name), owner.rules))
        body = metadata(st, xattrs, (), owner.rules)
        self.records[position] = Records(start + device_content(st), start + body)
        self._count(letter, 0)

    def _count(self, letter: bytes, size: int) -> None:
        if letter == b"f":
            self.tally[0] += 1
            self.tally[4] += size
        else:
            self.tally[{b"l": 1, b"p": 2}.get(letter, 3)] += 1

    def _leave_to_coordinator(self, position: int, name: bytes, st: os.stat_result, row: Row | None) -> None:
        done = None
        is_file = stat.S_ISREG(st.st_mode)
        size = st.st_size if is_file else 0
        if row is not None:
            begin = _HEAD_BYTES + len(name)
            content, body = row.content[begin:], row.metadata[begin:]
            done = Done(row.content[:1], content, body, row.identity, row.destination_inode, size, 0)
        large = is_file and size > RANGE_BYTES
        self.pending.append(Pending(position, name, st.st_dev, st.st_ino, st.st_nlink, large, size, done))

    def _result(self, *, same: bool = False) -> Stretched:
        records = self.records
        if not self.pending and not same:
            records = [
                Records(b"".join([r.content for r in records]), b"".join([r.metadata for r in records]))
            ]
        return Stretched(
            tuple(records),
            packed(self.rows),
            same,
            Counted(*self.tally),
            tuple(self.pending),
            self.copied_files,
            self.copied_bytes,
            self.unchanged,
            self.changed,
            self.vanished,
            tuple(self.skipped),
            tuple(self.problems),
            self.deleted,
        )
