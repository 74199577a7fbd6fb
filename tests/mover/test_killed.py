"""Killed at any instant, a run leaves a tree that the next run completes."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.mover import walker
from tests.mover.support import believable, command, copy, environment, needs_root, verify
from tests.mover.test_failures import spoiled
from tests.support.waiting import until

KILLS = 200


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """A run in a process group of its own, so that all of it can be killed at once, as with a pod."""
    return subprocess.Popen(
        command(*arguments),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(running: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait(40)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_200_times_at_random_instants_then_completed_equal(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    believable(source)
    destination.mkdir()
    arguments = ("copy", "--source", source, "--destination", destination, "--staging-mark", "token")
    began = time.monotonic()
    assert copy(source, destination).code == 0
    whole_s = time.monotonic() - began
    chance = random.Random(3)
    kills = runs = 0
    while kills < KILLS and runs < 3 * KILLS:
        if runs % 10 == 0:
            _change(source, destination, runs)
        runs += 1
        more = ["--full"] if runs % 3 == 0 else []
        more += ["--processes", "2"] if runs % 2 else []  # workers from the start, however small the tree
        running = start(*arguments, *more)
        began = time.monotonic()
        try:
            running.wait(chance.uniform(0.03, whole_s))
            whole_s = (whole_s + time.monotonic() - began) / 2  # the machine may be quicker now
        except subprocess.TimeoutExpired:
            kills += 1
            kill(running)
            if kills % 50 == 0:
                _complete(source, destination)
    assert kills == KILLS
    assert verify(source, destination).code == 0
    assert walker.picture(destination) == walker.picture(source)


def _change(source: Path, destination: Path, attempt: int) -> None:
    """Gives the next runs something to do, of every kind."""
    (source / "var/log/001.log").write_bytes(b"%d" % attempt)
    (source / "etc/app.conf").write_text(f"a = {attempt}\n")
    with open(destination / "extra", "w") as file:
        file.write("extra")
    (destination / "etc/empty").unlink(missing_ok=True)


def _complete(source: Path, destination: Path) -> None:
    done = copy(source, destination)
    assert (done.code, done.result["errors"]) == (0, [])
    proven = verify(source, destination, "--keep-state")
    assert (proven.code, proven.result["differences"]) == (0, [])
    names = {name for name in os.listdir(destination) if name != ".holdfast-mover"}
    assert names == set(os.listdir(source)), "a temporary name was left behind"


def test_a_terminated_run_says_143_and_leaves_no_process(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    with open(source / "large", "wb") as file:
        file.write(os.urandom(80 << 20))
    running = start("copy", "--source", source, "--destination", destination, "--bandwidth", "1M")
    until(lambda: (destination / "large").exists(), timeout_s=40, what="the copy to begin")
    running.terminate()
    assert running.wait(40) == 143
    until(lambda: not _group_lives(running.pid), timeout_s=40, what="the workers to end")
    assert copy(source, destination).code == 3, "without its mark the destination is not ours"
    done = subprocess.run(
        command("copy", "--source", source, "--destination", destination),
        env=environment(),
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
    assert verify(source, destination).code == 0


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_removal_of_the_state_is_completed(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    believable(source)
    destination.mkdir()
    assert copy(source, destination).code == 0
    st = destination.stat()
    try:
        os.setxattr(destination, "user.holdfast.removing", b"%d %d" % (st.st_atime_ns, st.st_mtime_ns))
    except OSError:
        pytest.skip("no extended attributes here")
    (destination / ".holdfast-mover/mark").unlink()
    os.utime(destination, ns=(1, 1))
    assert verify(source, destination).code == 0
    assert walker.picture(destination) == walker.picture(source)
    assert "user.holdfast.removing" not in os.listxattr(destination)


@needs_root
def test_a_damaged_listing_costs_time_and_nothing_else(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    believable(source)
    destination.mkdir()
    assert copy(source, destination).code == 0
    (destination / ".holdfast-mover/listing.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    done = copy(source, destination)
    assert (done.code, done.result["unchanged_files"]) == (0, 0)
    assert verify(source, destination).code == 0


def test_a_large_file_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    with open(source / "large", "wb") as file:
        file.truncate(300 << 20)
        for part in range(5):
            file.seek(part * (64 << 20) + 12345)
            file.write(os.urandom(1 << 20))
    settled(source / "large")
    patch = """
import mover.pool, mover.listing_database, signal, time
mover.pool.TICK_S = mover.listing_database.CHECKPOINT_S = 0
def pread(fd, size, offset):
    if offset >= 192 << 20 and name_of(fd) == "large":
        time.sleep(0.5)  # the coordinator hears of the ranges before
        os.killpg(0, signal.SIGKILL)
    return real_pread(fd, size, offset)
os.pread = pread
"""
    arguments = ("copy", "--source", source, "--destination", destination, "--staging-mark", "token")
    assert spoiled(patch, *arguments, "--processes", 1, "--threads", 1).code == -signal.SIGKILL
    done = copy(source, destination)
    assert done.code == 0
    assert int(str(done.result["copied_bytes"])) < 3 << 20, "two of five islands were left"
    assert verify(source, destination).code == 0
    assert walker.digests(destination) == walker.digests(source)


def settled(path: Path) -> None:
    """Waits until the mover would trust the file: two seconds after its last change."""
    until(lambda: time.time() - path.stat().st_ctime > 2.2, timeout_s=40, what="the file to be old enough")
