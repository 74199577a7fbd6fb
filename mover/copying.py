"""The work of copy inside a worker: reads entries of the source, makes them in the destination, hashes on the way."""

import os
import stat

from mover.attributes import change_owner, read_xattrs, set_xattrs
from mover.compare import identity, leave_out_of_root
from mover.errors import VANISHED, Changed, reason_of
from mover.listing import LETTERS, RANGE_BYTES, file_content, head, metadata
from mover.making import EVERYTHING, Making
from mover.names import joined
from mover.protocol import (
    Complete,
    CopyOne,
    CopyRange,
    Counted,
    Done,
    Enter,
    Entered,
    Leave,
    Left,
    LinkTo,
    Pending,
    Problem,
    Records,
    Skip,
    Stretch,
    Stretched,
    pack,
    unpack,
)
from mover.reading import SPREAD_BYTES
from mover.rows import Row, kept, unpacked
from mover.tree import DIRECTORY, entries, make_usable, open_own, remove, split, status, status_or_none
from mover.walk import STRETCH

DEFAULT_ACL = "system.posix_acl_default"


class Copying(Making):
    """Runs the tasks of copy."""

    def run(self, task: object) -> object:
        """Dispatches one task of the coordinator."""
        if isinstance(task, Stretch):
            return self.stretch(task)
        if isinstance(task, Enter):
            return self.enter(task)
        if isinstance(task, Leave):
            return self.leave(task)
        if isinstance(task, CopyRange):
            return self.copy_range(task)
        if isinstance(task, CopyOne):
            return self._on_entry(
                task.path, lambda source, into, name: self.copy_one(source, into, name, task)
            )
        if isinstance(task, LinkTo):
            return self._on_entry(task.path, lambda source, into, name: self._link(into, name, task))
        assert isinstance(task, Complete)  # noqa: S101
        return self._on_entry(task.path, lambda source, into, name: self._complete(source, into, name, task))

    # -- directories ---------------------------------------------------------------------------------------------------

    def enter(self, task: Enter) -> Entered:
        """Lists a directory of the source, makes it in the destination, removes what the source has not."""
        path = task.path
        try:
            source = self.source.open_directory(path)
        except OSError as error:
            return self._not_entered(path, error, in_source=True)
        into = -1
        try:
            st = os.fstat(source)
            if st.st_dev != self.source.device:
                raise Changed("another file system is mounted here; the mover stays on one")
            names = entries(source)
            skipped = [] if path else leave_out_of_root(names, is_destination=False)
            body = metadata(st, self.recorded(read_xattrs(source, EVERYTHING)), (), self.rules)
            into, fresh = self._make_directory(path)
            deleted, extra = (0, 0) if fresh else self._remove_extra(into, names, is_root=not path)
            inline = None
            if len(names[1]) <= STRETCH and task.rows_complete:
                inline = self._stretch(path, names[1], task.rows, source, into, fresh=fresh)
            finished = inline is not None and not inline.pending and not names[0] and bool(path)
            if finished:
                self._require_still(source, st)
                self._give_attributes(source, into, st)
        except (OSError, Changed) as error:
            return self._not_entered(path, error, in_source=False)
        finally:
            os.close(source)
            if into >= 0:
                os.close(into)
        return Entered(
            body,
            identity(st),
            b"" if inline is not None else pack(names[1]),
            len(names[1]),
            pack(names[0]),
            len(names[0]),
            fresh,
            inline,
            finished,
            deleted,
            extra,
            False,
            tuple(skipped),
            (),
        )

    def _not_entered(self, path: bytes, error: OSError | Changed, *, in_source: bool) -> Entered:
        vanished = in_source and not self.final and self.vanished(error) and bool(path)
        problems = () if vanished else (Problem(path, reason_of(error), getattr(error, "errno", 0) or 0),)
        return Entered(b"", (0, 0, 0, 0), b"", 0, b"", 0, False, None, True, 0, 0, vanished, (), problems)

    def _make_directory(self, path: bytes) -> tuple[int, bool]:
        """A handle of the destination's directory, and whether it is new."""
        if not path:
            fd = self.destination.open_directory(b"")
            self._prepare(fd)
            return fd, False
        directory, name = split(path)
        with self.destination.directory(directory) as parent:
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
                return os.open(name, DIRECTORY, dir_fd=parent), True
            except FileExistsError:
                st = status(name, parent)
            if not stat.S_ISDIR(st.st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)
                return os.open(name, DIRECTORY, dir_fd=parent), True
            fd = open_own(name, parent)
        self._prepare(fd)
        return fd, False

    def _prepare(self, fd: int) -> None:
        """A default ACL would be inherited by all that is made here; it comes back when the directory is left."""
        make_usable(fd)
        try:
            os.removexattr(fd, DEFAULT_ACL)
        except OSError:
            return

    def _remove_extra(
        self, into: int, names: tuple[list[bytes], list[bytes]], *, is_root: bool
    ) -> tuple[int, int]:
        present = entries(into)
        if is_root:
            leave_out_of_root(present, is_destination=True)
        wanted = frozenset(names[0]) | frozenset(names[1])
        extra = [name for part in present for name in part if name not in wanted]
        if not self.delete:
            return 0, len(extra)
        for name in extra:
            remove(name, into)
        return len(extra), 0

    def leave(self, task: Leave) -> Left:
        """Gives a directory its attributes."""
        try:
            with self.source.directory(task.path) as source, self.destination.directory(task.path) as into:
                st = os.fstat(source)
                if self.final and identity(st) != task.identity:
                    raise Changed("the directory changed while it was copied")
                self._give_attributes(source, into, st)
        except (OSError, Changed) as error:
            if not self.final and isinstance(error, OSError) and error.errno in VANISHED:
                return Left(None)
            return Left(self.problem(task.path, error))
        return Left(None)

    def _require_still(self, source: int, before: os.stat_result) -> None:
        if self.final and identity(os.fstat(source)) != identity(before):
            raise Changed("the directory changed while it was copied")

    def _give_attributes(self, source: int, into: int, st: os.stat_result) -> None:
        present = os.fstat(into)
        wanted = self._kept(read_xattrs(source, EVERYTHING))
        there = read_xattrs(into, EVERYTHING)
        change_owner(into, st, present, kept="owner" not in self.lost)
        if wanted != there:
            set_xattrs(into, wanted, there)
        os.fchmod(into, stat.S_IMODE(st.st_mode))
        os.utime(into, ns=(st.st_atime_ns, st.st_mtime_ns))

    # -- stretches of entries ------------------------------------------------------------------------------------------

    def stretch(self, task: Stretch) -> Stretched:
        """Copies some entries of a directory."""
        try:
            with self.source.directory(task.path) as source, self.destination.directory(task.path) as into:
                return self._stretch(task.path, unpack(task.names), task.rows, source, into, fresh=task.fresh)
        except OSError as error:
            if not self.final and self.vanished(error):
                return Stretched((Records(),), b"", Counted(), (), 0, 0, 0, 0, 1, (), ())
            problem = Problem(task.path, reason_of(error), error.errno or 0)
            return Stretched((Records(),), b"", Counted(), (), 0, 0, 0, 0, 0, (), (problem,))

    def _stretch(
        self, path: bytes, names: list[bytes], rows: tuple[bytes, ...], source: int, into: int, *, fresh: bool
    ) -> Stretched:
        work = _Stretch(self, path, source, into, {} if fresh else unpacked(rows), fresh)
        for position, name in enumerate(names):
            work.entry(position, name)
        return work.result()


class _Stretch:
    """Gathers the result of one stretch."""

    def __init__(
        self, owner: Copying, path: bytes, source: int, into: int, rows: dict[bytes, Row], fresh: bool
    ) -> None:
        self.owner = owner
        self.path = path
        self.source = source
        self.into = into
        self.known = rows
        self.fresh = fresh
        self.records: list[Records] = []
        self.rows: list[bytes] = []
        self.tally = [0, 0, 0, 0, 0]
        self.pending: list[Pending] = []
        self.copied_files = 0
        self.copied_bytes = 0
        self.unchanged = 0
        self.changed = 0
        self.vanished = 0
        self.skipped: list[Skip] = []
        self.problems: list[Problem] = []

    def entry(self, position: int, name: bytes) -> None:
        """Copies one name, or leaves it to the coordinator."""
        self.records.append(Records())
        try:
            self._entry(position, name)
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

    def _entry(self, position: int, name: bytes) -> None:
        owner = self.owner
        st = status(name, self.source)
        letter = LETTERS.get(stat.S_IFMT(st.st_mode))
        if letter is None:
            self.skipped.append(Skip(joined(self.path, name), "socket (source)"))
            return
        if letter == b"d":
            raise Changed("it became a directory")
        if letter in b"cb" and ("devices" in owner.lost or "devices" in owner.rules.left_out):
            why = "this identity cannot make one" if "devices" in owner.lost else "left out as accepted"
            self.skipped.append(Skip(joined(self.path, name), f"device node (source): {why}"))
            return
        known = self._unchanged(name, st) if letter == b"f" else None
        large = letter == b"f" and st.st_size > RANGE_BYTES
        spread = letter == b"f" and st.st_size > SPREAD_BYTES
        if st.st_nlink > 1 or (spread and known is None):
            self._leave_to_coordinator(position, name, st, known, large=large)
            return
        if known is not None:
            done = self._as_done(name, st, known)
            self.unchanged += 1
        else:
            done = owner.copy_entry(self.source, self.into, name, st, fresh=self.fresh)
            self.copied_files += 1
            self.copied_bytes += done.copied_bytes
        start = head(done.letter, name)
        self.records[position] = Records(start + done.content, start + done.metadata)
        if done.row:
            self.rows.append(done.row)
        self._count(letter, st.st_size)

    def _count(self, letter: bytes, size: int) -> None:
        if letter == b"f":
            self.tally[0] += 1
            self.tally[4] += size
        else:
            self.tally[{b"l": 1, b"p": 2}.get(letter, 3)] += 1

    def _unchanged(self, name: bytes, st: os.stat_result) -> Row | None:
        row = self.known.get(name)
        if row is None or row.source != identity(st):
            return None
        made = status_or_none(name, self.into)
        if made is None or not stat.S_ISREG(made.st_mode):
            return None
        if (made.st_ino, made.st_size, made.st_mtime_ns) != (row.destination[0], st.st_size, st.st_mtime_ns):
            return None
        # Making another name of the file changes the ctime of the copy as well.
        if st.st_nlink == 1 and made.st_ctime_ns != row.destination[1]:
            return None
        return row

    def _as_done(self, name: bytes, st: os.stat_result, row: Row) -> Done:
        content = file_content(st.st_size, row.content_hash)
        return Done(b"f", content, row.metadata, kept(row, name), row.destination[0], st.st_size, 0)

    def _leave_to_coordinator(
        self, position: int, name: bytes, st: os.stat_result, known: Row | None, *, large: bool
    ) -> None:
        done = self._as_done(name, st, known) if known is not None else None
        size = st.st_size if stat.S_ISREG(st.st_mode) else 0
        self.pending.append(Pending(position, name, st.st_dev, st.st_ino, st.st_nlink, large, size, done))

    def result(self) -> Stretched:
        """The whole result."""
        records = self.records
        if not self.pending:
            records = [
                Records(b"".join([r.content for r in records]), b"".join([r.metadata for r in records]))
            ]
        return Stretched(
            tuple(records),
            b"".join(self.rows),
            Counted(*self.tally),
            tuple(self.pending),
            self.copied_files,
            self.copied_bytes,
            self.unchanged,
            self.changed,
            self.vanished,
            tuple(self.skipped),
            tuple(self.problems),
        )
