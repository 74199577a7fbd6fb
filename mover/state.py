"""What the mover keeps in the destination between passes: its mark, its lock, its listing. See docs/explanation/mover.md.

All of it lives in `.holdfast-mover/` of the root, which no scan sees; it goes away with a successful verify.
"""

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable

from mover import VERSION
from mover.attributes import REMOVING
from mover.errors import VANISHED, MoverError, reason_of
from mover.system import sync_file_system
from mover.tree import DIRECTORY, LEFT_OUT_OF_ROOT, STATE_NAME, Tree, entries

_FILES = (
    b"listing.db",
    b"listing.db-journal",
    b"listing.new",
    b"mark.new",
    b"mark",
    b"holdfast-node",
    b"holdfast-probe",
    b"lock",
)


class State:
    """The state directory, locked. `fd` is its handle."""

    def __init__(self, destination: Tree, fd: int, lock: int) -> None:
        self.destination = destination
        self.fd = fd
        self._lock = lock

    def close(self) -> None:
        """Lets go of the lock."""
        os.close(self._lock)
        os.close(self.fd)

    def remove(self) -> None:
        """Removes the state, and gives the root back the mtime that the removal changes. Can be killed at any point."""
        root = self.destination.fd
        st = os.fstat(root)
        with contextlib.suppress(OSError):
            os.setxattr(root, REMOVING, b"%d %d" % (st.st_atime_ns, st.st_mtime_ns))
        _remove_files(self.fd)
        os.rmdir(STATE_NAME, dir_fd=root)
        os.utime(root, ns=(st.st_atime_ns, st.st_mtime_ns))
        with contextlib.suppress(OSError):
            os.removexattr(root, REMOVING)

    def distrust(self) -> None:
        """Forgets the listing, so that the next pass copies every file again."""
        for name in _FILES[:3]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.fd)


def _remove_files(fd: int) -> None:
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=fd)


def finish_removal(destination: Tree) -> None:
    """Completes a removal of the state that was killed half way."""
    try:
        times = os.getxattr(destination.fd, REMOVING)
    except OSError:
        return
    atime_ns, mtime_ns = (int(part) for part in times.split())
    fd = _open_directory(destination)
    if fd is not None:
        _remove_files(fd)
        os.close(fd)
        os.rmdir(STATE_NAME, dir_fd=destination.fd)
    os.utime(destination.fd, ns=(atime_ns, mtime_ns))
    os.removexattr(destination.fd, REMOVING)


def _open_directory(destination: Tree) -> int | None:
    try:
        return os.open(STATE_NAME, DIRECTORY, dir_fd=destination.fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in VANISHED:
            raise
        raise _refused("what it holds under the name of the mover's state is no directory") from error


def _locked(fd: int, *, writable: bool) -> int:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY)
    lock = os.open(b"lock", flags, 0o600, dir_fd=fd)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise MoverError(
            "another mover is at work on this destination",
            next_step="Wait until it is done, or end it; then run again.",
        ) from error
    return lock


def claim(destination: Tree, mark: str, *, adopt: bool = False) -> State:
    """Takes the destination for a copy: an empty one is marked, a marked one must carry this mark, any other is refused.

    `adopt`: one that is neither is marked too. For who knows that it is a copy of ours, whose mark a proof has removed.
    """
    finish_removal(destination)
    directories, others = entries(destination.fd)
    strange = others + [name for name in directories if name != STATE_NAME and name not in LEFT_OUT_OF_ROOT]
    strange = [] if adopt else strange
    fd = _open_directory(destination)
    if fd is None:
        if strange:
            raise _refused(f"it is not empty and carries no mark of ours (it holds {len(strange)} names)")
        os.mkdir(STATE_NAME, 0o700, dir_fd=destination.fd)
        fd = os.open(STATE_NAME, DIRECTORY, dir_fd=destination.fd)
    lock = _locked(fd, writable=True)
    found = _read_mark(fd)
    if found is None:
        if strange:
            raise _refused("it is not empty and our mark in it is missing or damaged")
        _write_mark(fd, mark)
    elif found != mark:
        raise _refused(
            "it carries the mark of another migration" if mark else "it is marked, and no mark was given"
        )
    return State(destination, fd, lock)


def _refused(reason: str) -> MoverError:
    return MoverError(
        f"the destination is refused: {reason}",
        next_step="Nothing was written. Give an empty destination, or the mark with which this one was first filled (--staging-mark).",
    )


def _read_mark(fd: int) -> str | None:
    try:
        mark = os.open(b"mark", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except FileNotFoundError:
        return None
    with os.fdopen(mark, "rb") as file:
        try:
            return str(json.loads(file.read())["mark"])
        except (ValueError, KeyError, TypeError):
            return None


def _write_mark(fd: int, mark: str) -> None:
    text = json.dumps({"program": "holdfast-mover", "version": VERSION, "mark": mark}).encode()
    new = os.open(
        b"mark.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd
    )
    with os.fdopen(new, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(b"mark.new", b"mark", src_dir_fd=fd, dst_dir_fd=fd)
    os.fsync(fd)


def existing(destination: Tree) -> State | None:
    """The state that a copy left, locked; None where there is none."""
    fd = _open_directory(destination)
    if fd is None:
        return None
    try:
        try:
            return State(destination, fd, _locked(fd, writable=True))
        except OSError:  # mounted read-only
            return State(destination, fd, _locked(fd, writable=False))
    except FileNotFoundError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise


class WriteBack(threading.Thread):
    """Writes a file system back beside other work, since that may take minutes. The system's call lets other threads run."""

    def __init__(self, fd: int) -> None:
        super().__init__(daemon=True)
        self._fd = fd
        self._error: OSError | None = None
        self.start()

    def run(self) -> None:
        """See threading.Thread."""
        try:
            sync_file_system(self._fd)
        except OSError as error:
            self._error = error

    def settle(self, waiting: Callable[[], None]) -> None:
        """Waits for the end, calling `waiting` meanwhile; MoverError when the disk did not take what was written."""
        while self.is_alive():
            self.join(0.2)
            waiting()
        if self._error is not None:
            raise MoverError(
                f"{reason_of(self._error)} (while the destination was written back)"
            ) from self._error
