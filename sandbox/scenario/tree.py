# ruff: noqa: PTH101, PTH103, PTH112, PTH114, PTH118, PTH120, PTH123, PTH211
"""Real files for the volumes of the demo: the same for the same seed, and as odd as files get.

Names are bytes here, which pathlib does not take.
"""

from __future__ import annotations

import os
import random
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_DAY_NS = 86_400 * 10**9
_EPOCH_NS = 1_735_689_600 * 10**9
_ROOT_ID = 0


def is_filled(root: Path) -> bool:
    """Whether something was put into a volume already: the application's files are not touched again."""
    return root.is_dir() and any(item.name != "lost+found" for item in root.iterdir())


def fill_library(root: Path, seed: int, count: int, *, mount: str = "/data/library") -> None:
    """A photo library: `count` pictures by year and month, some large videos, and every odd file."""
    maker = _Maker(root, seed)
    for number in range(count):
        moment = maker.moment()
        folder = f"originals/{2015 + number % 10}/{number % 12 + 1:02d}"
        maker.file(f"{folder}/IMG_{number:05d}.jpg", maker.size(200, 9_000), moment)
        if number % 9 == 0:
            maker.file(f"{folder}/IMG_{number:05d}.xmp", maker.size(80, 700), moment)
    for number in range(max(1, count // 800)):
        maker.file(f"originals/videos/clip-{number:02d}.mp4", maker.size(700_000, 2_500_000))
    odd_ones(maker, mount)
    maker.finish(1000)


def fill_cache(root: Path, seed: int, count: int, *, mount: str = "/data/cache") -> None:
    """Thumbnails in hashed directories, many of them hard links to each other."""
    maker = _Maker(root, seed)
    for number in range(count):
        digest = f"{maker.rng.getrandbits(64):016x}"
        name = f"thumbs/{digest[:2]}/{digest[2:4]}/{digest}.webp"
        maker.file(name, maker.size(100, 3_000))
        if number % 7 == 0:
            maker.link(name, f"by-date/{number % 28 + 1:02d}/{digest}.webp")
    for part in ("transcodes/running", "transcodes/failed", "uploads"):
        maker.directory(part)
    odd_ones(maker, mount)
    maker.finish(1000)


def fill_database(root: Path, seed: int, count: int) -> None:
    """What a PostgreSQL data directory looks like: many small files, holes, strict modes, one symbolic link."""
    maker = _Maker(root, seed)
    maker.file("PG_VERSION", 3, content=b"17\n")
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "postgresql.auto.conf"):
        maker.file(name, maker.size(90, 4_000))
    for number in range(count):
        maker.file(f"base/{1 + number % 3}/{1000 + number}", 512 * (1 + number % 9))
        if number % 5 == 0:
            maker.file(f"base/{1 + number % 3}/{1000 + number}_fsm", 512)
    for part in (
        "pg_commit_ts",
        "pg_dynshmem",
        "pg_notify",
        "pg_replslot",
        "pg_serial",
        "pg_snapshots",
        "pg_twophase",
    ):
        maker.directory(part)
    maker.sparse("pg_wal/000000010000000000000001", 16 * 2**20)
    maker.sparse("pg_wal/000000010000000000000002", 16 * 2**20)
    maker.symlink("/var/lib/postgresql/tablespaces/fast", "pg_tblspc/16400")
    maker.finish(999, directories=0o700, files=0o600)


def fill_notes(root: Path, seed: int, count: int) -> None:
    """A notebook: small texts, attachments, and every odd file."""
    maker = _Maker(root, seed)
    for number in range(count):
        text = f"# Note {number}\n\n{'Remember the milk. ' * (1 + number % 40)}\n".encode()
        maker.file(f"notes/{number % 16:x}/note-{number:04d}.md", len(text), content=text)
    for number in range(count // 10):
        maker.file(f"attachments/{number:04d}.pdf", maker.size(2_000, 40_000))
    odd_ones(maker, "/data")
    maker.finish(1001)


def fill_some(root: Path, seed: int) -> None:
    """A handful of ordinary files, for the volumes of the other applications."""
    maker = _Maker(root, seed)
    for number in range(maker.rng.randint(3, 12)):
        maker.file(f"data/{number:02d}.bin", maker.size(100, 20_000))
    maker.file(".state", 64)
    maker.directory("tmp")
    maker.finish(1000)


class _Maker:
    """Makes files below a root. Times and owners come last: making a file changes its directory's time."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = os.fsencode(root)
        self.rng = random.Random(seed)
        root.mkdir(parents=True, exist_ok=True)
        self._kept_modes: set[bytes] = set()

    def path(self, name: str | bytes) -> bytes:
        """The absolute path of a name below the root; its directory is there afterwards."""
        full = os.path.join(self.root, os.fsencode(name))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    def size(self, least: int, most: int) -> int:
        return self.rng.randint(least, most)

    def moment(self) -> int:
        """A time in the five years before 2025, in nanoseconds."""
        return _EPOCH_NS - self.rng.randrange(1825 * _DAY_NS)

    def file(
        self, name: str | bytes, size: int, moment_ns: int | None = None, *, content: bytes | None = None
    ) -> bytes:
        full = self.path(name)
        data = self.rng.randbytes(size) if content is None else content
        with open(full, "wb") as stream:
            stream.write(data)
        when = self.moment() if moment_ns is None else moment_ns
        os.utime(full, ns=(when, when))
        return full

    def directory(self, name: str | bytes) -> bytes:
        full = self.path(name)
        os.makedirs(full, exist_ok=True)
        return full

    def link(self, existing: str | bytes, name: str | bytes) -> None:
        os.link(self.path(existing), self.path(name))

    def symlink(self, target: str | bytes, name: str | bytes) -> None:
        os.symlink(os.fsencode(target), self.path(name))

    def sparse(self, name: str, size: int) -> None:
        """A file of holes with a little data at the start, in the middle and near the end."""
        full = self.path(name)
        with open(full, "wb") as stream:
            for offset in (0, size // 2, size - 8192):
                stream.seek(offset)
                stream.write(self.rng.randbytes(256))
            stream.truncate(size)
        self.stamp(full)

    def stamp(self, full: bytes) -> None:
        """Gives a path a time of its own."""
        when = self.moment()
        os.utime(full, ns=(when, when))

    def mode(self, full: bytes, mode: int) -> None:
        os.chmod(full, mode)
        self._kept_modes.add(full)

    def finish(self, owner: int, *, directories: int = 0o755, files: int = 0o644) -> None:
        """Gives everything its owner, as far as this user may, then modes, then the times of directories."""
        for folder, names, leaves in os.walk(self.root, topdown=False):
            for name in [*leaves, *names]:
                self._settle(os.path.join(folder, name), owner, directories, files)
            self.stamp(folder)

    def _settle(self, full: bytes, owner: int, directories: int, files: int) -> None:
        found = os.lstat(full)
        is_link = os.path.islink(full)
        if os.geteuid() == _ROOT_ID:
            # A few belong to somebody else, as they do where people copy files in by hand.
            who = owner if self.rng.random() > 0.03 else _ROOT_ID
            with suppress(OSError):
                os.lchown(full, who, who)
        if not is_link and full in self._kept_modes:
            os.chmod(full, found.st_mode & 0o7777)  # a change of owner takes setuid and setgid away
        elif not is_link:
            os.chmod(full, directories if os.path.isdir(full) else files)
        if is_link or not os.path.isdir(full):
            os.utime(full, ns=(found.st_mtime_ns, found.st_mtime_ns), follow_symlinks=False)


def odd_ones(maker: _Maker, mount: str) -> None:
    """Everything that a careless copy loses. `mount` is where the application sees the volume."""
    for make in (_dotfiles, _links, _names, _modes, _others):
        make(maker, mount)


def _dotfiles(maker: _Maker, mount: str) -> None:
    maker.file(".env", 120)
    maker.file(".config/app/settings.json", 400)
    maker.file(".trash/.keep", 0, content=b"")
    maker.file("..odd", 10)
    maker.directory(".empty")
    maker.directory("empty/below/below")


def _links(maker: _Maker, mount: str) -> None:
    maker.file("albums/all/first.jpg", 5_000)
    maker.link("albums/all/first.jpg", "albums/2020/first.jpg")
    maker.link("albums/all/first.jpg", ".trash/first-again.jpg")
    maker.symlink("../all/first.jpg", "albums/2020/cover.jpg")
    maker.symlink(f"{mount}/albums/all/first.jpg", "albums/absolute.jpg")
    maker.symlink("nowhere/at/all", "albums/dangling")
    maker.symlink("/nonexistent/outside", "albums/dangling-absolute")
    maker.symlink("loop-b", "albums/loop-a")
    maker.symlink("loop-a", "albums/loop-b")
    maker.symlink("self", "albums/self")
    maker.symlink("all", "albums/directory-link")
    maker.symlink("..", "albums/parent")
    maker.symlink(b"caf\xe9.txt", b"albums/to-bytes")


def _names(maker: _Maker, mount: str) -> None:
    names: tuple[str | bytes, ...] = (
        "with space.txt",
        " leading and trailing ",
        "-rf",
        "--delete",
        "quote'single",
        'quote"double',
        "back\\slash",
        "star*and?[brackets]",
        "$HOME `id` $(id); rm",
        "new\nline",
        "tab\there",
        "carriage\rreturn",
        "ünïcödé composed é",
        "decomposed e\u0301",
        "日本語のファイル名",
        "emoji 📷.jpg",
        "right-to-left \u202egnp.exe",
        b"caf\xe9.txt",
        b"\xff\xfe\x80 bytes",
        "percent%20encoded",
        "x" * 255,
        "ü" * 127,
        "CON",
        "trailing dot.",
        "#comment",
        "~tilde",
        "case",
        "Case",
        "CASE",
    )
    for name in names:
        maker.file(b"names/" + os.fsencode(name), maker.size(1, 200))
    maker.file("/".join(["deep"] * 40) + "/bottom.txt", 20)
    maker.directory(b"names/dir \xe9 bytes\n")
    maker.file(b"names/dir \xe9 bytes\n/inside", 5)


def _modes(maker: _Maker, mount: str) -> None:
    for name, mode in (
        ("modes/setuid", 0o4755),
        ("modes/setgid", 0o2755),
        ("modes/both", 0o6711),
        ("modes/none", 0o000),
        ("modes/read-only", 0o444),
        ("modes/write-only", 0o200),
        ("modes/executable", 0o755),
        ("modes/all", 0o777),
    ):
        # What denies its owner to read, only root's snapshots can copy.
        if mode & stat.S_IRUSR or os.geteuid() == _ROOT_ID:
            maker.mode(maker.file(name, 30), mode)
    for name, mode in (
        ("modes/sticky-dir", 0o1777),
        ("modes/setgid-dir", 0o2775),
        ("modes/private-dir", 0o700),
    ):
        maker.file(f"{name}/inside", 8)
        maker.mode(maker.directory(name), mode)
    locked = maker.directory("modes/locked-dir")
    maker.file("modes/locked-dir/inside", 8)
    maker.mode(locked, 0o555)


def _others(maker: _Maker, mount: str) -> None:
    maker.file("sizes/empty", 0, content=b"")
    maker.file("sizes/one", 1)
    maker.sparse("sizes/sparse.img", 24 * 2**20)
    hole, queue = maker.path("sizes/only-hole"), maker.path("run/queue.fifo")
    with open(hole, "wb") as stream:
        stream.truncate(3 * 2**20)
    os.mkfifo(queue)
    for path in (hole, queue):
        maker.stamp(path)
    maker.file("times/before-1970", 9, -86_400 * 10**9)
    maker.file("times/far-future", 9, 4_000_000_000 * 10**9 + 123_456_789)
    maker.file("times/nanoseconds", 9, _EPOCH_NS + 987_654_321)
    marked = maker.file("xattr/marked.jpg", 300)
    _try(lambda: os.setxattr(marked, b"user.rating", b"5"))
    _try(lambda: os.setxattr(marked, b"user.binary", bytes(range(256))))
    folder = maker.directory("xattr/album")
    _try(lambda: os.setxattr(folder, b"user.cover", b"marked.jpg"))
    shared = maker.file("xattr/shared-with-1234", 50)
    if (
        os.geteuid() == _ROOT_ID
    ):  # in a user namespace, where an ordinary user's copies run, nobody else can be named
        _try(lambda: os.setxattr(shared, b"system.posix_acl_access", _acl(1234)))
    maker.mode(shared, 0o664)


def _acl(user: int) -> bytes:
    """user::rw-, user:<user>:rw-, group::r--, mask::rw-, other::r-- in the kernel's form (version 2)."""
    nobody = 0xFFFFFFFF
    entries = ((0x01, 6, nobody), (0x02, 6, user), (0x04, 4, nobody), (0x10, 6, nobody), (0x20, 4, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _try(act: Callable[[], object]) -> None:
    """Does what not every file system can do."""
    with suppress(OSError):
        act()
