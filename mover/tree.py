"""A tree of files behind one directory handle. Nothing is opened by a whole path and no link is ever followed.

A path here is bytes relative to the root, names joined by `/`; the root itself is empty. It may be longer than PATH_MAX,
since every name is opened in the handle of its directory.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STATE_NAME = b".holdfast-mover"
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
    with os.scandir(fd) as scan:
        for entry in scan:
            (directories if entry.is_dir(follow_symlinks=False) else others).append(os.fsencode(entry.name))
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


def _remove_directory(name: bytes, directory: int) -> None:
    """Empties from the deepest level up, by descending with one handle and climbing with `..` checked by inode."""
    trail: list[tuple[bytes, int]] = [(name, _enter(name, directory))]
    while trail:
        current_name, fd = trail[-1]
        child = _remove_files(fd)
        if child is not None:
            trail.append((child, _enter(child, fd)))
            if len(trail) > 64:
                _remove_far_below(trail)
            continue
        trail.pop()
        os.close(fd)
        os.rmdir(current_name, dir_fd=trail[-1][1] if trail else directory)


def _remove_far_below(trail: list[tuple[bytes, int]]) -> None:
    """Lifts the directory that is 64 deep to the top of the removed tree, so that open handles stay few."""
    top = trail[0][1]
    name, fd = trail.pop()
    parent = trail[-1][1]
    lifted = b".holdfast-lifted-%d" % os.fstat(fd).st_ino
    os.close(fd)
    os.rename(name, lifted, src_dir_fd=parent, dst_dir_fd=top)


def _enter(name: bytes, directory: int) -> int:
    try:
        fd = os.open(name, DIRECTORY, dir_fd=directory)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        finally:
            os.close(handle)
        fd = os.open(name, DIRECTORY, dir_fd=directory)
    make_usable(fd)
    return fd


def make_usable(fd: int) -> None:
    """Gives an ordinary user the rights on a directory of its own that the work in it needs."""
    mode = os.fstat(fd).st_mode
    if os.geteuid() != 0 and mode & 0o700 != 0o700:
        os.fchmod(fd, stat.S_IMODE(mode) | 0o700)


def _remove_files(fd: int) -> bytes | None:
    """Unlinks all that is not a directory; gives the name of one directory, or None when there is none."""
    found = None
    with os.scandir(fd) as scan:
        names = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in scan]
    for name, is_directory in names:
        if is_directory:
            found = name
        else:
            os.unlink(name, dir_fd=fd)
    return found
