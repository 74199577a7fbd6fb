"""Finds out once which kind of container this machine allows, and runs containers in it.

- `root`: namespaces as root; real owners.
- `user`: a user namespace; one uid exists, so other owners cannot be kept.
- `paths`: no namespaces; mount paths in the command are rewritten to the directories. Read-only is not enforced.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

LAUNCHER = Path(__file__).with_name("launcher.py")
MODES = ("root", "user", "paths")
DESCRIPTIONS = {
    "root": "namespaces as root: real owners, read-only mounts enforced",
    "user": "a user namespace: one uid only, so files of other owners cannot be kept; read-only mounts enforced",
    "paths": "no namespaces on this machine: mount paths are rewritten in commands; read-only mounts NOT enforced",
}


@dataclass(frozen=True)
class Bind:
    """A host path that a container sees at `target`."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Spec:
    """One container's process, as the launcher takes it."""

    mode: str
    root: str
    argv: list[str]
    env: dict[str, str]
    binds: list[Bind] = field(default_factory=list)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: list[int] = field(default_factory=list)
    capabilities: list[int] | None = None
    no_new_privileges: bool = False
    read_only_root: bool = False
    hostname: str = "sandbox"
    parent: int = field(default_factory=os.getpid)


class StartFailed(Exception):
    """The command did not start; the text says why."""


def start(spec: Spec, spec_file: Path) -> subprocess.Popen[bytes]:
    """Starts the container; its output and errors come from `stdout`. StartFailed when the command cannot run.

    Must be called on a thread that lives as long as this process: the kernel ends the container with it.
    """
    spec_file.parent.mkdir(parents=True, exist_ok=True)
    spec_file.write_text(json.dumps(asdict(spec)))
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(spec_file), str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        problem = pipe.read().decode(errors="replace").strip()
    if problem:
        process.kill()
        process.communicate()
        raise StartFailed(problem)
    return process


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the container's first process."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to everything in the container."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.poll()


def exit_code_of(process: subprocess.Popen[bytes]) -> int:
    """Waits; 128+n when signal n ended it."""
    code = process.wait()
    return code if code >= 0 else 128 - code


def probe() -> str:
    """The best mode that works here, tried with a real container."""
    candidates = MODES if os.geteuid() == 0 else MODES[1:]
    for mode in candidates[:-1]:
        if problem := _try(mode):
            log.warning("containers by %s do not work here: %s", mode, problem)
        else:
            return mode
    return candidates[-1]


def _try(mode: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("root", "volume"):
            Path(folder, name).mkdir()
        spec = Spec(
            mode=mode,
            root=f"{folder}/root",
            argv=["/bin/sh", "-c", "test -d /volume && ! touch /volume/x 2>/dev/null"],
            env={"PATH": "/usr/bin:/bin"},
            binds=[Bind(f"{folder}/volume", "/volume", read_only=True)],
        )
        try:
            process = start(spec, Path(folder, "spec.json"))
            code = exit_code_of(process)
            if process.stdout:
                process.stdout.close()
        except (StartFailed, OSError) as error:
            return str(error)
        return "" if code == 0 else f"a read-only mount is not read-only (exit {code})"
