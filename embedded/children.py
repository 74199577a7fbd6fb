"""Keeps child processes running, and ends them all."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from embedded.processes import kill_group, tail, wait_until

Say = Callable[[str], None]

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_SETTLED_AFTER_S = 30.0
_REPORTED_AT = 3  # exits in a row


@dataclass
class Child:
    """One program that has to run: `start` begins it, also after it has ended."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    last_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    exits_in_a_row: int = 0
    due_at: float = 0.0

    def begin(self) -> None:
        self.process = self.start()
        self.started_at = time.monotonic()

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Takes over a process that runs already."""
        self.process, self.started_at = process, time.monotonic()


@dataclass
class Children:
    """All children. Everything happens in the thread that made it: the kernel ends children with their thread."""

    say: Say
    members: list[Child] = field(default_factory=list)

    def add(self, child: Child, *, running: subprocess.Popen[bytes] | None = None) -> Child:
        self.members.append(child)
        if running is not None:
            child.adopt(running)
        else:
            child.begin()
        return child

    def look_after(self) -> None:
        """One round: notices who ended, starts again who is due."""
        now = time.monotonic()
        for child in self.members:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child, child.process, now)
            elif child.process is None and now >= child.due_at:
                child.begin()
        self._bury_orphans()

    def _bury_orphans(self) -> None:
        ours = {child.process.pid for child in self.members if child.process is not None}
        for pid in set(_children()) - ours:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _ended(self, child: Child, process: subprocess.Popen[bytes], now: float) -> None:
        kill_group(process)
        if now - child.started_at > _SETTLED_AFTER_S:
            child.exits_in_a_row = 0
        child.exits_in_a_row += 1
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (child.exits_in_a_row - 1))
        child.process, child.due_at = None, now + pause_s
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"code {process.returncode}"
        if child.exits_in_a_row < _REPORTED_AT:
            self.say(f"{child.name} ended ({how}) and is started again.")
        elif child.exits_in_a_row == _REPORTED_AT:
            self.say(f"{child.name} keeps ending ({how}). The end of {child.log}:\n{tail(child.log)}")

    def end(self, names: Iterable[str] | None = None, *, patience_s: float) -> None:
        """Ends the named children, or all, at the same time; kills who has not ended after `patience_s`."""
        chosen = [child for child in self.members if names is None or child.name in names]
        running = [(child, child.process) for child in chosen if child.process is not None]
        for child, process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(child.last_signal)
        wait_until(lambda: all(process.poll() is not None for _, process in running), timeout_s=patience_s)
        for child, process in running:
            kill_group(process)
            child.process = None
        self.members = [child for child in self.members if child not in chosen]


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant that loses its own, so that none escapes (Linux)."""
    if sys.platform == "linux":
        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def end_orphans(patience_s: float = 2.0) -> None:
    """Kills what is left of our descendants. Call it when every child has ended."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)


def _children() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []
