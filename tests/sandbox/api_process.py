"""The API server alone, as a process of its own that a test may kill."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.processes import end, spawn, tail
from sandbox.client import Client
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Api:
    """A running API server. The kubeconfig's current context is admin."""

    kubeconfig: Path
    data: Path
    process: subprocess.Popen[bytes]

    def client(self, context: str | None = None) -> Client:
        return Client.from_kubeconfig(self.kubeconfig, context, field_manager="test")

    def kill(self) -> None:
        """As the kernel would: no farewell."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def running_api(folder: Path, *options: str) -> Iterator[Api]:
    """Starts the API server with its state under the folder, waits until it answers, ends it afterwards."""
    data, log = folder / "state", folder / "api.log"
    data.mkdir(parents=True, exist_ok=True)
    mark = log.stat().st_size if log.exists() else 0
    command = [sys.executable, "-m", "sandbox", "--data", str(data), "--only-api", *options]
    process = spawn(command, log=log, env={**os.environ, "PYTHONUNBUFFERED": "1"}, cwd=ROOT)
    try:
        until(
            lambda: process.poll() is not None or b'"url"' in log.read_bytes()[mark:],
            timeout_s=30,
            what="the API server",
        )
        if process.poll() is not None:
            raise RuntimeError(f"the API server ended:\n{tail(log, 40)}")
        yield Api(data / "kubeconfig", data, process)
    finally:
        end(process, patience_s=10)
