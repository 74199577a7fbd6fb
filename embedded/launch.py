"""Becomes another program, after settling who it runs as and that it does not outlive its parent.

Run as a script with `python -I -S`, so that nothing of ours is imported between fork and exec:

    launch.py [--identity keep|namespace|drop] PARENT_PID PROGRAM [ARGUMENT ...]

`namespace` maps the caller to user 65534 in a user namespace of its own: PostgreSQL refuses to run as root, and so it does not,
while its files stay the caller's. `drop` is for root in a container that forbids such namespaces: it becomes user 65534 and keeps
the one capability to read directories that are root's.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

NOBODY = 65534
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def _enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def _end_with_parent(parent_pid: int) -> None:
    """Linux alone can do this; elsewhere a killed supervisor leaves its children to the next start."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("launch: the parent ended before the child began")


def _dropping(arguments: list[str]) -> list[str]:
    only = "-all,+dac_override"
    return [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        f"--inh-caps={only}",
        f"--ambient-caps={only}",
        f"--bounding-set={only}",
        "--pdeathsig=TERM",
        "--",
        *arguments,
    ]


def main(arguments: list[str]) -> None:
    identity = "keep"
    if arguments[0] == "--identity":
        identity, arguments = arguments[1], arguments[2:]
    parent_pid, program = int(arguments[0]), arguments[1:]
    if identity == "namespace":
        _enter_user_namespace()
    elif identity == "drop":
        program = _dropping(program)
    _end_with_parent(parent_pid)
    # The child leads a session of its own: that our caller ignores Ctrl-C, as jobs in the background do, is none of its business.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvp(program[0], program)  # noqa: S606 - becoming that program is what this file is for


if __name__ == "__main__":
    main(sys.argv[1:])
