"""The processes of one pod: started, watched, ended. Knows nothing of the API."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.controllers.node import isolation
from sandbox.controllers.node.isolation import Spec, StartFailed
from sandbox.controllers.node.logs import log_path, pump, tail
from sandbox.controllers.objects import Object, timestamp

log = logging.getLogger(__name__)

SPEC_FILE = "spec.json"  # written just before a start: its presence says that one was tried
_MESSAGE_BYTES = 4096
_FALLBACK_BYTES, _FALLBACK_LINES = 2048, 80


@dataclass
class ContainerRun:
    """One container of a pod, over its restarts. `exit_code` is None while it runs or waits."""

    name: str
    container: Object
    folder: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    waits: bool = False  # an image that stands for a process that only waits
    started_at: str = ""
    finished_at: str = ""
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    restarts: int = 0
    restart_due: float = 0.0
    last: Object | None = None
    killed_for: str = ""
    problem: tuple[str, str] | None = None  # why it waits: reason, message

    @property
    def started(self) -> bool:
        return bool(self.started_at)

    @property
    def running(self) -> bool:
        return self.started and self.exit_code is None

    @property
    def identity(self) -> str:
        return f"sandbox://{self.folder.parent.name}/{self.name}/{self.restarts}"

    def terminated(self) -> Object:
        state = {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "containerID": self.identity,
            "message": self.message,
        }
        return {key: value for key, value in state.items() if value not in ("", None)}


@dataclass
class PodRun:
    """All containers of one pod on this node."""

    uid: str
    directory: Path
    init: list[ContainerRun] = field(default_factory=list)
    main: list[ContainerRun] = field(default_factory=list)
    stop_asked_at: float = 0.0

    @property
    def all(self) -> list[ContainerRun]:
        return [*self.init, *self.main]


def pod_run(pod_uid: str, spec: Object, directory: Path, data: Path) -> PodRun:
    def runs(containers: list[Object]) -> list[ContainerRun]:
        return [
            ContainerRun(
                entry["name"],
                entry,
                directory / "containers" / entry["name"],
                log_path(data, pod_uid, entry["name"]),
            )
            for entry in containers
        ]

    return PodRun(pod_uid, directory, runs(spec.get("initContainers") or []), runs(spec["containers"]))


def prepare(run: ContainerRun) -> None:
    """Makes what a start needs: an empty root, an empty termination log, a fresh log."""
    (run.folder / "root").mkdir(parents=True, exist_ok=True)
    message = run.folder / "termination-log"
    message.write_bytes(b"")
    message.chmod(0o666)
    run.log.parent.mkdir(parents=True, exist_ok=True)
    if run.restarts and run.log.exists():
        run.log.rename(run.log.with_name(f"{run.name}.previous.log"))
    run.log.touch()


def start(run: ContainerRun, spec: Spec | None, on_end: Callable[[], None]) -> None:
    """Starts the container. on_end is called on another thread when it has ended and its log is complete."""
    run.exit_code = None
    run.finished_at = run.reason = run.message = run.killed_for = ""
    if spec is None:
        run.waits = True
        run.started_at = timestamp()
        return
    try:
        process = isolation.start(spec, run.folder / SPEC_FILE)
    except StartFailed as error:
        run.started_at = run.finished_at = timestamp()
        run.exit_code, run.reason, run.message = 128, "StartError", f"failed to start container: {error}"
        return
    run.process = process
    run.started_at = timestamp()
    threading.Thread(target=_follow, args=(run, process, on_end), name=f"log-{run.name}", daemon=True).start()


def _follow(run: ContainerRun, process: subprocess.Popen[bytes], on_end: Callable[[], None]) -> None:
    try:
        if process.stdout is not None:
            with process.stdout as output:
                pump(output, run.log)
        code = isolation.exit_code_of(process)
        _finish(run, code)
    except OSError:
        log.exception("the output of %s was lost", run.name)
        isolation.end(process)
        _finish(run, isolation.exit_code_of(process))
    on_end()


def _finish(run: ContainerRun, code: int) -> None:
    run.finished_at = timestamp()
    run.message = _termination_message(run, code)
    run.reason = run.killed_for or ("Completed" if code == 0 else "Error")
    run.exit_code = code


def _termination_message(run: ContainerRun, code: int) -> str:
    path = run.folder / "termination-log"
    try:
        content = path.read_bytes()[-_MESSAGE_BYTES:].decode(errors="replace")
    except OSError:
        content = ""
    if not content and code != 0:
        policy = run.container.get("terminationMessagePolicy")
        if policy == "FallbackToLogsOnError":
            return tail(run.log, _FALLBACK_BYTES, _FALLBACK_LINES)
    return content


def ask_to_stop(run: ContainerRun) -> None:
    if run.waits and run.running:
        _finish(run, 0)
    elif run.process is not None:
        isolation.ask_to_end(run.process)


def kill(run: ContainerRun, reason: str = "") -> None:
    if run.waits and run.running:
        _finish(run, 137)
    elif run.process is not None and run.running:
        run.killed_for = reason
        isolation.end(run.process)


def restart_due(run: ContainerRun) -> bool:
    """Whether a container that has ended may start again now; the delay doubles from 1 s to 30 s."""
    if not run.restart_due:
        run.restart_due = time.monotonic() + min(30.0, 2.0**run.restarts)
    return time.monotonic() >= run.restart_due


def restarted(run: ContainerRun) -> None:
    run.last = run.terminated()
    run.restarts += 1
    run.restart_due = 0.0
    run.process = None
    run.started_at = ""
