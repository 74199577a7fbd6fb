"""The sandbox as a process tree: one line when ready, a sentence on a taken port, nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.client import Client
from sandbox.kinds import CONFIG_MAPS, NODES
from tests.sandbox.api_process import ROOT
from tests.support.waiting import until


def start(data: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--data", str(data), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ready(process: subprocess.Popen[str]) -> dict:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def naming(data: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(data) in line:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("end", [subprocess.Popen.terminate, subprocess.Popen.kill], ids=["asked", "killed"])
def test_no_process_is_left_when_the_sandbox_ends(tmp_path: Path, end: Callable[..., None]) -> None:
    process = start(tmp_path)
    try:
        found = ready(process)
        assert found["url"].startswith("https://127.0.0.1:")
        with Client.from_kubeconfig(found["kubeconfig"]) as client:
            assert len(client.list(NODES)) == 2
        assert len(naming(tmp_path)) > 1
        end(process)
        process.wait(15)
        until(lambda: not naming(tmp_path), timeout_s=15, what="the end of all processes")
    finally:
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    process = start(tmp_path, "--without", "flux", "--without", "kyverno")
    try:
        found = ready(process)
        first = next(pid for pid in naming(tmp_path) if pid != process.pid)
        os.kill(first, signal.SIGKILL)
        until(lambda: set(naming(tmp_path)) - {process.pid, first}, timeout_s=15, what="a new child")
        with Client.from_kubeconfig(found["kubeconfig"]) as client:
            assert client.list(NODES)
    finally:
        process.terminate()
        process.wait(15)


def test_a_taken_port_gets_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", "--data", str(tmp_path), "--port", str(port), "--only-api"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert "--port" in done.stderr


def test_an_open_watch_does_not_hold_up_the_end(tmp_path: Path) -> None:
    process = start(tmp_path, "--only-api")
    try:
        found = ready(process)
        with Client.from_kubeconfig(found["kubeconfig"]) as client:
            events = client.watch(CONFIG_MAPS)
            assert next(events).type == "SYNCED"
            process.terminate()
            assert process.wait(10) == 0
    finally:
        process.kill()
