"""The whole demo, as `make demo` runs it, for journeys through the browser."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.processes import end, free_port, spawn, tail
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
_OF_THE_TESTS = (
    "HOLDFAST_DATABASE",
    "HOLDFAST_REDIS",
    "HOLDFAST_DATA",
    "HOLDFAST_SECRET",
    "HOLDFAST_STATIC",
    "HOLDFAST_TLS",
    "HOLDFAST_KUBECONFIG",
    "DJANGO_",
)


@dataclass(frozen=True)
class Stack:
    """A running demo. `demo` is its demo.json."""

    url: str
    demo: dict[str, Any]
    data: Path

    def sign_in(self, role: str) -> tuple[str, str]:
        """User name and password of the demo's person with that role."""
        person = self.demo["sign_ins"][role]
        return person["username"], person["password"]

    @property
    def kubeconfig(self) -> Path:
        return Path(self.demo["kubeconfig"])


def demo_environment(data: Path, port: int, **more: str) -> dict[str, str]:
    """The environment of a person who types `make demo`, with another place and port."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_TESTS)}
    return {**ours, "HOLDFAST_DATA": str(data), "HOLDFAST_PORT": str(port), **more}


@contextmanager
def running_stack(data: Path, *, scenario: str = "small", port: int = 0, **more: str) -> Iterator[Stack]:
    """Starts the demo in `data`, waits until it is ready, ends it afterwards; fails when something was left running."""
    environment = demo_environment(data, port or free_port(), HOLDFAST_SCENARIO=scenario, **more)
    log = data.parent / f"{data.name}.log"
    process = spawn([sys.executable, "-m", "embedded", "demo"], log=log, env=environment, cwd=ROOT)
    try:
        until(
            lambda: process.poll() is not None or (data / "demo.json").exists(),
            timeout_s=120,
            what=f"the demo to be ready; see {log}",
        )
        if process.poll() is not None:
            raise RuntimeError(f"the demo ended:\n{tail(log, 40)}")
        demo = json.loads((data / "demo.json").read_text())
        yield Stack(demo["url"], demo, data)
    finally:
        end(process, patience_s=15)
