"""Every fault that damages a copy, found by verify under its class; and what the usual tools say of the same damage."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mover.support import AS_ROOT, acl, believable, copy, has_xattrs, verify

RSYNC, DIFF = shutil.which("rsync"), shutil.which("diff")


@dataclass(frozen=True)
class Fault:
    """Damage to a copy; the differences that verify must name; whether `diff -r` and `rsync -naicHAXS --delete` notice."""

    damage: Callable[[Path], None]
    found: dict[str, set[str]]
    diff_sees: bool
    rsync_sees: bool
    root: bool = False
    xattrs: bool = False


def keeping_times(path: Path, work: Callable[[], object]) -> None:
    """Does something to a file and puts its own and its directory's mtime back, as a liar would."""
    stamps = [(p, p.lstat().st_mtime_ns) for p in (path, path.parent) if p.exists() or p.is_symlink()]
    work()
    for p, stamp in stamps:
        if p.exists() or p.is_symlink():
            os.utime(p, ns=(stamp, stamp), follow_symlinks=False)


def flipped_byte(tree: Path) -> None:
    path = tree / "big.bin"
    data = bytearray(path.read_bytes())
    data[1_234_567] ^= 1
    keeping_times(path, lambda: path.write_bytes(data))


def lost_file(tree: Path) -> None:
    keeping_times(tree / "etc/empty", (tree / "etc/empty").unlink)


def lost_directory(tree: Path) -> None:
    keeping_times(tree / "var/empty", (tree / "var/empty").rmdir)


def extra_file(tree: Path) -> None:
    keeping_times(tree / "etc/extra", lambda: (tree / "etc/extra").write_text("more"))


def swapped(tree: Path) -> None:
    a, b = tree / "swap-a", tree / "swap-b"
    one, other = a.read_bytes(), b.read_bytes()
    keeping_times(a, lambda: a.write_bytes(other))
    keeping_times(b, lambda: b.write_bytes(one))
    if AS_ROOT:  # writing takes the capability away
        os.setxattr(b, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
        os.utime(b, ns=(b.stat().st_atime_ns, b.stat().st_mtime_ns))


def renamed(tree: Path) -> None:
    keeping_times(tree / "var/log/003.log", lambda: (tree / "var/log/003.log").rename(tree / "var/log/3.log"))


def truncated(tree: Path) -> None:
    keeping_times(tree / "big.bin", lambda: os.truncate(tree / "big.bin", 2_999_999))


def grown(tree: Path) -> None:
    def grow() -> None:
        with open(tree / "big.bin", "ab") as file:
            file.write(b"\0")

    keeping_times(tree / "big.bin", grow)


def mode(tree: Path) -> None:
    (tree / "var/log/001.log").chmod(0o640)


def setuid_lost(tree: Path) -> None:
    (tree / "etc/empty").chmod(0o755)


def owner(tree: Path) -> None:
    os.chown(tree / "var/log/001.log", 99, -1)


def group_of_link(tree: Path) -> None:
    os.chown(tree / "dangling", -1, 77, follow_symlinks=False)


def mtime(tree: Path) -> None:
    path = tree / "var/log/001.log"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def mtime_of_directory(tree: Path) -> None:
    os.utime(tree / "var/empty", ns=(0, 1))


def mtime_of_link(tree: Path) -> None:
    os.utime(tree / "up", ns=(0, 1), follow_symlinks=False)


def mtime_of_root(tree: Path) -> None:
    os.utime(tree, ns=(0, 1))


def xattr(tree: Path) -> None:
    os.setxattr(tree / "etc/app.conf", "user.origin", b"\0\1binary\xfe")


def xattr_of_root(tree: Path) -> None:
    os.removexattr(tree, "user.root")


def capability(tree: Path) -> None:
    os.removexattr(tree / "swap-b", "security.capability")


def access_acl(tree: Path) -> None:
    os.setxattr(tree / "swap-a", "system.posix_acl_access", acl(33, permissions=4))


def default_acl(tree: Path) -> None:
    os.removexattr(tree / "var", "system.posix_acl_default")


def link_target(tree: Path) -> None:
    def relink() -> None:
        (tree / "loop").unlink()
        (tree / "loop").symlink_to("poop")

    keeping_times(tree / "loop", relink)


def lost_hard_link(tree: Path) -> None:
    path = tree / "var/app.linked"

    def split() -> None:
        other = tree.parent / "other"  # made in var, it would inherit the ACL
        shutil.copy2(path, other)
        os.replace(other, path)

    keeping_times(path, split)


def new_hard_link(tree: Path) -> None:
    def join() -> None:
        (tree / "etc/empty").unlink()
        os.link(tree / "etc/absolute", tree / "etc/empty", follow_symlinks=False)

    keeping_times(tree / "etc/empty", join)


def filled_hole(tree: Path) -> None:
    path = tree / "sparse"
    data = path.read_bytes()
    keeping_times(path, lambda: path.write_bytes(data))


def punched_hole(tree: Path) -> None:
    path = tree / "sparse"

    def punch() -> None:
        data = path.read_bytes()[3 << 20 :][:6000]
        os.truncate(path, 0)
        with open(path, "r+b") as file:
            file.truncate(8 << 20)
            file.seek(3 << 20)
            file.write(data[:4096])
            file.seek((5 << 20) + 1)
            file.write(b"\0")
            file.seek((3 << 20) + 4096)
            file.write(data[4096:])

    keeping_times(path, punch)


def type_changed(tree: Path) -> None:
    (tree / "etc/relative").unlink()
    (tree / "etc/relative").mkdir()


def fifo_became_file(tree: Path) -> None:
    (tree / "queue").unlink()
    (tree / "queue").touch()


def device_numbers(tree: Path) -> None:
    (tree / "null").unlink()
    os.mknod(tree / "null", 0o20666, os.makedev(1, 5))


NOT_UTF8 = "not\\xffutf8\n\\\\x"


def strange_name(tree: Path) -> None:
    os.chmod(os.fsencode(tree) + b"/not\xffutf8\n\\x", 0o600)


FAULTS = {
    "flipped byte, equal size and mtime": Fault(flipped_byte, {"content": {"big.bin"}}, True, True),
    "lost file": Fault(lost_file, {"missing": {"etc/empty"}}, True, True),
    "lost empty directory": Fault(lost_directory, {"missing": {"var/empty"}}, True, True),
    "extra file": Fault(extra_file, {"extra": {"etc/extra"}}, True, True),
    "swapped contents": Fault(swapped, {"content": {"swap-a", "swap-b"}}, True, True),
    "renamed": Fault(renamed, {"renamed": {"var/log/003.log"}}, True, True),
    "truncated": Fault(truncated, {"size": {"big.bin"}}, True, True),
    "grown": Fault(grown, {"size": {"big.bin"}}, True, True),
    "mode": Fault(mode, {"mode": {"var/log/001.log"}}, False, True),
    "setuid lost": Fault(setuid_lost, {"mode": {"etc/empty"}}, False, True),
    "owner": Fault(owner, {"owner": {"var/log/001.log"}}, False, True, root=True),
    "group of a symbolic link": Fault(group_of_link, {"owner": {"dangling"}}, False, True, root=True),
    "mtime, one nanosecond": Fault(mtime, {"mtime": {"var/log/001.log"}}, False, False),
    "mtime of a directory": Fault(mtime_of_directory, {"mtime": {"var/empty"}}, False, True),
    "mtime of a symbolic link": Fault(mtime_of_link, {"mtime": {"up"}}, False, True),
    "mtime of the root": Fault(mtime_of_root, {"mtime": {"."}}, False, True),
    "attribute": Fault(
        xattr, {"xattr": {"etc/app.conf", "var/app.linked", ".config/app.linked"}}, False, True, xattrs=True
    ),
    "attribute of the root": Fault(xattr_of_root, {"xattr": {"."}}, False, True, xattrs=True),
    "file capability": Fault(capability, {"xattr": {"swap-b"}}, False, True, root=True, xattrs=True),
    "access ACL": Fault(access_acl, {"acl": {"swap-a"}}, False, True, xattrs=True),
    "default ACL": Fault(default_acl, {"acl": {"var"}}, False, True, xattrs=True),
    "link target": Fault(link_target, {"link-target": {"loop"}}, True, True),
    "lost hard link": Fault(lost_hard_link, {"hard-link": {"var/app.linked"}}, False, True),
    "filled hole": Fault(filled_hole, {"hole": {"sparse"}}, False, False),
    "moved hole": Fault(punched_hole, {"hole": {"sparse"}}, False, False),
    "symbolic link became a directory": Fault(
        type_changed, {"type": {"etc/relative"}, "mtime": {"etc"}}, True, True
    ),
    "FIFO became a file": Fault(fifo_became_file, {"type": {"queue"}, "mtime": {"."}}, True, True),
    "device numbers": Fault(
        device_numbers, {"device": {"null"}, "mtime": {"null", "."}}, False, True, root=True
    ),
    "hard link to something else": Fault(
        new_hard_link,
        {"type": {"etc/empty"}, "hard-link": {"etc/empty"}, "mtime": {"etc/absolute"}},
        True,
        True,
    ),
    "mode of a name that is not UTF-8": Fault(strange_name, {"mode": {NOT_UTF8}}, False, True),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A source, and a copy of it that verify called equal."""
    base = tmp_path_factory.mktemp("matrix")
    source, master = base / "source", base / "master"
    believable(source)
    master.mkdir()
    assert copy(source, master).code == 0
    assert verify(source, master).code == 0
    return source, master


@pytest.mark.parametrize("name", FAULTS)
def test_verify_finds_and_names(name: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    fault = FAULTS[name]
    source, master = pair
    if fault.root and not AS_ROOT:
        pytest.skip("needs root")
    if fault.xattrs and not has_xattrs(tmp_path):
        pytest.skip("no extended attributes here")
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-a", "--sparse=always", master, damaged], check=True)
    fault.damage(damaged)
    proven = verify(source, damaged)
    assert (proven.code, proven.result["outcome"]) == (1, "different")
    assert proven.classes() == {kind: set(paths) for kind, paths in fault.found.items()}
    assert verify(source, damaged, "--read-ahead", "on").classes() == proven.classes()
    assert proven.result["content_digest"] is None
    sides = [proven.result[side] for side in ("source", "destination")]
    content_differs, metadata_differs = (
        sides[0][key] != sides[1][key] for key in ("content_digest", "metadata_digest")
    )  # type: ignore[index]
    assert content_differs or metadata_differs
    if DIFF:
        assert (diff_says(source, damaged) != diff_says(source, master)) is fault.diff_sees, "diff -r"
    if RSYNC:
        assert (rsync_says(source, damaged) != b"") is fault.rsync_sees, "rsync -naicHAXS --delete"


def diff_says(source: Path, copy_of_it: Path) -> list[bytes]:
    """Its output, without the names of the trees. In equal trees it complains of special files and dangling links as well."""
    done = subprocess.run(["diff", "-rq", source, copy_of_it], capture_output=True, check=False, timeout=120)
    lines = (done.stdout + done.stderr).replace(os.fsencode(copy_of_it), b"COPY").splitlines()
    return sorted(line for line in lines if b"special file while" not in line)


def rsync_says(source: Path, copy_of_it: Path) -> bytes:
    """Itemized changes; it exits 0 whatever it finds."""
    done = subprocess.run(
        ["rsync", "-naicHAXS", "--delete", f"{source}/", f"{copy_of_it}/"],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout
