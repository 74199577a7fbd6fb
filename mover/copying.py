"""The work of copy inside a worker: reads entries of the source, makes them in the destination, hashes on the way."""

import os
import stat

from mover.attributes import read_xattrs
from mover.compare import leave_out_of_root
from mover.errors import VANISHED, Changed, reason_of
from mover.listing import metadata
from mover.making import EVERYTHING, Making
from mover.protocol import (
    Complete,
    CopyOne,
    CopyRange,
    Counted,
    Enter,
    Entered,
    Leave,
    Left,
    LinkTo,
    Problem,
    Records,
    Stretch,
    Stretched,
    pack,
    unpack,
)
from mover.reading import identity
from mover.stretch import CopyStretch
from mover.tree import DIRECTORY, entries, make_usable, open_own, remove, split, status
from mover.walk import INLINE

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
            if len(names[1]) <= INLINE and task.rows_complete:
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
        self.own(into, st, present)
        if wanted != there:
            self.attribute(into, wanted, there)
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
                return Stretched((Records(),), b"", False, Counted(), (), 0, 0, 0, 0, 1, (), ())
            problem = Problem(task.path, reason_of(error), error.errno or 0)
            return Stretched((Records(),), b"", False, Counted(), (), 0, 0, 0, 0, 0, (), (problem,))

    def _stretch(
        self, path: bytes, names: list[bytes], rows: tuple[bytes, ...], source: int, into: int, *, fresh: bool
    ) -> Stretched:
        return CopyStretch(self, path, source, into, rows, fresh=fresh).run(names)
