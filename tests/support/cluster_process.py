"""The sandbox cluster as a process of its own, one for each test process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.processes import end, spawn, tail
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox. The kubeconfig has the contexts admin (current), holdfast-worker, holdfast-watcher and holdfast-prober."""

    url: str
    kubeconfig: Path
    data: Path
    log: Path
    process: subprocess.Popen[bytes]


@contextmanager
def running_sandbox(data: Path, *, scenario: str = "small") -> Iterator[Sandbox]:
    """Starts a sandbox with its state in `data`, waits for its line of JSON, ends it afterwards."""
    data.mkdir(parents=True, exist_ok=True)
    log, kubeconfig = data / "sandbox.log", data / "kubeconfig"
    mark = log.stat().st_size if log.exists() else 0
    arguments = ["--data", data / "state", "--port", "0", "--kubeconfig", kubeconfig, "--scenario", scenario]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = spawn([sys.executable, "-m", "sandbox", *arguments], log=log, env=environment, cwd=ROOT)
    try:
        url = until(
            lambda: process.poll() is not None or _ready_url(log, mark),
            timeout_s=150,
            what="the sandbox cluster",
        )
        if process.poll() is not None:
            raise RuntimeError(f"the sandbox cluster ended:\n{tail(log, 40)}")
        yield Sandbox(str(url), kubeconfig, data, log, process)
    finally:
        end(process, patience_s=10)


def _ready_url(log: Path, mark: int) -> str:
    for line in log.read_bytes()[mark:].decode(errors="replace").splitlines():
        if line.startswith("{"):
            try:
                ready = json.loads(line)
            except ValueError:
                continue
            if isinstance(ready, dict) and "url" in ready:
                assert ready["seeded"], f"the scenario is not complete:\n{tail(log, 40)}"
                return str(ready["url"])
    return ""
