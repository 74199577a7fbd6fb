"""A sandbox that is killed goes on from what its API says."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.kinds import JOBS, PODS
from tests.contract.place import Place, condition, new_place
from tests.support.cluster_process import Sandbox, running_sandbox
from tests.support.waiting import until

pytestmark = [
    pytest.mark.contract,
    pytest.mark.slow,
    pytest.mark.skipif("HOLDFAST_TEST_KUBECONFIG" in os.environ, reason="kills the cluster"),
]


def client_of(running: Sandbox) -> Client:
    return Client.from_kubeconfig(running.kubeconfig, field_manager="holdfast-contract")


def kill_all(running: Sandbox) -> None:
    """kill -9 of every process of the sandbox, as a power cut would."""
    for pid in [running.process.pid, *_descendants(running.process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.process.wait(timeout=10)


def _descendants(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def heartbeat(place: Place, volumes: Path, claim: str) -> Path:
    found, _ = place.wait_bound(claim)
    return volumes / found["spec"]["volumeName"] / "heartbeat.log"


def test_after_a_power_cut_claims_are_bound_jobs_retried_and_nothing_writes_meanwhile(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, scenario="none") as running:
        place = new_place(client_of(running))
        place.claim()
        place.job(
            "copy",
            "if [ -e /data/started ]; then echo second; exit 0; fi; touch /data/started; while :; do echo x >> /data/heartbeat.log; sleep 0.1; done",
            {"/data": "data"},
            backoffLimit=3,
        )
        log = heartbeat(place, tmp_path / "state" / "volumes", "data")
        until(log.exists, timeout_s=30, what="the job writes")
        kill_all(running)
        size = until(lambda: _still(log), timeout_s=10, what="the job's process ended with its sandbox")
    with running_sandbox(tmp_path, scenario="none") as running:
        place = Place(client_of(running), place.namespace)
        job = until(lambda: _finished(place), timeout_s=60, what="the job completes")
        assert condition(job, "Complete")
        assert job["status"]["failed"] == 1
        lost = [pod for pod in place.pods_of("copy") if pod["status"]["phase"] == "Failed"]
        assert lost[0]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 255
        assert log.stat().st_size == size
        assert place.client.list(PODS, place.namespace)


def _still(log: Path) -> int:
    """The size of a file that does not grow; 0 while it does."""
    found = log.stat()
    # The job writes ten times a second: a second without a write means that it is gone.
    return found.st_size if time.time() - found.st_mtime > 1.0 else 0


def _finished(place: Place) -> dict | None:
    try:
        job = place.get(JOBS, "copy")
    except ApiError:
        return None
    return job if job and (condition(job, "Complete") or condition(job, "Failed")) else None
