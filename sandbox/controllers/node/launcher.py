"""Starts one container: a program of its own, on the standard library alone, run by path.

    python -I -S launcher.py SPEC.json STATUS_FD

It makes a mount namespace with a root of its own (tmpfs, bind mounts), a process namespace, drops what the
container may not have, and runs the command as process 1 there. It ends with its parent, and all of the
container ends with it. Whatever goes wrong before the command runs is written to STATUS_FD as one line;
the end of that file without a line means that the command runs. Exits as the command did (128+n for signal n).

SPEC: mode (root|user|paths), root, binds [{source, target, read_only}], argv, env, cwd, uid, gid, groups,
capabilities (numbers, or null for all), no_new_privileges, read_only_root, hostname, parent (pid).
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import select
import signal
import sys
from pathlib import Path
from typing import Any

_NEW_NAMESPACES = 0x00020000 | 0x20000000 | 0x04000000  # mounts, processes, host name
_NEW_USER = 0x10000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_NOATIME, _NODIRATIME, _RELATIME = 1024, 2048, 1 << 21
_DETACH = 2
_PDEATHSIG, _CAPBSET_DROP, _NO_NEW_PRIVILEGES = 1, 24, 38
_LAST_CAPABILITY = 40
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> int:
    return int(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _die_with_parent() -> None:
    _check(_prctl(_PDEATHSIG, signal.SIGKILL), "prctl")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    done = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode() or None
    )
    _check(done, f"mount {source or kind} on {target}")


def _bind(source: str, target: str, read_only: bool) -> None:
    if os.path.isdir(source):  # noqa: PTH112 - plain os here: this program starts with every container
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        if not os.path.lexists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, target, "", _BIND | _REC)
    if read_only:
        # A user namespace may not clear what the mount already has: repeat it.
        _mount("", target, "", _BIND | _REMOUNT | _RDONLY | _locked_flags(target))


def _locked_flags(target: str) -> int:
    found = os.statvfs(target).f_flag
    table = (
        (os.ST_NOSUID, _NOSUID),
        (os.ST_NODEV, _NODEV),
        (os.ST_NOEXEC, _NOEXEC),
        (os.ST_NOATIME, _NOATIME),
        (os.ST_NODIRATIME, _NODIRATIME),
        (os.ST_RELATIME, _RELATIME),
    )
    return sum(flag for bit, flag in table if found & bit)


def _map_user(spec: dict[str, Any], uid: int, gid: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{spec['uid']} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{spec['gid']} {gid} 1")


def _build_root(spec: dict[str, Any]) -> None:
    root = spec["root"]
    _mount("", "/", "", _REC | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NOSUID, "mode=0755,size=256m")
    for name in ("tmp", "var/tmp", "run", "dev/shm"):
        Path(root, name).mkdir(parents=True)
    for name in ("tmp", "var/tmp", "dev/shm"):
        Path(root, name).chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt"):
        _host_directory(root, name)
    for name in _DEVICES:
        _bind(f"/dev/{name}", f"{root}/dev/{name}", read_only=False)
    for name, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{root}/dev/{name}")  # noqa: PTH211
    Path(root, "proc").mkdir()
    try:
        _mount("proc", f"{root}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    except OSError:
        _mount("/proc", f"{root}/proc", "", _BIND | _REC)
    for bind in spec["binds"]:
        _bind(bind["source"], root + bind["target"], bind["read_only"])


def _host_directory(root: str, name: str) -> None:
    here = f"/{name}"
    if os.path.islink(here):  # noqa: PTH114
        os.symlink(os.readlink(here), f"{root}/{name}")  # noqa: PTH115, PTH211
    elif os.path.isdir(here):  # noqa: PTH112
        _bind(here, f"{root}/{name}", read_only=True)


def _enter_root(spec: dict[str, Any]) -> None:
    root = spec["root"]
    old = f"{root}/.old"
    os.mkdir(old)  # noqa: PTH102
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root on {platform.machine()} is not known here")
    _check(_libc.syscall(number, os.fsencode(root), os.fsencode(old)), "pivot_root")
    os.chdir("/")
    _check(_libc.umount2(b"/.old", _DETACH), "umount of the host's root")
    os.rmdir("/.old")  # noqa: PTH106
    if spec["read_only_root"]:
        _mount("", "/", "", _BIND | _REMOUNT | _RDONLY | _locked_flags("/"))


def _drop(spec: dict[str, Any]) -> None:
    if spec["capabilities"] is not None:
        for number in range(_LAST_CAPABILITY + 1):
            if number not in spec["capabilities"]:
                _prctl(_CAPBSET_DROP, number)
    if spec["mode"] == "root":
        os.setgroups(spec["groups"])
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    if spec["no_new_privileges"]:
        _prctl(_NO_NEW_PRIVILEGES, 1)


def _run_command(spec: dict[str, Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(spec["cwd"])
    _die_with_parent()  # a change of identity has cleared it
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606


def _contained(spec: dict[str, Any], alive: int) -> None:
    """Process 1 of the container."""
    _die_with_parent()
    if select.select([alive], [], [], 0)[0]:
        os._exit(137)  # the parent went before we asked to go with it
    os.setsid()
    _libc.sethostname(spec["hostname"].encode(), len(spec["hostname"].encode()))
    _build_root(spec)
    _enter_root(spec)
    _drop(spec)
    _run_command(spec)


def _fork_into(spec: dict[str, Any], status: int) -> int:
    uid, gid = os.getuid(), os.getgid()
    flags = _NEW_NAMESPACES | (_NEW_USER if spec["mode"] == "user" else 0)
    _check(_libc.unshare(flags), "unshare")
    if spec["mode"] == "user":
        _map_user(spec, uid, gid)
    _die_with_parent()
    alive, held = os.pipe()
    child = os.fork()
    if child:
        os.close(alive)
        return child
    os.close(held)
    try:
        _contained(spec, alive)
    except FileNotFoundError as error:
        _tell(status, f"exec: {error.filename}: no such file or directory")
    except OSError as error:
        _tell(status, str(error))
    os._exit(128)


def _tell(status: int, text: str) -> None:
    os.write(status, text.replace("\n", " ").encode(errors="replace")[:1000] + b"\n")


def _wait(child: int) -> int:
    def forward(number: int, _: object) -> None:
        os.kill(child, number)

    signal.signal(signal.SIGTERM, forward)
    _, result = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(result)


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    status = int(sys.argv[2])
    os.set_inheritable(status, False)
    _die_with_parent()
    if os.getppid() != spec["parent"]:
        sys.exit(137)
    try:
        if spec["mode"] == "paths":
            _run_command(spec)
        child = _fork_into(spec, status)
    except OSError as error:
        _tell(status, str(error))
        sys.exit(128)
    os.close(status)
    code = _wait(child)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
