"""Each way to run a container on this machine, whichever of them the sandbox would choose."""

import os
import time
from pathlib import Path

import pytest

from sandbox.controllers.node import isolation
from sandbox.controllers.node.isolation import Bind, Spec, StartFailed
from tests.support.waiting import until

pytestmark = pytest.mark.contract


def spec_of(mode: str, folder: Path, script: str, *binds: Bind) -> Spec:
    (folder / "root").mkdir()
    env = {"PATH": "/usr/bin:/bin"}
    return Spec(mode, str(folder / "root"), ["/bin/sh", "-c", script], env, list(binds))


def run(spec: Spec, folder: Path) -> tuple[int, str]:
    try:
        process = isolation.start(spec, folder / "spec.json")
    except StartFailed as error:
        pytest.skip(f"containers by {spec.mode} do not work here: {error}")
    assert process.stdout is not None
    with process.stdout as output:
        text = output.read().decode()
    return isolation.exit_code_of(process), text


@pytest.mark.parametrize(
    "mode", [pytest.param("root", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")), "user"]
)
def test_a_volume_appears_where_it_is_mounted_and_read_only_holds(mode: str, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / "file").write_text("bytes")
    script = "cat /source/file; cp /source/file /destination/; touch /source/x 2>/dev/null && exit 1; exit 5"
    binds = (Bind(str(tmp_path / "old"), "/source", True), Bind(str(tmp_path / "new"), "/destination"))
    assert run(spec_of(mode, tmp_path, script, *binds), tmp_path) == (5, "bytes")
    assert (tmp_path / "new" / "file").read_text() == "bytes"


def test_the_last_resort_still_ends_with_sigterm(tmp_path: Path) -> None:
    started = tmp_path / "started"
    process = isolation.start(
        spec_of("paths", tmp_path, f"touch {started}; exec sleep 60"), tmp_path / "spec.json"
    )
    until(started.exists, what="the process runs")
    isolation.ask_to_end(process)
    assert isolation.exit_code_of(process) == 143


def test_killing_a_container_ends_what_it_started(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    beat = tmp_path / "volume" / "beat"
    script = "(while :; do echo x >> /data/beat; sleep 0.05; done) & wait"
    mode = "root" if os.geteuid() == 0 else "user"
    bind = Bind(str(tmp_path / "volume"), "/data")
    try:
        process = isolation.start(spec_of(mode, tmp_path, script, bind), tmp_path / "spec.json")
    except StartFailed as error:
        pytest.skip(str(error))
    until(beat.exists, what="the child writes")
    isolation.end(process)
    assert isolation.exit_code_of(process) == 137
    until(lambda: time.time() - beat.stat().st_mtime > 0.6, what="no write any more")
