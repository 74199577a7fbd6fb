"""A tree of files behind one directory handle. Nothing is opened by a whole path and no link is ever followed.

A path here is bytes relative to the root, names joined by `/`; the root itself is empty. It may be longer than PATH_MAX,
since every name can be opened in the handle of its directory.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mover.system import open_beneath

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STATE_NAME = b".holdfast-mover"
_AT_ONCE = 4000  # bytes of a path, below PATH_MAX
LEFT_OUT_OF_ROOT = {
    b"lost+found": "kept by the file system itself",
    b".snap": "snapshots of the file system",
    b".snapshot": "snapshots of the file system",
}


class Tree:
    """One root directory, opened once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.device = os.fstat(self.fd).st_dev

    @contextmanager
    def directory(self, path: bytes) -> Iterator[int]:
        """A handle of the directory at `path`; OSError (ELOOP, ENOTDIR) where a name on the way is not a directory."""
        fd = self.open_directory(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def open_directory(self, path: bytes) -> int:
        """Like `directory`, for the caller to close."""
        if not path:
            return os.open(".", DIRECTORY, dir_fd=self.fd)
        if b"/" in path and len(path) <= _AT_ONCE:
            # One call for the whole way, under the same rule. Why it failed is found step by step.
            opened = open_beneath(self.fd, path, DIRECTORY)
            if opened >= 0:
                return opened
        current = self.fd
        try:
            for name in path.split(b"/"):
                opened = os.open(name, DIRECTORY, dir_fd=current)
                if current != self.fd:
                    os.close(current)
                current = opened
        except OSError:
            if current != self.fd:
                os.close(current)
            raise
        return current


def split(path: bytes) -> tuple[bytes, bytes]:
    """The directory and the name of a path."""
    directory, _, name = path.rpartition(b"/")
    return directory, name


def entries(fd: int) -> tuple[list[bytes], list[bytes]]:
    """The names in a directory: directories, and everything else; both sorted as bytes."""
    directories: list[bytes] = []
    others: list[bytes] = []
    # By the handle's own path the names come as bytes; by the handle itself each would have to be encoded again.
    with os.scandir(b"/proc/self/fd/%d" % fd) as scan:
        for entry in scan:
            (directories if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    directories.sort()
    others.sort()
    return directories, others


def status(name: bytes, directory: int) -> os.stat_result:
    """lstat of a name in a directory handle."""
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def status_or_none(name: bytes, directory: int) -> os.stat_result | None:
    """Like `status`; None where there is no such name."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def remove(name: bytes, directory: int) -> None:
    """Remove a name, and all below it where it is a directory. Follows no link; memory does not grow with the depth."""
    try:
        os.unlink(name, dir_fd=directory)
        return
    except IsADirectoryError:
        pass
    except PermissionError:
        if not stat.S_ISDIR(status(name, directory).st_mode):
            raise
    _remove_directory(name, directory)


class _Level:
    """A directory on its way out: its name, its handle, and its directories that are left."""

    def __init__(self, name: bytes, parent: int) -> None:
        self.name = name
        self.fd = open_own(name, parent)
        self.directories, others = entries(self.fd)
        for other in others:
            os.unlink(other, dir_fd=self.fd)


def _remove_directory(name: bytes, directory: int) -> None:
    """Empties from the deepest level up. What lies 64 deep is lifted to the top first, so that open handles stay few."""
    trail = [_Level(name, directory)]
    while trail:
        level = trail[-1]
        if level.directories and len(trail) == 64:
            for child in level.directories:
                lifted = b".holdfast-lifted-%d" % status(child, level.fd).st_ino
                os.rename(child, lifted, src_dir_fd=level.fd, dst_dir_fd=trail[0].fd)
                trail[0].directories.append(lifted)
            level.directories = []
        if level.directories:
            trail.append(_Level(level.directories.pop(), level.fd))
            continue
        trail.pop()
        os.close(level.fd)
        os.rmdir(level.name, dir_fd=trail[-1].fd if trail else directory)


def open_own(name: bytes, directory: int) -> int:
    """Opens a directory of the destination, and makes it usable where its mode forbids that."""
    try:
        fd = os.open(name, DIRECTORY, dir_fd=directory)
    except PermissionError:
        change_mode(name, directory, 0o700)
        fd = os.open(name, DIRECTORY, dir_fd=directory)
    make_usable(fd)
    return fd


def change_mode(name: bytes, directory: int, mode: int) -> None:
    """chmod of a name that is not followed; the system has no call for it that takes a directory handle."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def make_usable(fd: int) -> None:
    """Gives an ordinary user the rights on a directory of its own that the work in it needs."""
    mode = os.fstat(fd).st_mode
    if os.geteuid() != 0 and mode & 0o700 != 0o700:
        os.fchmod(fd, stat.S_IMODE(mode) | 0o700)
