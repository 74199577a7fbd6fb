"""What runs on this machine on behalf of a demo or a test."""

import os
from pathlib import Path


def belonging_to(data: Path) -> dict[int, str]:
    """Processes (pid: command line) of the demo in `data`, however far they went from their parents.

    Their environment names it, or they work in it: PostgreSQL and Redis write their titles over their environment.
    """
    mark = f"HOLDFAST_DATA={data}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            works_there = (entry / "cwd").readlink().is_relative_to(data)
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if line and (works_there or mark in environment):
            found[int(entry.name)] = line
    return found


def leaders(data: Path, word: str) -> list[int]:
    """Those of them that lead a session and have `word` in their command line: the children of the supervisor."""
    return [pid for pid, line in belonging_to(data).items() if word in line and _session(pid) == pid]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
