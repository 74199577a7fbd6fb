"""Makes entries of the source in the destination: files, links, FIFOs, device nodes, with all that belongs to them."""

import errno
import os
import stat
import threading
from collections.abc import Callable

from blake3 import blake3

from mover.ahead import LooksAhead
from mover.attributes import Rules, Xattrs, by_handle, change_owner, class_of, read_xattrs, set_xattrs
from mover.errors import VANISHED, Changed, reason_of
from mover.holes import data_segments, hole_map, may_have_holes
from mover.limits import Brake
from mover.listing import LETTERS, RANGE_BYTES, Holes, device_content, file_content, link_content, metadata
from mover.protocol import (
    Begun,
    Complete,
    CopyOne,
    CopyRange,
    Done,
    Failed,
    Hashed,
    Linked,
    LinkTo,
    Problem,
)
from mover.reading import (
    BUFFER_BYTES,
    SMALL_BYTES,
    identity,
    open_regular,
    open_unseen,
    read_exactly,
    require_identity,
    require_unchanged,
    update_zeros,
    zero_hash,
)
from mover.rows import identity as both
from mover.tree import Tree, change_mode, remove, split, status, status_or_none

WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
REOPEN = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
EVERYTHING = Rules()


class Making(LooksAhead):
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
        super().__init__()
        self.source = source
        self.destination = destination
        self.rules = rules
        self.lost = lost
        self.final = final
        self.delete = delete
        self.racy_ns = racy_ns
        self._noted = threading.local()
        os.umask(0)

    def problem(self, path: bytes, error: OSError | Changed) -> Problem | None:
        """An error of the source or the destination; None where a warm pass only counts it."""
        if not self.final and isinstance(error, Changed):
            return None
        return Problem(path, reason_of(error), getattr(error, "errno", 0) or 0)

    def vanished(self, error: OSError | Changed) -> bool:
        """Whether an error on the source only says that the name is gone or has become something else."""
        return isinstance(error, OSError) and error.errno in VANISHED

    def recorded(self, xattrs: Xattrs) -> Xattrs:
        """Attributes that take part in the digest. The others are copied as well, as far as that is possible."""
        if not self.rules.left_out or not xattrs:
            return xattrs
        return tuple((name, value) for name, value in xattrs if self.rules.compares(name))

    def _kept(self, xattrs: Xattrs) -> Xattrs:
        if not self.lost or not xattrs:
            return xattrs
        for name in {class_of(name) for name, _ in xattrs} & self.lost:
            self.note(name)
        return tuple((name, value) for name, value in xattrs if class_of(name) not in self.lost)

    def note(self, name: str) -> None:
        """Counts an entry of which a class could not be kept."""
        counts = self._noted.__dict__
        counts[name] = counts.get(name, 0) + 1

    def noted(self) -> dict[str, int]:
        """See mover.pool.Runs."""
        counts = self._noted.__dict__
        if not counts:
            return {}
        found = dict(counts)
        counts.clear()
        return found

    def attribute(self, handle: int | bytes, wanted: Xattrs, present: Xattrs) -> None:
        """Sets extended attributes. One that the destination does not know is counted, and found different by a verify."""
        for name in {class_of(name) for name in set_xattrs(handle, wanted, present)}:
            self.note(name)

    def own(self, handle: int | bytes, st: os.stat_result, made: os.stat_result) -> None:
        """Sets the owner, as far as owners can be kept."""
        if not change_owner(handle, st, made, kept="owner" not in self.lost):
            self.note("owner")

    # -- one entry -----------------------------------------------------------------------------------------------------

    def copy_entry(
        self, source: int, into: int, name: bytes, st: os.stat_result, fd: int = -1, *, fresh: bool
    ) -> Done:
        """Copies an entry that is no directory, no socket and no large file. `fd`: its handle, where it is open already."""
        letter = LETTERS[stat.S_IFMT(st.st_mode)]
        if letter == b"f":
            return self._copy_file(source, into, name, st, fd, fresh=fresh)
        xattrs = read_xattrs(by_handle(source, name), EVERYTHING)
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
        made = status(name, into)
        body = metadata(st, self.recorded(xattrs), (), self.rules)
        return Done(letter, content, body, self.row(st, made), made.st_ino, 0, 0)

    def _make(self, into: int, name: bytes, fresh: bool, make: Callable[[], None]) -> None:
        if not fresh and status_or_none(name, into) is not None:
            remove(name, into)
        make()

    def _give_entry_attributes(self, into: int, name: bytes, st: os.stat_result, xattrs: Xattrs) -> None:
        path = by_handle(into, name)
        self.own(path, st, status(name, into))
        self.attribute(path, xattrs, ())
        if not stat.S_ISLNK(st.st_mode):
            change_mode(name, into, stat.S_IMODE(st.st_mode))
        os.utime(name, ns=(st.st_atime_ns, st.st_mtime_ns), dir_fd=into, follow_symlinks=False)

    def _create(self, into: int, name: bytes, st: os.stat_result, *, fresh: bool) -> int:
        """A new, empty file. An old one is never written into: other names may share it."""
        mode = st.st_mode & 0o777
        if not fresh and status_or_none(name, into) is not None:
            remove(name, into)
        return os.open(name, WRITE, mode, dir_fd=into)

    def _copy_file(
        self, source: int, into: int, name: bytes, st: os.stat_result, fd: int, *, fresh: bool
    ) -> Done:
        size = st.st_size
        if size > SMALL_BYTES or may_have_holes(size, st.st_blocks):
            return self._copy_big_file(source, into, name, st, fresh=fresh)
        if fd < 0:
            fd = open_unseen(name, source)
            try:
                data, xattrs = self._read_small(fd, st)
            finally:
                os.close(fd)
        else:
            data, xattrs = self._read_small(fd, st)
        self.brake.used(2, size)
        out = self._create(into, name, st, fresh=fresh)
        try:
            if data:
                write_all(out, data)
            made = self.finish_file(out, st, self._kept(xattrs))
        finally:
            os.close(out)
        body = metadata(st, self.recorded(xattrs), (), self.rules)
        content = file_content(size, blake3(data).digest())
        return Done(b"f", content, body, self.row(st, made), made.st_ino, size, size)

    def _read_small(self, fd: int, st: os.stat_result) -> tuple[bytes, Xattrs]:
        """All of a small file, before anything of it is made; Changed where it is not the file that was listed, or changes."""
        try:
            data = read_exactly(fd, st.st_size, 0) if st.st_size else b""
            return data, read_xattrs(fd, EVERYTHING)
        finally:
            require_unchanged(st, os.fstat(fd))

    def _copy_big_file(self, source: int, into: int, name: bytes, st: os.stat_result, *, fresh: bool) -> Done:
        """A file that is read in parts, or that has holes."""
        size = st.st_size
        fd = open_regular(name, source, st)
        try:
            xattrs = read_xattrs(fd, EVERYTHING)
            out = self._create(into, name, st, fresh=fresh)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                os.ftruncate(out, size)
                digest, copied = copy_stretch(fd, out, 0, size, self.brake)
                holes = self._holes(fd, size)
                require_unchanged(st, os.fstat(fd))
                made = self.finish_file(out, st, self._kept(xattrs))
            finally:
                os.close(out)
        finally:
            os.close(fd)
        body = metadata(st, self.recorded(xattrs), holes, self.rules)
        return Done(b"f", file_content(size, digest), body, self.row(st, made), made.st_ino, size, copied)

    def _holes(self, fd: int, size: int) -> Holes:
        holes = hole_map(fd, size, self.rules.hole_granularity) if self.rules.with_holes else ()
        if holes and "holes" in self.lost:
            self.note("holes")
        return holes

    def finish_file(self, out: int, st: os.stat_result, xattrs: Xattrs) -> os.stat_result:
        """Gives a new file its attributes, in the one order in which none undoes another; its status afterwards."""
        os.utime(out, ns=(st.st_atime_ns, st.st_mtime_ns))
        made = os.fstat(out)
        owner_differs = made.st_uid != st.st_uid or made.st_gid != st.st_gid
        if not owner_differs and not xattrs and made.st_mode == st.st_mode:
            return made
        if owner_differs:
            self.own(out, st, made)
        if xattrs:
            self.attribute(out, xattrs, ())
        os.fchmod(out, stat.S_IMODE(st.st_mode))
        return os.fstat(out)

    def row(self, st: os.stat_result, made: os.stat_result) -> bytes:
        """What the next pass compares; nothing for an entry that may change again without its ctime telling."""
        return both(st, made) if st.st_ctime_ns < self.racy_ns else b""

    # -- entries with several names, and large files -------------------------------------------------------------------

    def _on_entry(self, path: bytes, work: Callable[[int, int, bytes], object]) -> object:
        directory, name = split(path)
        try:
            with self.source.directory(directory) as source, self.destination.directory(directory) as into:
                return work(source, into, name)
        except (OSError, Changed) as error:
            if not self.final and self.vanished(error):
                return Failed(None, vanished=True)
            return Failed(self.problem(path, error))

    def copy_one(self, source: int, into: int, name: bytes, task: CopyOne) -> Done | Begun:
        """Copies an entry, or begins a large file, or goes on with one that an interrupted run had begun."""
        st = status(name, source)
        if stat.S_ISREG(st.st_mode) and st.st_size > RANGE_BYTES:
            if task.begun is not None and task.begun[0] == identity(st):
                there = status_or_none(name, into)
                if there is not None and (there.st_ino, there.st_size) == (task.begun[1], st.st_size):
                    return Begun(identity(st), there.st_ino, resumed=True)
            out = self._create(into, name, st, fresh=False)
            try:
                os.ftruncate(out, st.st_size)
                return Begun(identity(st), os.fstat(out).st_ino, resumed=False)
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
                        digest, copied = copy_stretch(fd, out, task.start, task.end, self.brake)
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
            change_mode(name, into, 0o600)
            out = os.open(name, REOPEN, dir_fd=into)
        if os.fstat(out).st_ino != inode:
            os.close(out)
            raise OSError(errno.EBUSY, "another file took the place of the copy in the destination")
        return out

    def _complete(self, source: int, into: int, name: bytes, task: Complete) -> Done:
        st = status(name, source)
        require_identity(st, task.identity)
        fd = open_regular(name, source, st)
        try:
            xattrs = read_xattrs(fd, EVERYTHING)
            holes = self._holes(fd, st.st_size)
            require_identity(os.fstat(fd), task.identity)
        finally:
            os.close(fd)
        out = self._reopen(into, name, task.destination_inode)
        try:
            made = self.finish_file(out, st, self._kept(xattrs))
        finally:
            os.close(out)
        body = metadata(st, self.recorded(xattrs), holes, self.rules)
        row = self.row(st, made)
        content = file_content(st.st_size, task.content_hash)
        return Done(b"f", content, body, row, made.st_ino, st.st_size, task.copied_bytes)

    def _link(self, into: int, name: bytes, task: LinkTo) -> Linked:
        """Makes the link. The directory is not left before, so that its mtime is set afterwards."""
        there = status_or_none(name, into)
        if there is not None and there.st_ino == task.destination_inode:
            return Linked()
        if there is not None:
            remove(name, into)
        directory, primary = split(task.primary)
        with self.destination.directory(directory) as other:
            os.link(primary, name, src_dir_fd=other, dst_dir_fd=into, follow_symlinks=False)
        return Linked()


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Writes all of it; a short write is tried again, so that the reason comes up."""
    written = os.write(fd, data) if data else 0
    while written < len(data):
        written += os.write(fd, data[written:])


def copy_stretch(fd: int, out: int, start: int, end: int, brake: Brake) -> tuple[bytes, int]:
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
            brake.used(2, len(part))
        copied += hole - data
    if position == start:
        return zero_hash(end - start), 0
    if position < end:
        update_zeros(hasher, end - position)
    return hasher.digest(), copied
