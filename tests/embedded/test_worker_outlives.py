"""Nothing that Redis or a task does ends the worker for good."""

import os
import signal
from pathlib import Path

import redis

from tests.support.celery_process import CeleryWorker
from tests.support.waiting import until


def _runs_tasks(worker: CeleryWorker, proof: Path) -> None:
    worker.send("tests.touch", str(proof))
    until(proof.exists, timeout_s=20, what="the task after the accident")


def test_a_pool_process_killed_in_the_middle_of_a_task(celery_worker: CeleryWorker, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    celery_worker.send("tests.hang", str(begun), 600)
    victim = int(until(lambda: begun.exists() and begun.read_text(), timeout_s=20, what="the hanging task"))
    os.kill(victim, signal.SIGKILL)
    _runs_tasks(celery_worker, tmp_path / "after")
    assert celery_worker.process.poll() is None


def test_an_emptied_redis(celery_worker: CeleryWorker, redis_url: str, tmp_path: Path) -> None:
    _runs_tasks(celery_worker, tmp_path / "before")
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    _runs_tasks(celery_worker, tmp_path / "after")
    assert celery_worker.process.poll() is None


def test_a_lost_task_is_not_run_a_second_time(celery_worker: CeleryWorker, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    celery_worker.send("tests.hang", str(begun), 600)
    victim = int(until(lambda: begun.exists() and begun.read_text(), timeout_s=20, what="the hanging task"))
    begun.unlink()
    os.kill(victim, signal.SIGKILL)
    _runs_tasks(celery_worker, tmp_path / "after")
    assert not begun.exists(), "leases and the sweep decide what runs again, not the broker"
