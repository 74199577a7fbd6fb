"""Reads one entry of a tree as it is: what verify compares and digest takes in."""

import os
import stat

from blake3 import blake3

from mover.ahead import Found
from mover.attributes import Rules, by_handle, read_xattrs
from mover.holes import hole_map, may_have_holes
from mover.limits import Brake
from mover.listing import LETTERS, Seen, device_content, file_content, link_content, metadata
from mover.protocol import Side
from mover.reading import SMALL_BYTES, SPREAD_BYTES, hash_range, open_unseen, read_exactly, require_unchanged


def see(directory: int, name: bytes, found: Found, rules: Rules, brake: Brake, *, drop: bool) -> Seen | None:
    """Reads one entry that is no directory; None for a socket. The content of a file above SPREAD_BYTES is left empty."""
    st = found[0]
    kind = stat.S_IFMT(st.st_mode)
    letter = LETTERS.get(kind)
    if letter is None:
        return None
    if letter == b"f":
        return _see_file(directory, name, found, rules, brake, drop=drop)
    content = b""
    if letter == b"l":
        content = link_content(os.readlink(name, dir_fd=directory))
    elif letter != b"p":
        content = device_content(st)
    return Seen(letter, st, content, read_xattrs(by_handle(directory, name), rules), ())


def _see_file(directory: int, name: bytes, found: Found, rules: Rules, brake: Brake, *, drop: bool) -> Seen:
    st, fd = found
    if fd >= 0:
        return _read_file(fd, st, rules, brake)
    fd = open_unseen(name, directory)
    try:
        if drop:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return _read_file(fd, st, rules, brake)
    finally:
        os.close(fd)


def _read_file(fd: int, st: os.stat_result, rules: Rules, brake: Brake) -> Seen:
    """Changed where another file has taken the name since its status was read, or where it changes."""
    try:
        size = st.st_size
        xattrs = read_xattrs(fd, rules)
        sparse = may_have_holes(size, st.st_blocks)
        holes = hole_map(fd, size, rules.hole_granularity) if sparse and rules.with_holes else ()
        content = b""
        if size <= SMALL_BYTES:
            content = file_content(size, blake3(read_exactly(fd, size, 0)).digest())
            brake.used(1, size)
        elif size <= SPREAD_BYTES:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            content = file_content(size, hash_range(fd, 0, size, brake))
    finally:
        require_unchanged(st, os.fstat(fd))
    return Seen(b"f", st, content, xattrs, holes)


def see_directory(fd: int, rules: Rules) -> Side:
    """A directory itself."""
    st = os.fstat(fd)
    xattrs = read_xattrs(fd, rules)
    return Side(metadata(st, xattrs, (), rules), Seen(b"d", st, b"", xattrs, ()))
