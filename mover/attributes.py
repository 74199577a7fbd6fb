"""What a file has beside its content: mode, numeric owner, mtime, extended attributes, ACLs."""

import errno
import os
import stat

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})
# Labels of the node's own policy, or bound to the inode: they describe the machine, not the data.
OF_THE_MACHINE = frozenset({"security.selinux", "security.evm", "security.ima"})
REMOVING = "user.holdfast.removing"  # ours, see mover.state
CLASSES = frozenset(
    {"owner", "acl", "holes", "devices", "xattr:user", "xattr:trusted", "xattr:security", "xattr:system"}
)

_NAMESPACES = frozenset({"user", "trusted", "security"})
_NFS4_ACL = "system.nfs4_"

Xattrs = tuple[tuple[str, bytes], ...]


def class_of(name: str) -> str:
    """The class under which an extended attribute is kept or left out."""
    if name.startswith(("system.posix_acl_", _NFS4_ACL)):
        return "acl"
    namespace = name.partition(".")[0]
    return f"xattr:{namespace}" if namespace in _NAMESPACES else "xattr:system"


def of_the_file_system(name: str) -> bool:
    """Whether a file system has an attribute on its own, such as NFSv4 ACLs: it is set where that is possible, and never removed."""
    return class_of(name) == "xattr:system" or name.startswith(_NFS4_ACL)


class Rules:
    """What is compared. `left_out` is a subset of CLASSES; `hole_granularity` in bytes."""

    def __init__(self, left_out: frozenset[str] = frozenset(), hole_granularity: int = 4096) -> None:
        self.left_out = left_out
        self.hole_granularity = hole_granularity
        self.with_owner = "owner" not in left_out
        self.with_holes = "holes" not in left_out

    def header(self) -> bytes:
        """Stands at the head of a metadata digest, so that digests under different rules never look equal."""
        return f"left out: {','.join(sorted(self.left_out))}; holes: {self.hole_granularity}\n".encode()

    def compares(self, name: str) -> bool:
        """Whether an extended attribute takes part."""
        return name not in OF_THE_MACHINE and name != REMOVING and class_of(name) not in self.left_out


def read_xattrs(handle: int | bytes, rules: Rules) -> Xattrs:
    """The extended attributes behind a descriptor, or of a path whose last name is not followed; sorted by name."""
    try:
        # A descriptor takes no follow_symlinks; a path must not be followed.
        names = (
            os.listxattr(handle) if isinstance(handle, int) else os.listxattr(handle, follow_symlinks=False)
        )
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return ()
        raise
    if not names:
        return ()
    found = []
    for name in sorted(names, key=os.fsencode):
        if rules.compares(name):
            value = (
                os.getxattr(handle, name)
                if isinstance(handle, int)
                else os.getxattr(handle, name, follow_symlinks=False)
            )
            found.append((name, value))
    return tuple(found)


def by_handle(directory: int, name: bytes) -> bytes:
    """A path that names `name` in a directory handle, for calls that take no directory handle."""
    return b"/proc/self/fd/%d/%s" % (directory, name)


def set_xattrs(handle: int | bytes, wanted: Xattrs, present: Xattrs) -> tuple[str, ...]:
    """Makes the attributes equal to `wanted`, where `present` are those that are there; the names that the file system does not know."""
    follow = isinstance(handle, int)
    names = {name for name, _ in wanted}
    for name, _ in present:
        if name not in names and not of_the_file_system(name):
            os.removexattr(handle, name) if follow else os.removexattr(handle, name, follow_symlinks=False)
    there = dict(present)
    unknown = []
    for name, value in wanted:
        if there.get(name) == value:
            continue
        try:
            os.setxattr(handle, name, value) if follow else os.setxattr(
                handle, name, value, follow_symlinks=False
            )
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            unknown.append(name)
    return tuple(unknown)


def mtime_text(st: os.stat_result) -> str:
    """Seconds since 1970 with nine decimals."""
    return f"{st.st_mtime_ns // 10**9}.{st.st_mtime_ns % 10**9:09d}"


def mode_text(mode: int) -> str:
    """The permission bits in octal, as chmod takes them."""
    return f"{stat.S_IMODE(mode):04o}"


def change_owner(handle: int | bytes, wanted: os.stat_result, present: os.stat_result, *, kept: bool) -> bool:
    """Sets the numeric owner where it differs; where owners cannot be kept it is tried. Whether it is now as wanted."""
    if (wanted.st_uid, wanted.st_gid) == (present.st_uid, present.st_gid):
        return True
    try:
        if isinstance(handle, int):
            os.fchown(handle, wanted.st_uid, wanted.st_gid)
        else:
            os.chown(handle, wanted.st_uid, wanted.st_gid, follow_symlinks=False)
    except OSError:
        if kept:
            raise
        return False
    return True
