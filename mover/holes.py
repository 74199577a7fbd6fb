"""Holes of sparse files: where the data is, and the map of holes in a form that two file systems can agree on."""

import errno
import os
from collections.abc import Iterator


def data_segments(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges of [start, end) that hold data, in order; everything where the file system knows of no holes."""
    position = start
    while position < end:
        try:
            data = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
                yield position, end
                return
            raise
        if data >= end:
            return
        hole = min(os.lseek(fd, data, os.SEEK_HOLE), end)
        if hole <= data:  # no file system may say so; one that does gets no say
            hole = end
        yield data, hole
        position = hole


def hole_map(fd: int, size: int, granularity: int) -> tuple[tuple[int, int], ...]:
    """The holes in aligned units of `granularity` bytes: a unit is a hole only if no byte of it holds data."""
    holes: list[tuple[int, int]] = []
    position = 0
    for data, hole in data_segments(fd, 0, size):
        end = data // granularity * granularity
        if end > position:
            holes.append((position, end))
        position = -(-hole // granularity) * granularity
    if position < size:
        holes.append((position, size))
    return tuple(holes)


def may_have_holes(size: int, blocks: int) -> bool:
    """Whether to ask for holes at all: large files always, small ones when fewer blocks than bytes are allocated."""
    return size > 0 and (size >= 1 << 20 or blocks * 512 < size)
