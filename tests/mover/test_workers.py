"""The coordinator and its workers: whatever they say to each other, and whoever dies, the run ends."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mover.ahead import LooksAhead
from mover.errors import MoverError
from mover.pace import Pace
from mover.pool import Pool
from tests.mover.support import believable
from tests.mover.test_failures import spoiled

pytestmark = pytest.mark.timeout(90)
# Much more than a pipe holds, so that both ends write at the same time.
LARGE = 300_000


class Job(LooksAhead):
    def __init__(self, answer: Callable[[object], object]) -> None:
        super().__init__()
        self.answer = answer

    def run(self, task: object) -> object:
        return self.answer(task)


class Tasks:
    """Numbered tasks, and what came of each."""

    def __init__(self, count: int) -> None:
        self.left = [(number, bytes(LARGE)) for number in range(count)]
        self.done: dict[int, object] = {}

    def next_task(self) -> tuple[object, object] | None:
        return (self.left[-1], self.left.pop()[0]) if self.left else None

    def handle(self, context: object, task: object, result: object) -> None:
        assert isinstance(context, int)
        self.done[context] = result

    def note(self, counted: dict[str, int]) -> None:
        raise AssertionError(counted)

    def tick(self) -> None:
        pass


def work(job: Job, tasks: Tasks, threads: int) -> None:
    pool = Pool(job, Pace(2, threads=threads), alone_s=0)
    try:
        pool.run(tasks)
    finally:
        pool.close()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_large_tasks_and_large_answers_do_not_wait_for_each_other(threads: int) -> None:
    tasks = Tasks(60)
    work(Job(lambda task: task), tasks, threads)
    assert sorted(tasks.done) == list(range(60))
    assert tasks.done[7] == (7, bytes(LARGE))


def test_an_answer_that_cannot_be_sent_ends_the_run_instead_of_being_waited_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(MoverError, match="a worker process ended unexpectedly"):
        work(Job(lambda task: lambda: task), Tasks(3), 2)
    assert "pickle" in capfd.readouterr().err


FEW_THREADS = """
import threading
real_start, started = threading.Thread.start, []
def start(self):
    if len(started) >= 2:
        raise RuntimeError("can't start new thread")
    started.append(self)
    real_start(self)
threading.Thread.start = start
"""
NO_LIMITS = """
import resource
def setrlimit(*_):
    raise ValueError("current limit exceeds maximum limit")
resource.setrlimit = setrlimit
"""


@pytest.mark.parametrize(
    ("patch", "options"),
    [(FEW_THREADS, ("--threads", "8")), (NO_LIMITS, ("--read-ahead", "on"))],
    ids=["threads", "handles"],
)
def test_a_system_that_gives_little_is_made_do_with(
    tmp_path: Path, patch: str, options: tuple[str, ...]
) -> None:
    source = tmp_path / "source"
    believable(source)
    expected = spoiled("", "digest", "--tree", source).result["content_digest"]
    done = spoiled(patch, "digest", "--tree", source, "--processes", "1", *options)
    assert (done.code, done.result["content_digest"]) == (0, expected), done.errors
