"""What two entries at one path differ in, by class."""

import os
import stat

from mover.attributes import Rules, Xattrs, class_of, mode_text, mtime_text
from mover.listing import TYPES, Seen
from mover.names import shown
from mover.protocol import Difference

# Bits of a mask: the sides that have a name, and that a difference of it was reported already.
SOURCE, DESTINATION, REPORTED = 1, 2, 4


def differences(path: bytes, source: Seen, destination: Seen, rules: Rules) -> list[Difference]:
    """All differences between two entries at one path, by class."""
    a, b = source.status, destination.status
    if source.letter != destination.letter:
        return [Difference(path, "type", TYPES[source.letter], TYPES[destination.letter])]
    found = []
    if source.content != destination.content:
        found.append(_content_difference(path, source, destination))
    if source.letter != b"l" and stat.S_IMODE(a.st_mode) != stat.S_IMODE(b.st_mode):
        found.append(Difference(path, "mode", mode_text(a.st_mode), mode_text(b.st_mode)))
    if rules.with_owner and (a.st_uid, a.st_gid) != (b.st_uid, b.st_gid):
        found.append(Difference(path, "owner", f"{a.st_uid}:{a.st_gid}", f"{b.st_uid}:{b.st_gid}"))
    if a.st_mtime_ns != b.st_mtime_ns:
        found.append(Difference(path, "mtime", mtime_text(a), mtime_text(b)))
    if source.xattrs != destination.xattrs:
        found += _xattr_differences(path, source.xattrs, destination.xattrs)
    if source.holes != destination.holes and a.st_size == b.st_size:
        found.append(Difference(path, "hole", _bytes_in(source), _bytes_in(destination)))
    return found


def _bytes_in(seen: Seen) -> int:
    return sum(end - start for start, end in seen.holes)


def _content_difference(path: bytes, source: Seen, destination: Seen) -> Difference:
    if source.letter == b"l":
        return Difference(path, "link-target", shown(source.content[4:]), shown(destination.content[4:]))
    if source.letter != b"f":
        pair = [f"{os.major(s.status.st_rdev)}:{os.minor(s.status.st_rdev)}" for s in (source, destination)]
        return Difference(path, "device", pair[0], pair[1])
    if source.status.st_size != destination.status.st_size:
        return Difference(path, "size", source.status.st_size, destination.status.st_size)
    return Difference(
        path, "content", "blake3:" + source.content[8:].hex(), "blake3:" + destination.content[8:].hex()
    )


def _xattr_differences(path: bytes, source: Xattrs, destination: Xattrs) -> list[Difference]:
    a, b = dict(source), dict(destination)
    names = sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
    found = []
    for kind in ("acl", "xattr"):
        mine = [name for name in names if (class_of(name) == "acl") == (kind == "acl")]
        if mine:
            left = {name: a[name].hex() for name in mine if name in a}
            right = {name: b[name].hex() for name in mine if name in b}
            found.append(Difference(path, kind, left, right))
    return found


def one_sided(path: bytes, mask: int, seen: Seen) -> Difference:
    """A name that only one side has."""
    kind = TYPES[seen.letter]
    hint = seen.content if seen.letter == b"f" and seen.status.st_size else b""
    if mask & SOURCE:
        return Difference(path, "missing", kind, None, hint)
    return Difference(path, "extra", None, kind, hint)


def compare_sides(
    path: bytes, source: Seen | None, destination: Seen | None, rules: Rules
) -> list[Difference]:
    """Differences at one path, where either side may have nothing."""
    if source is not None and destination is not None:
        return differences(path, source, destination, rules)
    if source is not None:
        return [one_sided(path, SOURCE, source)]
    if destination is not None:
        return [one_sided(path, DESTINATION, destination)]
    return []
