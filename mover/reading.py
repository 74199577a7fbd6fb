"""Reads file content: hashes it, notices a short read and a file that changes meanwhile."""

import os
import stat

from blake3 import blake3

from mover.errors import Changed
from mover.holes import data_segments
from mover.limits import Brake
from mover.listing import RANGE_BYTES

SMALL_BYTES = 1 << 20
BUFFER_BYTES = 1 << 20
# A file above this is a task of its own, so that the big files of one directory are shared among the workers.
SPREAD_BYTES = 8 << 20
# O_NONBLOCK: a name that turned into a FIFO must not hang us. It means nothing for regular files.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ_UNNOTICED = READ | os.O_NOATIME
_ZEROS = bytes(BUFFER_BYTES)
_zero_hashes: dict[int, bytes] = {}


def open_unseen(name: bytes, directory: int) -> int:
    """Opens a file whose status the caller compares after reading it: whatever has taken its name gives nothing that is believed."""
    try:
        return os.open(name, READ_UNNOTICED, dir_fd=directory)
    except PermissionError:
        return os.open(name, READ, dir_fd=directory)  # O_NOATIME is for the owner alone


def open_regular(name: bytes, directory: int, expected: os.stat_result) -> int:
    """Opens the file that `expected` describes; Changed when another one has taken its name."""
    fd = open_unseen(name, directory)
    found = os.fstat(fd)
    if found.st_ino != expected.st_ino or not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise Changed("another file took its name while it was opened")
    return fd


def require_unchanged(before: os.stat_result, after: os.stat_result) -> None:
    """Raises Changed when a file was written to, or its attributes set, between two looks."""
    if (
        before.st_mtime_ns != after.st_mtime_ns
        or before.st_ctime_ns != after.st_ctime_ns
        or before.st_size != after.st_size
        or before.st_ino != after.st_ino
    ):
        raise Changed("it changed while it was read")


def identity(st: os.stat_result) -> tuple[int, int, int, int]:
    """What must stay the same while a file is read."""
    return st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


def require_identity(st: os.stat_result, expected: tuple[int, int, int, int]) -> None:
    """Raises Changed when it did not."""
    if identity(st) != expected:
        raise Changed("it changed while it was read")


def read_exactly(fd: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset`; Changed on a short read."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            raise Changed(f"short read: {offset + len(data)} bytes where {offset + size} were expected")
        data += more
    return data


def zero_hash(size: int) -> bytes:
    """The hash of `size` zero bytes; a whole range of them is worked out once."""
    known = _zero_hashes.get(size)
    if known is None:
        hasher = blake3()
        update_zeros(hasher, size)
        known = hasher.digest()
        if size == RANGE_BYTES:
            _zero_hashes[size] = known
    return known


def update_zeros(hasher: blake3, size: int) -> None:
    """Feeds `size` zero bytes."""
    while size > 0:
        part = min(size, BUFFER_BYTES)
        hasher.update(_ZEROS if part == BUFFER_BYTES else _ZEROS[:part])
        size -= part


def combined(hashes: list[bytes]) -> bytes:
    """The hash of a file of several ranges, from theirs."""
    return blake3(b"".join(hashes)).digest()


def hash_range(fd: int, start: int, end: int, brake: Brake) -> bytes:
    """The hash of [start, end), reading data alone and taking holes as zeros."""
    hasher = blake3()
    position = start
    for data, hole in data_segments(fd, start, end):
        if data > position:
            update_zeros(hasher, data - position)
        position = data
        while position < hole:
            part = read_exactly(fd, min(BUFFER_BYTES, hole - position), position)
            hasher.update(part)
            position += len(part)
            brake.used(1, len(part))
    if position == start:
        return zero_hash(end - start)
    if position < end:
        update_zeros(hasher, end - position)
    return hasher.digest()
