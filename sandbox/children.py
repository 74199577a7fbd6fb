"""Child processes that end with this one, are started again when they exit, and stop together."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_STOP_S = 5.0
_READY_S = 40.0
_HEALTHY_S = 10.0
_PAUSE_CAP_S = 5.0
_SET_PARENT_DEATH_SIGNAL = 1
_ROOT = Path(__file__).resolve().parent.parent


def die_with_parent(parent: int) -> Callable[[], None]:
    """What a child runs before its program, so that Linux ends it when `parent` dies. Does nothing elsewhere."""
    library = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def prepare() -> None:
        if library is not None:
            library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)

    return prepare


def mark_ready(data: Path, name: str) -> None:
    """Called by a child when it serves: the start-up of the sandbox waits for that."""
    path = _ready_file(data, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _ready_file(data: Path, name: str) -> Path:
    return data / "run" / f"{name}.ready"


class Children:
    """The processes of the sandbox besides the API server."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False

    async def keep(self, data: Path, name: str, command: Sequence[str]) -> None:
        """Starts a process and starts it again, with growing pauses, whenever it exits."""
        _ready_file(data, name).unlink(missing_ok=True)
        await self._start(name, command)
        self._keepers.append(asyncio.create_task(self._keep_alive(name, command)))

    async def wait_ready(self, data: Path, names: Sequence[str]) -> None:
        """Waits until these children have marked themselves ready; logs those that have not after a while."""
        end = time.monotonic() + _READY_S
        late = list(names)
        while late and time.monotonic() < end and not self._stopping:
            late = [name for name in late if not _ready_file(data, name).exists()]
            await asyncio.sleep(0.05)
        if late:
            log.error("not ready after %.0f s: %s", _READY_S, ", ".join(late))

    async def run_once(self, name: str, command: Sequence[str]) -> int:
        """Runs a process to its end; its exit code."""
        process = await self._start(name, command)
        code = await process.wait()
        self._running.pop(name, None)
        return code

    async def stop(self) -> None:
        """Ends all of them: politely, and after some seconds by force."""
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        running = [process for process in self._running.values() if process.returncode is None]
        for process in running:
            process.terminate()
        if running:
            waits = [asyncio.create_task(process.wait()) for process in running]
            await asyncio.wait(waits, timeout=_STOP_S)
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _start(self, name: str, command: Sequence[str]) -> asyncio.subprocess.Process:
        environment = {**os.environ, "PYTHONPATH": _python_path()}
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            env=environment,
            preexec_fn=die_with_parent(os.getpid()),
        )
        self._running[name] = process
        return process

    async def _keep_alive(self, name: str, command: Sequence[str]) -> None:
        pause_s = 0.2
        while not self._stopping:
            since = time.monotonic()
            code = await self._running[name].wait()
            pause_s = 0.2 if time.monotonic() - since > _HEALTHY_S else min(pause_s * 2, _PAUSE_CAP_S)
            log.warning("%s ended with code %s; starting it again in %.1f s", name, code, pause_s)
            # stop() cancels this task before it ends the children, so nothing is started again then.
            await asyncio.sleep(pause_s)
            await self._start(name, command)


def _python_path() -> str:
    """The repository's root in front of what is there, so that the children find the same packages."""
    return os.pathsep.join(part for part in (str(_ROOT), os.environ.get("PYTHONPATH", "")) if part)
