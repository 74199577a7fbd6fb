"""The work of copy inside a worker: reads entries of the source, makes them in the destination, hashes on the way."""

import os
import stat

from blake3 import blake3

from mover.attributes import Rules, Xattrs, by_handle, change_owner, class_of, read_xattrs, set_xattrs
from mover.compare import identity, leave_out_of_root, require_identity
from mover.errors import VANISHED, Changed, reason_of
from mover.holes import data_segments, hole_map, may_have_holes
from mover.listing import LETTERS, RANGE_BYTES, device_content, file_content, head, link_content, metadata
from mover.names import joined
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
from mover.reading import (
    BUFFER_BYTES,
    SMALL_BYTES,
    open_regular,
    read_exactly,
    require_unchanged,
    update_zeros,
    zero_hash,
)
from mover.rows import Row, kept, packed, unpacked
from mover.tree import DIRECTORY, Tree, entries, make_usable, remove, split, status, status_or_none
from mover.walk import STRETCH

WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
REOPEN = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DEFAULT_ACL = "system.posix_acl_default"


class Copying:
    """Runs the tasks of copy. `lost` are the classes that cannot be kept; `racy_ns`: a file whose ctime is later is not trusted next time."""

    def __init__(
        self,
        source: Tree,
        destination: Tree,
        rules: Rules,
        lost: frozenset[str],
        *,
        final: bool,
        delete: bool,
        racy_ns: int,
    ) -> None:
        self.source = source
        self.destination = destination
        self.rules = rules
        self.lost = lost
        self.final = final
        self.delete = delete
        self.racy_ns = racy_ns
        os.umask(0)

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
            return self._on_entry(task.path, self._copy_one)
        if isinstance(task, LinkTo):
            return self._on_entry(task.path, lambda source, into, name: self._link(source, into, name, task))
        assert isinstance(task, Complete)  # noqa: S101
        return self._on_entry(task.path, lambda source, into, name: self._complete(source, into, name, task))

    def problem(self, path: bytes, error: OSError | Changed) -> Problem | None:
        """An error of the source or the destination; None where a warm pass only counts it."""
        if not self.final and isinstance(error, Changed):
            return None
        return Problem(path, reason_of(error), getattr(error, "errno", 0) or 0)

    def vanished(self, error: OSError | Changed) -> bool:
        """Whether an error on the source only says that the name is gone or has become something else."""
        return isinstance(error, OSError) and error.errno in VANISHED

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
            body = metadata(st, read_xattrs(source, self.rules), (), self.rules)
            into, fresh = self._make_directory(path)
            deleted, extra = (0, 0) if fresh else self._remove_extra(into, names, is_root=not path)
            inline = None
            if len(names[1]) <= STRETCH and task.rows_complete:
                inline = self._stretch(path, names[1], task.rows, source, into, fresh=fresh)
            finished = inline is not None and not inline.pending and not names[0] and bool(path)
            if finished:
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
            fd = self._open_existing(name, parent)
        self._prepare(fd)
        return fd, False

    def _open_existing(self, name: bytes, parent: int) -> int:
        try:
            return os.open(name, DIRECTORY, dir_fd=parent)
        except PermissionError:
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
            try:
                os.chmod(f"/proc/self/fd/{handle}", 0o700)  # noqa: PTH101
            finally:
                os.close(handle)
            return os.open(name, DIRECTORY, dir_fd=parent)

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

    def _give_attributes(self, source: int, into: int, st: os.stat_result) -> None:
        present = os.fstat(into)
        wanted = self._kept(read_xattrs(source, self.rules))
        there = read_xattrs(into, self.rules)
        change_owner(into, st, present, kept="owner" not in self.lost)
        if wanted != there:
            set_xattrs(into, wanted, there)
        os.fchmod(into, stat.S_IMODE(st.st_mode))
        os.utime(into, ns=(st.st_atime_ns, st.st_mtime_ns))

    def _kept(self, xattrs: Xattrs) -> Xattrs:
        if not self.lost or not xattrs:
            return xattrs
        return tuple((name, value) for name, value in xattrs if class_of(name) not in self.lost)

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

    # -- one entry -----------------------------------------------------------------------------------------------------

    def copy_entry(self, source: int, into: int, name: bytes, st: os.stat_result, *, fresh: bool) -> Done:
        """Copies an entry that is no directory, no socket and no large file."""
        letter = LETTERS[stat.S_IFMT(st.st_mode)]
        if letter == b"f":
            return self._copy_file(source, into, name, st, fresh=fresh)
        xattrs = read_xattrs(by_handle(source, name), self.rules)
        content = b""
        if letter == b"l":
            target = os.readlink(name, dir_fd=source)
            content = link_content(target)
            self._make(into, name, fresh, lambda: os.symlink(target, name, dir_fd=into))
        else:
            content = device_content(st) if letter != b"p" else b""
            self._make(
                into,
                name,
                fresh,
                lambda: os.mknod(name, stat.S_IFMT(st.st_mode) | 0o600, st.st_rdev, dir_fd=into),
            )
        require_unchanged(st, status(name, source))
        self._give_entry_attributes(into, name, st, self._kept(xattrs))
        inode = status(name, into).st_ino
        return Done(letter, content, metadata(st, xattrs, (), self.rules), b"", inode, 0, 0)

    def _make(self, into: int, name: bytes, fresh: bool, make: object) -> None:
        assert callable(make)  # noqa: S101
        if not fresh and status_or_none(name, into) is not None:
            remove(name, into)
        make()

    def _give_entry_attributes(self, into: int, name: bytes, st: os.stat_result, xattrs: Xattrs) -> None:
        path = by_handle(into, name)
        change_owner(path, st, status(name, into), kept="owner" not in self.lost)
        set_xattrs(path, xattrs, ())
        if not stat.S_ISLNK(st.st_mode):
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=into)
            try:
                os.chmod(f"/proc/self/fd/{handle}", stat.S_IMODE(st.st_mode))  # noqa: PTH101
            finally:
                os.close(handle)
        os.utime(name, ns=(st.st_atime_ns, st.st_mtime_ns), dir_fd=into, follow_symlinks=False)

    def _create(self, into: int, name: bytes, st: os.stat_result, *, fresh: bool) -> int:
        """A new, empty file. An old one is never written into: other names may share it."""
        mode = st.st_mode & 0o777
        if not fresh and status_or_none(name, into) is not None:
            remove(name, into)
        return os.open(name, WRITE, mode, dir_fd=into)

    def _copy_file(self, source: int, into: int, name: bytes, st: os.stat_result, *, fresh: bool) -> Done:
        size = st.st_size
        fd = open_regular(name, source, st)
        try:
            sparse = may_have_holes(size, st.st_blocks)
            xattrs = read_xattrs(fd, self.rules)
            out = self._create(into, name, st, fresh=fresh)
            try:
                copied = size
                if size <= SMALL_BYTES and not sparse:
                    data = read_exactly(fd, size, 0) if size else b""
                    write_all(out, data)
                    digest = blake3(data).digest()
                else:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                    os.ftruncate(out, size)
                    digest, copied = copy_stretch(fd, out, 0, size)
                holes = (
                    hole_map(fd, size, self.rules.hole_granularity)
                    if sparse and self.rules.with_holes
                    else ()
                )
                require_unchanged(st, os.fstat(fd))
                made = self.finish_file(out, st, self._kept(xattrs))
            finally:
                os.close(out)
        finally:
            os.close(fd)
        body = metadata(st, xattrs, holes, self.rules)
        row = self.row(name, st, made, digest, body)
        return Done(b"f", file_content(size, digest), body, row, made.st_ino, size, copied)

    def finish_file(self, out: int, st: os.stat_result, xattrs: Xattrs) -> os.stat_result:
        """Gives a new file its attributes, in the one order in which none undoes another; its status afterwards."""
        made = os.fstat(out)
        owner_differs = (made.st_uid, made.st_gid) != (st.st_uid, st.st_gid)
        if owner_differs:
            change_owner(out, st, made, kept="owner" not in self.lost)
        if xattrs:
            set_xattrs(out, xattrs, ())
        if owner_differs or xattrs or stat.S_IMODE(made.st_mode) != stat.S_IMODE(st.st_mode):
            os.fchmod(out, stat.S_IMODE(st.st_mode))
        os.utime(out, ns=(st.st_atime_ns, st.st_mtime_ns))
        return os.fstat(out)

    def row(self, name: bytes, st: os.stat_result, made: os.stat_result, digest: bytes, body: bytes) -> bytes:
        """The row for the next pass; none for a file that may change again without its ctime telling."""
        if st.st_ctime_ns >= self.racy_ns:
            return b""
        return packed(name, st, made, digest, body)

    # -- entries with several names, and large files -------------------------------------------------------------------

    def _on_entry(self, path: bytes, work: object) -> object:
        assert callable(work)  # noqa: S101
        directory, name = split(path)
        try:
            with self.source.directory(directory) as source, self.destination.directory(directory) as into:
                return work(source, into, name)
        except (OSError, Changed) as error:
            if not self.final and self.vanished(error):
                return Failed(None, vanished=True)
            return Failed(self.problem(path, error))

    def _copy_one(self, source: int, into: int, name: bytes) -> Done | Begun:
        st = status(name, source)
        if stat.S_ISREG(st.st_mode) and st.st_size > RANGE_BYTES:
            out = self._create(into, name, st, fresh=False)
            try:
                os.ftruncate(out, st.st_size)
                return Begun(identity(st), os.fstat(out).st_ino)
            finally:
                os.close(out)
        if stat.S_IFMT(st.st_mode) not in LETTERS or stat.S_ISDIR(st.st_mode):
            raise Changed("another file took its name")
        return self.copy_entry(source, into, name, st, fresh=False)

    def copy_range(self, task: CopyRange) -> Hashed:
        """Copies a range of a large file."""
        directory, name = split(task.path)
        try:
            with self.source.directory(directory) as source, self.destination.directory(directory) as into:
                st = status(name, source)
                fd = open_regular(name, source, st)
                try:
                    require_identity(st, task.identity)
                    out = self._reopen(into, name, task.destination_inode)
                    try:
                        length = task.end - task.start
                        os.posix_fadvise(fd, task.start, length, os.POSIX_FADV_SEQUENTIAL)
                        digest, copied = copy_stretch(fd, out, task.start, task.end)
                        # On dirty pages this starts the writing back, so that the disk works from the beginning.
                        os.posix_fadvise(out, task.start, length, os.POSIX_FADV_DONTNEED)
                    finally:
                        os.close(out)
                    require_identity(os.fstat(fd), task.identity)
                finally:
                    os.close(fd)
        except (OSError, Changed) as error:
            return Hashed(
                b"",
                0,
                self.problem(task.path, error),
                changed=isinstance(error, Changed) or self.vanished(error),
            )
        return Hashed(digest, copied, None)

    def _reopen(self, into: int, name: bytes, inode: int) -> int:
        try:
            out = os.open(name, REOPEN, dir_fd=into)
        except PermissionError:
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=into)
            os.chmod(f"/proc/self/fd/{handle}", 0o600)  # noqa: PTH101
            os.close(handle)
            out = os.open(name, REOPEN, dir_fd=into)
        if os.fstat(out).st_ino != inode:
            os.close(out)
            raise OSError(5, "another file took the place of the copy in the destination")
        return out

    def _complete(self, source: int, into: int, name: bytes, task: Complete) -> Done:
        st = status(name, source)
        require_identity(st, task.identity)
        fd = open_regular(name, source, st)
        try:
            xattrs = read_xattrs(fd, self.rules)
            holes = hole_map(fd, st.st_size, self.rules.hole_granularity) if self.rules.with_holes else ()
            require_identity(os.fstat(fd), task.identity)
        finally:
            os.close(fd)
        out = self._reopen(into, name, task.destination_inode)
        try:
            made = self.finish_file(out, st, self._kept(xattrs))
        finally:
            os.close(out)
        body = metadata(st, xattrs, holes, self.rules)
        row = self.row(name, st, made, task.content_hash, body)
        content = file_content(st.st_size, task.content_hash)
        return Done(b"f", content, body, row, made.st_ino, st.st_size, task.copied_bytes)

    def _link(self, source: int, into: int, name: bytes, task: LinkTo) -> Failed:
        """Makes the link, and gives the directory back the mtime that making it changed."""
        there = status_or_none(name, into)
        if there is not None and there.st_ino == task.destination_inode:
            return Failed(None)
        if there is not None:
            remove(name, into)
        directory, primary = split(task.primary)
        with self.destination.directory(directory) as other:
            os.link(primary, name, src_dir_fd=other, dst_dir_fd=into, follow_symlinks=False)
        st = os.fstat(source)
        os.utime(into, ns=(st.st_atime_ns, st.st_mtime_ns))
        return Failed(None)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Writes all of it; a short write is tried again, so that the reason comes up."""
    written = os.write(fd, data) if data else 0
    while written < len(data):
        written += os.write(fd, data[written:])


def copy_stretch(fd: int, out: int, start: int, end: int) -> tuple[bytes, int]:
    """Copies the data of [start, end) and leaves holes; the hash of the range, and how many bytes were data."""
    hasher = blake3()
    position = start
    copied = 0
    for data, hole in data_segments(fd, start, end):
        if data > position:
            update_zeros(hasher, data - position)
        position = data
        while position < hole:
            part = read_exactly(fd, min(BUFFER_BYTES, hole - position), position)
            hasher.update(part)
            written = os.pwrite(out, part, position)
            while written < len(part):
                written += os.pwrite(out, part[written:], position + written)
            position += len(part)
        copied += hole - data
    if position == start:
        return zero_hash(end - start), 0
    if position < end:
        update_zeros(hasher, end - position)
    return hasher.digest(), copied


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
        if letter in b"cb" and "devices" in owner.lost:
            self.skipped.append(
                Skip(joined(self.path, name), "device node (source): this identity cannot make one")
            )
            return
        known = self._unchanged(name, st) if letter == b"f" else None
        large = letter == b"f" and st.st_size > RANGE_BYTES
        if st.st_nlink > 1 or (large and known is None):
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
