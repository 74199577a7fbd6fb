"""`make demo` from its start to its end: what is killed comes back, what is ended stays ended, what was there is there again."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from embedded.processes import free_port
from tests.support.celery_process import sender
from tests.support.process_table import belonging_to, leaders
from tests.support.stack import ROOT, Stack, demo_environment, running_stack
from tests.support.waiting import until

pytestmark = [pytest.mark.xdist_group("demo-life"), pytest.mark.slow, pytest.mark.timeout(300)]


def _healthy(stack: Stack) -> bool:
    try:
        with urllib.request.urlopen(f"{stack.url}healthz", timeout=3) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _nothing_runs(data: Path) -> bool:
    left = belonging_to(data)
    assert not left, left
    return True


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("life") / "data"


@pytest.fixture(scope="module")
def life(data: Path) -> Iterator[Stack]:
    with running_stack(data) as running:
        yield running


def test_a_second_demo_on_the_same_data_names_the_first(life: Stack) -> None:
    second = _demo(life.data, free_port())
    assert second.returncode == 0
    assert f"runs already at {life.url}" in second.stdout


def test_a_taken_port_gets_one_sentence(life: Stack, tmp_path: Path) -> None:
    port = int(life.url.rsplit(":", 1)[1].strip("/"))
    other = _demo(tmp_path / "other", port)
    assert other.returncode == 1
    assert other.stdout.strip().splitlines() == [
        f"holdfast: Port {port} is taken: choose another with HOLDFAST_PORT, as in `HOLDFAST_PORT=8080 make demo`."
    ]


def test_data_in_use_is_not_removed(life: Stack) -> None:
    reset = _door("reset", life.data)
    assert reset.returncode == 1
    assert "runs already" in reset.stdout
    assert "nothing was removed" in reset.stdout
    assert (life.data / "demo.json").exists()


@pytest.mark.parametrize(
    "word",
    [
        "celery -A worker.app worker",
        "celery -A worker.app beat",
        "manage.py watcher",
        "gunicorn",
        "-m sandbox",
    ],
)
def test_a_killed_child_is_started_again(life: Stack, word: str) -> None:
    (victim,) = until(lambda: leaders(life.data, word), timeout_s=20, what=word)
    os.kill(victim, signal.SIGKILL)
    until(lambda: set(leaders(life.data, word)) - {victim}, timeout_s=20, what=f"another {word}")


def test_pages_and_worker_outlive_the_loss_of_redis_and_postgresql(life: Stack) -> None:
    with redis.Redis.from_url(life.demo["redis_url"]) as client:
        client.flushall()
    for word in ("valkey-server", "postgres -D"):
        (victim,) = until(lambda word=word: leaders(life.data, word), timeout_s=20, what=word)
        os.kill(victim, signal.SIGKILL)
        until(
            lambda word=word, victim=victim: set(leaders(life.data, word)) - {victim},
            timeout_s=20,
            what=f"another {word}",
        )
    until(lambda: _healthy(life), timeout_s=30, what="healthy pages")
    app = sender(life.demo["redis_url"])
    until(
        lambda: app.control.ping(timeout=1, limit=1),
        timeout_s=60,
        what="the worker to be back at the new Redis",
    )
    app.send_task("worker.ticks.sweep")
    with redis.Redis.from_url(life.demo["redis_url"]) as client:
        until(lambda: client.llen("holdfast:ticks") == 0, timeout_s=20, what="the worker to take its tasks")


def test_no_child_that_serves_holds_the_password_of_the_schemas_owner(life: Stack) -> None:
    for pid, line in belonging_to(life.data).items():
        if any(word in line for word in ("gunicorn", "celery", "watcher", "-m sandbox")):
            assert b"holdfast_owner" not in Path(f"/proc/{pid}/environ").read_bytes(), line


def test_an_interrupt_ends_everything_and_the_next_start_continues(life: Stack) -> None:
    data = life.data
    with psycopg.connect(life.demo["database_url"]) as connection:
        connection.execute("INSERT INTO django_session VALUES ('kept', 'x', now())")
    os.kill(life.demo["pid"], signal.SIGINT)
    until(lambda: _nothing_runs(data), timeout_s=12, what="everything to end")
    assert not (data / "demo.json").exists()
    with running_stack(data) as second:
        with psycopg.connect(second.demo["database_url"]) as connection:
            found = connection.execute(
                "SELECT count(*) FROM django_session WHERE session_key = 'kept'"
            ).fetchone()
        assert found == (1,)
        # Not even kill -9 of the supervisor leaves a process: the kernel tells its children.
        os.kill(second.demo["pid"], signal.SIGKILL)
        until(lambda: _nothing_runs(data), timeout_s=20, what="everything to end with its supervisor")
    removed = _door("reset", data)
    assert removed.returncode == 0, removed.stdout
    assert not data.exists()


def test_the_end_of_the_parent_is_the_end_of_the_demo(tmp_path: Path) -> None:
    data = tmp_path / "data"
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess; subprocess.run([{sys.executable!r}, '-m', 'embedded', 'demo'])",
        ],
        env=demo_environment(data, free_port()),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: leaders(data, "postgres -D"), timeout_s=60, what="the demo to have begun")
    starter.kill()
    starter.wait()
    until(lambda: _nothing_runs(data), timeout_s=15, what="everything to end with the terminal")


def _demo(data: Path, port: int) -> subprocess.CompletedProcess[str]:
    return _door("demo", data, port)


def _door(door: str, data: Path, port: int = 8000) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedded", door],
        env=demo_environment(data, port),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
