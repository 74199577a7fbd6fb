"""Rows of the listing that a pass leaves for the next one: what each entry was on both sides when it was copied, and its records.

The rows of a stretch of names are one object: names, identities and records each lie together, so that a stretch of which
nothing changed is compared and passed on without being taken apart.
"""

import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

_SIZES = struct.Struct(">III")  # entries, bytes of names, bytes of content records
_LENGTHS = struct.Struct(">II")  # of the content record and of the metadata record
# In the source: inode, size, mtime_ns, ctime_ns. In the destination: inode, ctime_ns.
SOURCE_IDENTITY = struct.Struct(">QQqq")
DESTINATION_IDENTITY = struct.Struct(">Qq")
IDENTITY_BYTES = SOURCE_IDENTITY.size + DESTINATION_IDENTITY.size


class Row(NamedTuple):
    """One entry: both identities as bytes, and its whole records."""

    identity: bytes
    content: bytes
    metadata: bytes

    @property
    def destination_inode(self) -> int:
        """Of its copy."""
        return int(DESTINATION_IDENTITY.unpack_from(self.identity, SOURCE_IDENTITY.size)[0])


class Rows(NamedTuple):
    """A stretch taken apart as far as all of it is needed: names and identities lie in the same order."""

    names: bytes  # joined by NUL
    identities: bytes
    lengths: bytes
    contents: bytes
    metadatas: bytes

    def each(self) -> Iterable[tuple[bytes, Row]]:
        """Names with their rows."""
        content = metadata = 0
        for number, name in enumerate(self.names.split(b"\0") if self.identities else ()):
            content_size, metadata_size = _LENGTHS.unpack_from(self.lengths, number * _LENGTHS.size)
            identity = self.identities[number * IDENTITY_BYTES : (number + 1) * IDENTITY_BYTES]
            yield (
                name,
                Row(
                    identity,
                    self.contents[content : content + content_size],
                    self.metadatas[metadata : metadata + metadata_size],
                ),
            )
            content += content_size
            metadata += metadata_size


def identity(source: os.stat_result, destination: os.stat_result) -> bytes:
    """What must be the same on both sides for an entry to count as unchanged.

    Empty where a row cannot hold it, as dates beyond 2262, which some file systems keep: such an entry is copied each time.
    """
    try:
        return SOURCE_IDENTITY.pack(
            source.st_ino, source.st_size, source.st_mtime_ns, source.st_ctime_ns
        ) + DESTINATION_IDENTITY.pack(destination.st_ino, destination.st_ctime_ns)
    except struct.error:
        return b""


def packed(entries: list[tuple[bytes, Row]]) -> bytes:
    """The rows of a stretch, in the order of their names; empty where there are none."""
    if not entries:
        return b""
    names = b"\0".join([name for name, _ in entries])
    contents = b"".join([row.content for _, row in entries])
    return b"".join(
        (
            _SIZES.pack(len(entries), len(names), len(contents)),
            names,
            b"".join([row.identity for _, row in entries]),
            b"".join([_LENGTHS.pack(len(row.content), len(row.metadata)) for _, row in entries]),
            contents,
            b"".join([row.metadata for _, row in entries]),
        )
    )


def opened(stretch: bytes) -> Rows:
    """The parts of packed rows."""
    if not stretch:
        return Rows(b"", b"", b"", b"", b"")
    count, names, contents = _SIZES.unpack_from(stretch)
    ends = [_SIZES.size]
    for size in (names, count * IDENTITY_BYTES, count * _LENGTHS.size, contents):
        ends.append(ends[-1] + size)
    return Rows(*(stretch[a:b] for a, b in zip(ends, [*ends[1:], None], strict=True)))


def merged(stretch: bytes, more: list[tuple[bytes, Row]]) -> bytes:
    """Packed rows with some entries added, in the order of names."""
    return packed(sorted([*opened(stretch).each(), *more])) if more else stretch
