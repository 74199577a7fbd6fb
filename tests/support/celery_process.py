"""A real Celery worker for tests: its own process, the test's database, the test's Redis, nothing eager."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from celery import Celery
from django.conf import settings

from embedded.processes import end, spawn, tail
from tests.support import services
from tests.support.waiting import until
from worker import app as worker_app

ROOT = Path(__file__).parents[2]


def child_environment(database: str, **more: str) -> dict[str, str]:
    """What a process of the product needs to run on the test's servers, connected as the application's role."""
    place = Path(os.environ[services.PLACE])
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "HOLDFAST_DATABASE_URL": services.postgres(place).url(services.APP, database),
        **more,
    }


@dataclass
class CeleryWorker:
    """A running worker. `app` sends it tasks; `sweeps` decides whether the beat's part is played."""

    process: subprocess.Popen[bytes]
    app: Celery
    log: Path
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    def send(self, task: str, *arguments: object) -> None:
        self.app.send_task(task, args=list(arguments))

    def idle(self) -> bool:
        """True when no task is being executed."""
        answer = self.app.control.inspect(timeout=2.0, limit=1).active()
        return bool(answer) and not any(answer.values())

    def drain(self) -> None:
        """Drops what is queued and waits for what runs, so that nothing of one test reaches the next."""
        self.app.control.purge()
        until(self.idle, timeout_s=40, what="the worker to finish its task")

    @contextmanager
    def sweeping(self, every_s: float = 1.0) -> Iterator[None]:
        """Plays the beat's part: asks for a sweep every `every_s`."""
        stop = threading.Event()

        def sweep() -> None:
            while not stop.wait(every_s):
                self.send("worker.ticks.sweep")

        thread = threading.Thread(target=sweep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)


def arguments(*more: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-I", "tests.support.tasks", *more]


def sender(broker_url: str) -> Celery:
    """An application that sends to the product's worker."""
    app = Celery("tests", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_default_queue=worker_app.QUEUE,
        broker_transport_options={"global_keyprefix": settings.HOLDFAST_REDIS_PREFIX},
    )
    return app


@contextmanager
def running_worker(database: str, log: Path, **more: str) -> Iterator[CeleryWorker]:
    """Starts a worker on `database`, waits until it takes tasks, ends it afterwards."""
    environment = child_environment(database, **more)
    app = sender(environment["HOLDFAST_REDIS_URL"])
    process = spawn(
        arguments("--loglevel=INFO", "--concurrency=2", "--without-gossip", "--without-mingle"),
        log=log,
        env=environment,
        cwd=ROOT,
    )
    try:
        until(
            lambda: process.poll() is not None or app.control.ping(timeout=0.5, limit=1),
            timeout_s=60,
            what="the Celery worker to answer",
        )
        if process.poll() is not None:
            raise RuntimeError(f"the Celery worker ended:\n{tail(log, 40)}")
        yield CeleryWorker(process, app, log, environment)
    finally:
        end(process, patience_s=10)
        app.close()
