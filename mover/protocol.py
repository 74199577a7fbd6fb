"""What the coordinator and its workers say to each other. All of it is pickled, so it stays small and plain.

Lists of names travel as one bytes object, joined by NUL, which no name can hold.
"""

from typing import NamedTuple

from mover.listing import Seen


def pack(names: list[bytes]) -> bytes:
    """Names as one object."""
    return b"\0".join(names)


def unpack(names: bytes) -> list[bytes]:
    """The names of `pack`."""
    return names.split(b"\0") if names else []


class Problem(NamedTuple):
    """An error with its path; `number` is the system's error number or 0."""

    path: bytes
    reason: str
    number: int


class Skip(NamedTuple):
    """An entry that is left out, and why."""

    path: bytes
    why: str


class Difference(NamedTuple):
    """One difference. `hint` pairs a renamed file: type, size and hash."""

    path: bytes
    kind: str
    source: object
    destination: object
    hint: bytes = b""


class Side(NamedTuple):
    """A directory itself, on one side."""

    metadata: bytes  # metadata record without its head and without the digest
    seen: Seen


class Link(NamedTuple):
    """A name whose inode has more names."""

    side: int
    device: int
    inode: int
    path: bytes


class Counted(NamedTuple):
    """What a task looked at, on one side. Bytes are those of file sizes."""

    files: int = 0
    symlinks: int = 0
    fifos: int = 0
    devices: int = 0
    bytes: int = 0


class Records(NamedTuple):
    """Listing records of a stretch of names, on one side."""

    content: bytes = b""
    metadata: bytes = b""


# -- verify and digest -------------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """Task: list a directory on the sides of `mask` (bit 0 source, bit 1 destination)."""

    path: bytes
    mask: int


class Looked(NamedTuple):
    """Result of Look. Masks are one byte a name; bit 2 says that a difference of type was reported already.

    `inline` is the result for all names that are no directories, where these are few; they are then not in `names`.
    """

    sides: tuple[Side | None, ...]
    names: bytes
    name_masks: bytes
    directories: bytes
    directory_masks: bytes
    inline: "Compared | None"
    differences: tuple[Difference, ...]
    skipped: tuple[Skip, ...]
    problems: tuple[Problem, ...]


class Compare(NamedTuple):
    """Task: read and compare the entries `names` of a directory."""

    path: bytes
    names: bytes
    masks: bytes


class Large(NamedTuple):
    """A file that is hashed in ranges: its place among the names of its task, and what is known on each side."""

    position: int
    name: bytes
    mask: int
    sides: tuple[Seen | None, ...]


class Compared(NamedTuple):
    """Result of Compare. With large files in it the records are one a name, else one for all."""

    records: tuple[tuple[Records, ...], ...]  # per side
    counted: tuple[Counted, ...]
    large: tuple[Large, ...]
    links: tuple[Link, ...]
    differences: tuple[Difference, ...]
    skipped: tuple[Skip, ...]
    problems: tuple[Problem, ...]


class Hash(NamedTuple):
    """Task: hash a range of a file on one side; the identity says which file it must be."""

    side: int
    path: bytes
    start: int
    end: int
    identity: tuple[int, int, int, int]  # inode, size, mtime_ns, ctime_ns


class Hashed(NamedTuple):
    """Result of Hash, and of CopyRange."""

    digest: bytes
    copied_bytes: int
    problem: Problem | None
    changed: bool = False


# -- copy --------------------------------------------------------------------------------------------------------------

Identity = tuple[int, int, int, int]


class Stretch(NamedTuple):
    """Task: copy the entries `names` of a directory. `rows` are stretches of the last pass's listing that may cover them."""

    path: bytes
    names: bytes
    rows: tuple[bytes, ...]
    fresh: bool  # the destination's directory was just made


class Pending(NamedTuple):
    """An entry that needs the coordinator: a large file, or one of several names of an inode."""

    position: int
    name: bytes
    device: int
    inode: int
    names: int
    large: bool
    file_bytes: int
    known: "Done | None"  # unchanged since the last pass


class Done(NamedTuple):
    """An entry that is in the destination: its records without heads, its row for the listing."""

    letter: bytes
    content: bytes
    metadata: bytes
    row: bytes  # its identity on both sides, see mover.rows; empty where the next pass must not trust it
    destination_inode: int
    bytes: int
    copied_bytes: int


class Stretched(NamedTuple):
    """Result of Stretch. With pending entries in it the records are one a name, else one for all.

    `same`: nothing changed, so the rows that were given still hold, and are not sent again.
    """

    records: tuple[Records, ...]
    rows: bytes
    same: bool
    counted: Counted
    pending: tuple[Pending, ...]
    copied_files: int
    copied_bytes: int
    unchanged_files: int
    changed: int
    vanished: int
    skipped: tuple[Skip, ...]
    problems: tuple[Problem, ...]
    deleted: int = 0


class Enter(NamedTuple):
    """Task: list a directory, make it in the destination, copy what is in it if that is little."""

    path: bytes
    rows: tuple[bytes, ...]
    rows_complete: bool


class Entered(NamedTuple):
    """Result of Enter. `inline` is the result for all names; `finished` says that the directory needs no Leave."""

    metadata: bytes
    identity: Identity
    names: bytes
    name_count: int
    directories: bytes
    directory_count: int
    fresh: bool
    inline: Stretched | None
    finished: bool
    deleted: int
    extra: int
    vanished: bool
    skipped: tuple[Skip, ...]
    problems: tuple[Problem, ...]


class Leave(NamedTuple):
    """Task: give a directory its attributes, after all in it is done."""

    path: bytes
    identity: Identity


class Left(NamedTuple):
    """Result of Leave."""

    problem: Problem | None


class CopyOne(NamedTuple):
    """Task: copy one entry whose inode has several names, or begin a large file.

    `begun`: the identity in the source and the inode of the copy with which an interrupted run had begun it.
    """

    path: bytes
    begun: tuple[Identity, int] | None = None


class Begun(NamedTuple):
    """Result of CopyOne for a large file: made in the destination, empty or as the interrupted run left it."""

    identity: Identity
    destination_inode: int
    resumed: bool


class Failed(NamedTuple):
    """Result of a task on one entry that did not succeed. Without a problem: it changed or vanished in a warm pass."""

    problem: Problem | None
    vanished: bool = False


class CopyRange(NamedTuple):
    """Task: copy a range of a large file."""

    path: bytes
    start: int
    end: int
    identity: Identity
    destination_inode: int


class Complete(NamedTuple):
    """Task: give a large file its attributes, when all its ranges are there."""

    path: bytes
    identity: Identity
    destination_inode: int
    content_hash: bytes
    copied_bytes: int


class LinkTo(NamedTuple):
    """Task: make `path` another name of `primary` in the destination."""

    path: bytes
    primary: bytes
    destination_inode: int


class Linked(NamedTuple):
    """Result of LinkTo: the name is there."""


# Tasks that may take long, so that they are nothing for the coordinator itself.
HEAVY = (Hash, CopyOne, CopyRange)
