"""Rows of the listing that a pass leaves for the next one: what a file was on both sides when it was copied."""

import os
import struct
from typing import NamedTuple

_ROW = struct.Struct(">HIQQqqQq32s")


class Row(NamedTuple):
    """A regular file: identity in the source, inode and ctime in the destination, hash, metadata record without head."""

    source: tuple[int, int, int, int]  # inode, size, mtime_ns, ctime_ns
    destination: tuple[int, int]  # inode, ctime_ns
    content_hash: bytes
    metadata: bytes


def packed(
    name: bytes, source: os.stat_result, destination: os.stat_result, content_hash: bytes, metadata: bytes
) -> bytes:
    """One row. Rows of a stretch are simply joined."""
    return (
        _ROW.pack(
            len(name),
            len(metadata),
            source.st_ino,
            source.st_size,
            source.st_mtime_ns,
            source.st_ctime_ns,
            destination.st_ino,
            destination.st_ctime_ns,
            content_hash,
        )
        + name
        + metadata
    )


def unpacked(stretches: tuple[bytes, ...]) -> dict[bytes, Row]:
    """Rows by name; later stretches win."""
    rows: dict[bytes, Row] = {}
    for stretch in stretches:
        position = 0
        while position < len(stretch):
            name_size, metadata_size, *numbers, content_hash = _ROW.unpack_from(stretch, position)
            position += _ROW.size
            name = stretch[position : position + name_size]
            position += name_size
            metadata = stretch[position : position + metadata_size]
            position += metadata_size
            rows[name] = Row(tuple(numbers[:4]), (numbers[4], numbers[5]), content_hash, metadata)
    return rows


def kept(row: Row, name: bytes) -> bytes:
    """A row as it was."""
    return (
        _ROW.pack(len(name), len(row.metadata), *row.source, *row.destination, row.content_hash)
        + name
        + row.metadata
    )
