"""The canonical listing of a tree, and the two digests that stand for it.

Each directory has two listings: of content and of metadata. A listing is the concatenation of one record an entry: first all entries
that are not directories, then the directories, each part sorted by name as bytes. All integers are big-endian.

    head      = type letter (f l p c b d), u32 length of the name, name
    content   = head, then  f: u64 size, 32 bytes hash   l: u32 length, target   c, b: u32 major, u32 minor
                            d: 32 bytes content digest of that directory       p: nothing
    metadata  = head, u32 permission bits (07777), u32 uid, u32 gid, i64 seconds and u32 nanoseconds of mtime,
                u32 number of attributes, each: u32 length, name, u32 length, value; sorted by name
                u32 number of holes, each: u64 start, u64 end
                d: 32 bytes metadata digest of that directory

Digest of a directory = BLAKE3 of its listing. Hard links = for each inode with two or more names in the tree, ordered by the
smallest path: u32 number, each path as u32 length, path; sorted.

    content digest  = BLAKE3("holdfast content 1\\n", content digest of the root directory, BLAKE3 of the hard links)
    metadata digest = BLAKE3("holdfast metadata 1\\n", header of the rules, metadata record of the root with an empty name)

The hash of a file's bytes is BLAKE3; of a file longer than 64 MiB, BLAKE3 of the concatenated BLAKE3 hashes of its ranges of
64 MiB, so that many readers can share one file.
"""

import os
import stat
import struct
from typing import NamedTuple

from blake3 import blake3

from mover.attributes import Rules, Xattrs

RANGE_BYTES = 64 << 20

_U32 = struct.Struct(">I")
_META = struct.Struct(">IIIqI")
_SIZE = struct.Struct(">Q")
_TWO = struct.Struct(">II")
_SPAN = struct.Struct(">QQ")
_NO_XATTRS_NO_HOLES = bytes(8)
_NO_OWNER = 0xFFFFFFFF

LETTERS = {
    stat.S_IFREG: b"f",
    stat.S_IFDIR: b"d",
    stat.S_IFLNK: b"l",
    stat.S_IFIFO: b"p",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
}
TYPES = {
    b"f": "file",
    b"d": "directory",
    b"l": "symlink",
    b"p": "fifo",
    b"c": "character device",
    b"b": "block device",
}
Holes = tuple[tuple[int, int], ...]


class Seen(NamedTuple):
    """One entry as it was read."""

    letter: bytes
    status: os.stat_result
    content: bytes  # content record without its head
    xattrs: Xattrs
    holes: Holes


def head(letter: bytes, name: bytes) -> bytes:
    """The head of a record."""
    return letter + _U32.pack(len(name)) + name


def file_content(size: int, content_hash: bytes) -> bytes:
    """Content of a regular file."""
    return _SIZE.pack(size) + content_hash


def link_content(target: bytes) -> bytes:
    """Content of a symbolic link."""
    return _U32.pack(len(target)) + target


def device_content(st: os.stat_result) -> bytes:
    """Content of a device node."""
    return _TWO.pack(os.major(st.st_rdev), os.minor(st.st_rdev))


def metadata(st: os.stat_result, xattrs: Xattrs, holes: Holes, rules: Rules) -> bytes:
    """A metadata record without its head."""
    seconds, nanoseconds = divmod(st.st_mtime_ns, 10**9)
    mode = 0 if stat.S_ISLNK(st.st_mode) else stat.S_IMODE(st.st_mode)
    uid, gid = (st.st_uid, st.st_gid) if rules.with_owner else (_NO_OWNER, _NO_OWNER)
    fixed = _META.pack(mode, uid, gid, seconds, nanoseconds)
    if not xattrs and not holes:
        return fixed + _NO_XATTRS_NO_HOLES
    parts = [fixed, _U32.pack(len(xattrs))]
    for name, value in xattrs:
        raw = os.fsencode(name)
        parts += [_U32.pack(len(raw)), raw, _U32.pack(len(value)), value]
    parts.append(_U32.pack(len(holes)))
    parts += [_SPAN.pack(start, end) for start, end in holes]
    return b"".join(parts)


def hard_links_record(paths: list[bytes]) -> bytes:
    """One inode's names, sorted."""
    return _U32.pack(len(paths)) + b"".join(_U32.pack(len(path)) + path for path in paths)


def tree_digests(root_content: bytes, links: bytes, root_metadata: bytes, rules: Rules) -> tuple[str, str]:
    """Content and metadata digest of a whole tree, as text. `root_metadata` includes the digest of the root's listing."""
    content = blake3(b"holdfast content 1\n" + root_content + links).hexdigest()
    return (
        "blake3:" + content,
        "blake3:"
        + blake3(b"holdfast metadata 1\n" + rules.header() + head(b"d", b"") + root_metadata).hexdigest(),
    )
