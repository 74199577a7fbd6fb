"""Starts and ends child processes that never outlive us."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

Identity = Literal["keep", "namespace", "drop"]
_LAUNCH = str(Path(__file__).with_name("launch.py"))


def command(arguments: Sequence[str | Path], *, identity: Identity = "keep") -> list[str]:
    """The command line that runs `arguments` through launch.py, as a child of this very process."""
    chosen = [] if identity == "keep" else ["--identity", identity]
    return [sys.executable, "-I", "-S", _LAUNCH, *chosen, str(os.getpid()), *map(str, arguments)]


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    identity: Identity = "keep",
) -> subprocess.Popen[bytes]:
    """Starts a child in a session of its own (a Ctrl-C at the terminal is ours alone), both outputs appended to `log`.

    Call it from the main thread: the kernel ends the child when the thread that started it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command(arguments, identity=identity),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
        )


def end_with_parent() -> None:
    """Asks the kernel to send this process SIGTERM when its parent ends (Linux). A process without a parent lives on."""
    if sys.platform == "linux" and os.getppid() > 1:
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0)


def end(
    process: subprocess.Popen[bytes], *, patience_s: float, first: signal.Signals = signal.SIGTERM
) -> None:
    """Asks the process to end, and after `patience_s` kills what is left of its process group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(first)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills whatever is left of the session that `process` leads, also when it ended itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(done: Callable[[], bool], *, timeout_s: float, every_s: float = 0.05) -> bool:
    """Polls `done` until it is true; False when that did not happen in time."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log; empty when there is none."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return ""
