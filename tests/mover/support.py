"""Runs the mover as the pod does, and builds trees for it."""

import json
import os
import random
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="needs root")
LONG = 10**9


@dataclass(frozen=True)
class Outcome:
    code: int
    result: dict[str, object]
    progress: list[dict[str, object]]
    errors: str

    def classes(self) -> dict[str, set[str]]:
        """Paths of the differences by class."""
        found: dict[str, set[str]] = {}
        differences = self.result["differences"]
        assert isinstance(differences, list)
        for difference in differences:
            found.setdefault(difference["class"], set()).add(difference["path"])
        return found


def environment() -> dict[str, str]:
    """Compiled modules are kept, as in the image: hundreds of runs would compile them anew."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": ""}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mover", *map(str, arguments)]


_DROP = """
import os, sys, pickle, mover.channel, traceback
from mover.cli import main
user = int(sys.argv[1])
os.setgroups([]); os.setgid(user); os.setuid(user)
sys.exit(main(sys.argv[2:]))
"""


def mover(*arguments: object, timeout_s: float = 120, user: int = 0) -> Outcome:
    """Runs the mover to its end; as another user if one is given, which needs root."""
    line = [sys.executable, "-c", _DROP, str(user), *map(str, arguments)] if user else command(*arguments)
    done = subprocess.run(line, capture_output=True, env=environment(), timeout=timeout_s, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    results = [line for line in lines if line.get("t") == "result"]
    return Outcome(
        done.returncode,
        results[-1] if results else {},
        [line for line in lines if line["t"] == "progress"],
        done.stderr.decode(),
    )


def copy(source: Path, destination: Path, *more: object, user: int = 0) -> Outcome:
    return mover(
        "copy", "--source", source, "--destination", destination, "--staging-mark", "token", *more, user=user
    )


def verify(source: Path, destination: Path, *more: object, user: int = 0) -> Outcome:
    return mover("verify", "--source", source, "--destination", destination, *more, user=user)


def digest(tree: Path, *more: object) -> Outcome:
    return mover("digest", "--tree", tree, *more)


def settle(root: Path, seed: int = 1) -> None:
    """Gives every entry an mtime of its own, to the nanosecond, deepest first."""
    chance = random.Random(seed)
    for directory, directories, files in os.walk(os.fsencode(root), topdown=False):
        for name in [*files, *directories]:
            stamp = chance.randrange(10**18, 17 * 10**17)
            os.utime(os.path.join(directory, name), ns=(stamp, stamp), follow_symlinks=False)
    os.utime(root, ns=(LONG * 10**9, LONG * 10**9 + 123456789))


def believable(root: Path) -> None:
    """A small tree with one of everything that this identity may make."""
    root.mkdir(exist_ok=True)
    chance = random.Random(7)
    for name in ("etc", "var/log", "var/empty", ".config/.hidden", "x" * 255):
        (root / name).mkdir(parents=True)
    for number in range(40):
        (root / "var/log" / f"{number:03}.log").write_bytes(chance.randbytes(chance.randrange(6000)))
    (root / "etc/app.conf").write_text("a = 1\n")
    (root / ".config/.hidden/.env").write_text("B=2\n")
    (root / "etc/empty").touch()
    (root / "big.bin").write_bytes(chance.randbytes(3_000_000))
    (root / "swap-a").write_bytes(b"a" * 5000)
    (root / "swap-b").write_bytes(b"b" * 5000)
    os.close(os.open(os.fsencode(root) + b"/not\xffutf8\n\\x", os.O_CREAT | os.O_WRONLY, 0o640))
    (root / ("n" * 255)).write_text("long name")
    with open(root / "sparse", "wb") as file:
        file.truncate(8 << 20)
        file.seek(3 << 20)
        file.write(b"island" * 1000)
    for name, target in {
        "etc/relative": "app.conf",
        "etc/absolute": "/etc/hostname",
        "dangling": "nowhere/at all",
        "loop": "loop",
        "up": "../../../../etc",
        "var/odd": " \n\t\\",
    }.items():
        os.symlink(target, root / name)
    os.link(root / "etc/app.conf", root / "var/app.linked")
    os.link(root / "etc/app.conf", root / ".config/app.linked")
    os.mkfifo(root / "queue", 0o622)
    (root / "etc/app.conf").chmod(0o600)
    (root / "etc/empty").chmod(0o4755)
    # Without root, what its owner may not read cannot be copied: that is tested apart.
    (root / "var/log/000.log").chmod(0o000 if AS_ROOT else 0o400)
    (root / "var/log").chmod(0o3770)
    (root / "var/empty").chmod(0o1777)
    extended(root)
    settle(root)


def extended(root: Path) -> None:
    """Attributes and ACLs, where the file system has them."""
    if not has_xattrs(root):
        return
    os.setxattr(root / "etc/app.conf", "user.origin", b"\0\1binary\xff")
    os.setxattr(root / "etc", "user.directory", b"yes")
    os.setxattr(root / "swap-a", "system.posix_acl_access", acl(33))
    os.setxattr(root / "var", "system.posix_acl_default", acl(34))
    os.setxattr(root, "user.root", b"itself")
    if AS_ROOT:
        capability = bytes.fromhex("0100000200040000000000000000000000000000")
        os.setxattr(root / "swap-b", "security.capability", capability)
        os.chown(root / "etc/empty", 1000, 2000)
        (root / "etc/empty").chmod(0o4755)
        os.chown(root / "dangling", 1001, 1002, follow_symlinks=False)
        os.chown(root / "var", 5, 6)
        os.mknod(root / "null", 0o20666, os.makedev(1, 3))
        os.mknod(root / "disk", 0o60600, os.makedev(7, 200))


def acl(uid: int, permissions: int = 6) -> bytes:
    """A POSIX ACL of version 2: owner rw, the named user, group r, mask rw, others r."""
    rows = [
        (1, 6, 0xFFFFFFFF),
        (2, permissions, uid),
        (4, 4, 0xFFFFFFFF),
        (16, 6, 0xFFFFFFFF),
        (32, 4, 0xFFFFFFFF),
    ]
    parts = [
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, bits, who in rows
    ]
    return (2).to_bytes(4, "little") + b"".join(parts)


def has_xattrs(root: Path) -> bool:
    try:
        os.setxattr(root, "user.probe", b"1")
        os.removexattr(root, "user.probe")
    except OSError:
        return False
    return True


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def open_up(path: Path) -> None:
    """Lets other users reach a temporary directory."""
    for directory in (path, *path.parents):
        if directory.name.startswith(("pytest-", "popen-", "test_")):
            directory.chmod(0o755)
