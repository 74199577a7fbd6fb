"""Limits hold: bandwidth, operations, processors, memory."""

import time
from pathlib import Path

import pytest

from benches.memory import fill, large, watched
from mover.limits import Brake, Limits
from mover.pace import FIRST_WINDOW, WINDOWS, Pace
from tests.mover.support import copy


@pytest.mark.parametrize(
    ("limits", "operations", "size"),
    [(Limits(bandwidth=1 << 20), 2, 64 << 10), (Limits(iops=50), 2, 64 << 10)],
    ids=["bandwidth", "iops"],
)
def test_a_brake_lets_no_more_through_than_it_may(limits: Limits, operations: int, size: int) -> None:
    brake = Brake(limits, workers=2)
    began = time.monotonic()
    for _ in range(6):
        brake.used(operations, size)
    rate = 6 * (size if limits.bandwidth else operations) / (time.monotonic() - began)
    share = (limits.bandwidth or limits.iops) / 2
    assert rate < share * 1.5, "a burst of a tenth of a second is allowed"


def test_processor_time_is_limited() -> None:
    brake = Brake(Limits(cpu=0.2), workers=1)
    began, began_cpu = time.monotonic(), time.process_time()
    brake.used(1, 1)  # what the process used before it had a brake
    while time.process_time() - began_cpu < 0.1:
        sum(range(10_000))
        brake.used(1, 1)
    assert (time.process_time() - began_cpu) / (time.monotonic() - began) < 0.35


def test_a_whole_run_keeps_to_its_bandwidth(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    for number in range(8):
        (source / f"{number}").mkdir(parents=True)
        (source / f"{number}/part").write_bytes(b"x" * (256 << 10))
    destination.mkdir()
    done = copy(source, destination, "--bandwidth", "1M")
    assert done.code == 0
    assert float(str(done.result["phase_seconds"]["copy"])) > 1.5  # type: ignore[index]


def test_memory_stays_within_its_limit_in_wide_directories_and_huge_files(tmp_path: Path) -> None:
    """Millions of entries and more: python -m benches mover --sets memory --scale 1."""
    source, destination = tmp_path / "source", tmp_path / "destination"
    (source / "wide").mkdir(parents=True)
    destination.mkdir()
    fill(source / "wide", 20_000)
    large(source, 300 << 30)
    seen = watched(
        *("copy", "--verify", "--processes", 2, "--source", source, "--destination", destination),
        *("--staging-mark", "m", "--memory", "96M"),
    )
    assert seen["entries"] == 20_003
    assert 5 < seen["peak_mib"] < 96


def test_tasks_in_flight_grow_while_storage_is_waited_for_and_not_while_processors_work() -> None:
    waiting, working = Pace(2), Pace(2)
    for _ in range(20):
        waiting.answered(0.010, 0.0005, 0.0)
        working.answered(0.010, 0.0095, 0.0)
    assert (waiting.ahead, waiting.window) == (True, FIRST_WINDOW)
    assert (working.ahead, working.window) == (False, WINDOWS[0])
    for now_s in range(1, 5):
        for pace, ran_s in ((waiting, 0.0005), (working, 0.0095)):
            pace.answered(1.0, ran_s * 100, 0.0)
            pace.answered(1.0, ran_s * 100, 0.0)
            pace.measure(float(now_s))
    assert waiting.window > FIRST_WINDOW
    assert (working.ahead, working.window) == (False, WINDOWS[0])
    on_a_busy_machine = Pace(2)
    for _ in range(20):
        on_a_busy_machine.answered(0.010, 0.002, 0.0078)
    assert (on_a_busy_machine.ahead, on_a_busy_machine.window) == (False, WINDOWS[0]), (
        "waiting for a processor is no waiting for storage"
    )
