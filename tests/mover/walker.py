"""An independent view of a tree, written for these tests alone: shares no code with the mover.

It walks by whole paths and whole files, the plain way, and works out the digests from the definition in docs/explanation/mover.md.
"""

import os
import stat
import struct
from pathlib import Path

from blake3 import blake3

RANGE = 64 * 1024 * 1024
IGNORED = {b".holdfast-mover", b"lost+found", b".snap", b".snapshot"}


def paths(root: Path) -> list[bytes]:
    """All paths below the root, relative, parents first; without what the mover leaves out of a root."""
    base = os.fsencode(root)
    found = []
    for directory, directories, files in os.walk(base):
        if directory == base:
            directories[:] = [
                n for n in directories if n not in IGNORED or not is_directory(os.path.join(base, n))
            ]
        for name in [*directories, *files]:
            found.append(os.path.relpath(os.path.join(directory, name), base))
    return sorted(found)


def is_directory(path: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def holes(path: bytes, size: int) -> list[tuple[int, int]]:
    """Aligned 4096-byte units (the last one may be shorter) without any data, merged into spans."""
    fd = os.open(path, os.O_RDONLY)
    data = []
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError:
            break
        position = os.lseek(fd, start, os.SEEK_HOLE)
        data.append((start, position))
    os.close(fd)
    spans: list[tuple[int, int]] = []
    for unit in range(0, size, 4096):
        end = min(unit + 4096, size)
        if any(a < end and b > unit for a, b in data):
            continue
        if spans and spans[-1][1] == unit:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((unit, end))
    return spans


def attributes(path: bytes) -> list[tuple[str, bytes]]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []
    keep = [n for n in names if n not in ("security.selinux",) and not n.startswith("user.holdfast.")]
    return sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in keep)


def entry(base: bytes, path: bytes) -> dict[str, object]:
    """Everything about one path, as plain values."""
    full = os.path.join(base, path) if path else base
    st = os.lstat(full)
    kind = stat.S_IFMT(st.st_mode)
    found: dict[str, object] = {
        "type": kind,
        "mode": 0 if stat.S_ISLNK(st.st_mode) else stat.S_IMODE(st.st_mode),
        "owner": (st.st_uid, st.st_gid),
        "mtime": st.st_mtime_ns,
        "xattrs": attributes(full),
    }
    if stat.S_ISREG(kind):
        found["bytes"] = Path(os.fsdecode(full)).read_bytes()
        # The mover asks small files for holes only when fewer blocks than bytes are allocated.
        ask = st.st_size > 0 and (st.st_size >= 1 << 20 or st.st_blocks * 512 < st.st_size)
        found["holes"] = holes(full, st.st_size) if ask else []
    elif stat.S_ISLNK(kind):
        found["target"] = os.readlink(full)
    elif stat.S_ISBLK(kind) or stat.S_ISCHR(kind):
        found["device"] = (os.major(st.st_rdev), os.minor(st.st_rdev))
    return found


def groups(root: Path) -> list[list[bytes]]:
    """Names that share an inode."""
    base = os.fsencode(root)
    by_inode: dict[tuple[int, int], list[bytes]] = {}
    for path in paths(root):
        st = os.lstat(os.path.join(base, path))
        if not stat.S_ISDIR(st.st_mode) and not stat.S_ISSOCK(st.st_mode):
            by_inode.setdefault((st.st_dev, st.st_ino), []).append(path)
    return sorted(sorted(names) for names in by_inode.values() if len(names) > 1)


def picture(root: Path) -> dict[bytes, object]:
    """The whole tree as a dictionary that can be compared; sockets are not in it."""
    base = os.fsencode(root)
    found: dict[bytes, object] = {path: entry(base, path) for path in [b"", *paths(root)]}
    found = {p: e for p, e in found.items() if isinstance(e, dict) and not stat.S_ISSOCK(int(e["type"]))}
    found[b"\0groups"] = groups(root)
    return found


# -- the digests, from their definition --------------------------------------------------------------------------------


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def content_hash(data: bytes) -> bytes:
    if len(data) <= RANGE:
        return blake3(data).digest()
    return blake3(b"".join(blake3(data[i : i + RANGE]).digest() for i in range(0, len(data), RANGE))).digest()


def metadata_record(e: dict[str, object]) -> bytes:
    mtime = int(e["mtime"])  # type: ignore[call-overload]
    owner = e["owner"]
    assert isinstance(owner, tuple)
    record = struct.pack(">IIIqI", e["mode"], *owner, mtime // 10**9, mtime % 10**9)
    xattrs = e["xattrs"]
    assert isinstance(xattrs, list)
    record += u32(len(xattrs))
    for name, value in xattrs:
        record += u32(len(name.encode())) + name.encode() + u32(len(value)) + value
    spans = e.get("holes", [])
    assert isinstance(spans, list)
    return record + u32(len(spans)) + b"".join(struct.pack(">QQ", a, b) for a, b in spans)


def listing(base: bytes, directory: bytes) -> tuple[bytes, bytes]:
    """Content and metadata digest of a directory."""
    full = os.path.join(base, directory) if directory else base
    names = sorted(os.listdir(full))
    if not directory:
        names = [name for name in names if name not in IGNORED or not is_directory(os.path.join(base, name))]
    content, metadata = blake3(), blake3()
    for want_directories in (False, True):
        for name in names:
            path = os.path.join(directory, name) if directory else name
            e = entry(base, path)
            kind = int(e["type"])  # type: ignore[call-overload]
            if stat.S_ISDIR(kind) != want_directories or stat.S_ISSOCK(kind):
                continue
            letter = {
                stat.S_IFREG: b"f",
                stat.S_IFDIR: b"d",
                stat.S_IFLNK: b"l",
                stat.S_IFIFO: b"p",
                stat.S_IFCHR: b"c",
            }
            head = letter.get(kind, b"b") + u32(len(name)) + name
            below = b""
            payload = b""
            if stat.S_ISDIR(kind):
                payload, below = listing(base, path)
            elif stat.S_ISREG(kind):
                data = e["bytes"]
                assert isinstance(data, bytes)
                payload = struct.pack(">Q", len(data)) + content_hash(data)
            elif stat.S_ISLNK(kind):
                target = e["target"]
                assert isinstance(target, bytes)
                payload = u32(len(target)) + target
            elif "device" in e:
                payload = struct.pack(">II", *e["device"])  # type: ignore[misc]
            content.update(head + payload)
            metadata.update(head + metadata_record(e) + below)
    return content.digest(), metadata.digest()


def digests(root: Path) -> tuple[str, str]:
    """The content and the metadata digest of a tree."""
    base = os.fsencode(root)
    content, metadata = listing(base, b"")
    links = blake3()
    for group in groups(root):
        links.update(u32(len(group)) + b"".join(u32(len(path)) + path for path in group))
    whole = blake3(b"holdfast content 1\n" + content + links.digest()).hexdigest()
    rules = b"left out: ; holes: 4096\n"
    root_record = b"d" + u32(0) + metadata_record(entry(base, b"")) + metadata
    return "blake3:" + whole, "blake3:" + blake3(b"holdfast metadata 1\n" + rules + root_record).hexdigest()
