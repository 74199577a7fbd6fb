"""What the running identity and the destination can keep: tried on a nameless file before the first byte is copied."""

import errno
import os
import stat
from collections.abc import Callable

from mover.errors import OUT_OF_SPACE

# Version 2, then tag, permissions and identity of each entry: owner, a user, group, mask, others.
_ACL = "02000000 01000600ffffffff 02000400{user} 04000400ffffffff 10000400ffffffff 20000400ffffffff"
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
_SYS_ADMIN, _MKNOD = 1 << 21, 1 << 27


def limits(directory: int) -> dict[str, str]:
    """Classes that cannot be kept in the file system of a directory handle, with the reason of each."""
    found: dict[str, str] = {}
    found.update(invisible())
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:
        fd = _named(directory)
    try:
        _try(found, "owner", lambda: os.fchown(fd, 1, 1), "cannot give files to another owner")
        _try(
            found,
            "xattr:user",
            lambda: os.setxattr(fd, "user.holdfast.probe", b"1"),
            "cannot set user.* attributes",
        )
        # Its own user is the only one that surely has a number in a user namespace.
        acl = bytes.fromhex(_ACL.format(user=os.geteuid().to_bytes(4, "little").hex()))
        _try(found, "acl", lambda: os.setxattr(fd, "system.posix_acl_access", acl), "cannot set POSIX ACLs")
        _try(
            found,
            "xattr:security",
            lambda: os.setxattr(fd, "security.capability", _CAPABILITY),
            "cannot set file capabilities",
        )
        if "xattr:trusted" not in found:
            _try(
                found,
                "xattr:trusted",
                lambda: os.setxattr(fd, "trusted.holdfast", b"1"),
                "cannot set trusted.* attributes",
            )
        if not _keeps_holes(fd):
            found["holes"] = "the destination's file system does not report holes"
    finally:
        os.close(fd)
    if "owner" not in found and not _all_ids_are_mapped():
        found["owner"] = "some owners have no number in this user namespace"
    if effective_capabilities() & _MKNOD == 0:
        found["devices"] = "device nodes are made only with CAP_MKNOD"
    else:
        name = b"holdfast-node"
        _try(
            found,
            "devices",
            lambda: os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(1, 3), dir_fd=directory),
            "cannot make device nodes",
        )
        if "devices" not in found:
            os.unlink(name, dir_fd=directory)
    return found


def invisible() -> dict[str, str]:
    """What this identity cannot even see, so that it can be neither copied nor compared."""
    # In a user namespace of its own a process has the capability, and yet the system hides these attributes from it.
    if effective_capabilities() & _SYS_ADMIN and _all_ids_are_mapped():
        return {}
    return {"xattr:trusted": "trusted.* attributes are visible only with CAP_SYS_ADMIN"}


def _named(directory: int) -> int:
    """For file systems without nameless files; the directory is our own, so a rest of a killed run is known by its name."""
    name = b"holdfast-probe"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    os.unlink(name, dir_fd=directory)
    return fd


def _try(found: dict[str, str], name: str, attempt: Callable[[], object], why: str) -> None:
    try:
        attempt()
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno in OUT_OF_SPACE or error.errno == errno.EIO:
            raise  # this says nothing about what can be kept
        found[name] = f"{why}: {error.strerror}"


def _keeps_holes(fd: int) -> bool:
    os.ftruncate(fd, 0)
    os.ftruncate(fd, 8 << 20)
    os.pwrite(fd, b"1", 4 << 20)
    try:
        return os.lseek(fd, 0, os.SEEK_DATA) > 0
    except OSError:
        return False


def _all_ids_are_mapped() -> bool:
    try:
        with open("/proc/self/uid_map", encoding="utf-8") as file:
            return sum(int(line.split()[2]) for line in file) >= 2**32 - 1
    except OSError:
        return True


def effective_capabilities() -> int:
    """The bits of the effective capabilities."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def not_kept(found: dict[str, str], counted: dict[str, int], *, whole: bool) -> list[dict[str, object]]:
    """For the result: with each class the number of entries that this run gave less than they have.

    None where it found none, but took over others from an earlier pass (not `whole`).
    """
    reasons = dict.fromkeys(counted, "the destination's file system does not know such an attribute") | found
    none = 0 if whole else None
    return [
        {"class": name, "why": why, "entries": counted.get(name, none)}
        for name, why in sorted(reasons.items())
    ]
