"""A disk that fills, a source that cannot be read, a file that changes: a failure with its path, never skipped."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mover.names import parsed, shown
from mover.result import SUMMARY_BYTES
from tests.mover import walker
from tests.mover.support import (
    AS_ROOT,
    Outcome,
    believable,
    copy,
    environment,
    mover,
    needs_root,
    open_up,
    settle,
    verify,
)

# Runs the mover with one system call replaced, in the coordinator and so in its workers.
SPOILED = """
import errno, os, sys
from mover.cli import main
real_pread, real_open = os.pread, os.open
def name_of(fd): return os.path.basename(os.readlink("/proc/self/fd/%d" % fd))
{patch}
sys.exit(main(sys.argv[1:]))
"""


def spoiled(patch: str, *arguments: object) -> Outcome:
    line = [sys.executable, "-c", SPOILED.format(patch=patch), *map(str, arguments)]
    done = subprocess.run(
        line, capture_output=True, env=environment(), timeout=120, check=False, start_new_session=True
    )
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    return Outcome(done.returncode, lines[-1] if lines else {}, [], done.stderr.decode())


def error_paths(done: Outcome) -> set[str]:
    return {error["path"] for error in done.result["errors"]}  # type: ignore[attr-defined]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    for name in ("a", "bad", "c", "sub/d"):
        (source / name).write_text(name * 100)
    settle(source)
    return source


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    (tmp_path / "destination").mkdir()
    return tmp_path / "destination"


@pytest.mark.parametrize("ahead", ["off", "on"])
def test_a_read_error_is_a_failure_with_its_path_in_copy_and_in_verify(
    source: Path, destination: Path, ahead: str
) -> None:
    patch = """
def pread(fd, size, offset):
    if name_of(fd) == "bad":
        raise OSError(errno.EIO, "Input/output error")
    return real_pread(fd, size, offset)
os.pread = pread
"""
    for passing in ("warm", "final"):
        done = spoiled(
            patch,
            "copy",
            "--source",
            source,
            "--destination",
            destination,
            "--pass",
            passing,
            "--staging-mark",
            "token",
            "--read-ahead",
            ahead,
        )
        assert (done.code, done.result["outcome"]) == (3, "failed")
        assert done.result["errors"] == [{"path": "bad", "reason": "EIO: Input/output error"}]
        assert done.result["content_digest"] is None
    assert copy(source, destination).code == 0
    places = ("--source", source, "--destination", destination)
    proven = spoiled(patch, "verify", *places, "--read-ahead", ahead)
    assert (proven.code, proven.result["outcome"]) == (3, "failed")
    assert proven.result["errors_total"] == 2, "both sides"
    assert (destination / ".holdfast-mover").exists(), "nothing was proven"
    assert verify(source, destination).code == 0


@needs_root
def test_a_disk_whose_blocks_cannot_be_read(tmp_path: Path, destination: Path) -> None:
    """A real device: the image under the file system is cut off where the file's blocks lie."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(24 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no loop device here")
    try:
        (mounted / "good").write_bytes(b"good" * 1000)
        for number in range(4):
            (mounted / f"file{number}").write_bytes(os.urandom(4 << 20))
            (mounted / f"small{number}").write_bytes(os.urandom(4 << 10))
        subprocess.run(["umount", mounted], check=True)
        whole = image.read_bytes()
        subprocess.run(["mount", "-o", "loop,ro,noload", image, mounted], check=True, capture_output=True)
        os.truncate(image, 12 << 20)
        done = copy(mounted, destination)
        again = copy(mounted, destination, "--read-ahead", "on")
    finally:
        subprocess.run(["umount", mounted], check=False)
    assert len(whole) == 24 << 20
    assert (done.code, done.result["outcome"]) == (3, "failed")
    assert done.result["errors_total"]
    assert error_paths(again) == error_paths(done)
    assert all(error["reason"].startswith("EIO") for error in done.result["errors"])  # type: ignore[attr-defined]


CHANGES = """
def pread(fd, size, offset):
    data = real_pread(fd, size, offset)
    if name_of(fd) == "bad":
        writer = real_open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_APPEND)
        os.write(writer, b"more")
        os.close(writer)
    return data
os.pread = pread
"""


@pytest.mark.parametrize("ahead", ["off", "on"])
def test_a_file_that_changes_while_it_is_read_is_counted_warm_and_refused_at_last(
    source: Path, destination: Path, ahead: str
) -> None:
    places = ("--source", source, "--destination", destination)
    arguments = ("copy", *places, "--staging-mark", "token", "--read-ahead", ahead)
    warm = spoiled(CHANGES, *arguments, "--pass", "warm")
    assert (warm.code, warm.result["changed_during_copy"], warm.result["errors"]) == (0, 1, [])
    final = spoiled(CHANGES, *arguments)
    assert (final.code, error_paths(final)) == (3, {"bad"})
    assert "changed while it was read" in final.errors
    assert copy(source, destination).code == 0
    assert verify(source, destination).code == 0


def test_a_file_that_vanishes_is_counted_warm_and_refused_at_last(source: Path, destination: Path) -> None:
    patch = f"""
def pread(fd, size, offset):
    for name in ("c", "sub/d", "sub") if name_of(fd) == "a" else ():
        path = {str(source)!r} + "/" + name
        try:
            os.rmdir(path) if name == "sub" else os.unlink(path)
        except OSError:
            pass
    return real_pread(fd, size, offset)
os.pread = pread
"""
    arguments = ("copy", "--source", source, "--destination", destination, "--processes", 1, "--threads", 1)
    warm = spoiled(patch, *arguments, "--pass", "warm")
    assert (warm.code, warm.result["errors"]) == (0, [])
    assert warm.result["vanished_during_copy"] == 2, "c, and the directory sub"
    (source / "c").write_text("again")
    (source / "sub").mkdir()
    (source / "sub/d").write_text("again")
    final = spoiled(patch, *arguments)
    assert final.code == 3
    assert "c" in error_paths(final)


def test_reading_ahead_makes_do_with_few_handles(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    (source / "large").mkdir(parents=True)
    destination.mkdir()
    for number in range(300):
        (source / f"{number}").write_bytes(b"%d" % number)
    for number in range(20):
        (source / "large" / f"{number}").write_bytes(bytes([number]) * (1 << 20))
    settle(source)
    patch = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 530))
most = 0
real_fadvise = os.posix_fadvise
def fadvise(fd, offset, length, advice):
    global most
    if advice == os.POSIX_FADV_WILLNEED:
        most = max(most, len(os.listdir("/proc/self/fd")))
        assert most < 60, most
    return real_fadvise(fd, offset, length, advice)
os.posix_fadvise = fadvise
"""
    places = ("--source", source, "--destination", destination)
    done = spoiled(patch, "copy", *places, "--read-ahead", "on", "--verify")
    assert (done.code, done.result["outcome"]) == (0, "equal"), done.errors
    assert walker.picture(destination) == walker.picture(source)


@pytest.mark.parametrize("number", ["EDQUOT", "ENOSPC"])
def test_a_quota_that_is_used_up_is_a_failure_with_its_path(
    source: Path, destination: Path, number: str
) -> None:
    patch = f"""
real_write = os.write
def write(fd, data):
    if name_of(fd) == "bad":
        raise OSError(errno.{number}, os.strerror(errno.{number}))
    return real_write(fd, data)
os.write = write
"""
    places = ("--source", source, "--destination", destination)
    for passing in ("warm", "final"):
        done = spoiled(patch, "copy", *places, "--pass", passing, "--staging-mark", "token")
        assert (done.code, done.result["outcome"], error_paths(done)) == (3, "failed", {"bad"})
        assert number in done.errors
        assert "Make it larger, then run again" in done.errors
    assert copy(source, destination).code == 0
    assert verify(source, destination).code == 0


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_a_disk_that_fills_stops_the_run_and_the_next_one_continues(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    believable(source)
    destination.mkdir()
    script = f"""
mount -t tmpfs -o size=2m none "$1" || exit 99
"$2" -m mover copy --source "$0" --destination "$1" --staging-mark t --result full.json
echo $? > code
mount -o remount,size=64m none "$1"
"$2" -m mover copy --source "$0" --destination "$1" --staging-mark t --result copied.json {_accepted()}
"$2" -m mover verify --source "$0" --destination "$1" --result proven.json {_accepted()}
"""
    unshare = ["unshare", "-m"] if AS_ROOT else ["unshare", "-rm"]
    done = subprocess.run(
        [*unshare, "sh", "-c", script, source, destination, sys.executable],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 99 or not (tmp_path / "code").exists():
        pytest.skip(f"cannot mount here: {done.stderr.decode()[-200:]}")
    full, copied, proven = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("full", "copied", "proven")
    )
    assert (tmp_path / "code").read_text().strip() == "3"
    assert any("ENOSPC" in error["reason"] and error["path"] != "." for error in full["errors"]), full[
        "errors"
    ]
    assert (copied["outcome"], proven["outcome"]) == ("done", "equal"), (
        copied["errors"],
        proven["differences"],
    )


def _accepted() -> str:
    """tmpfs keeps no user.* attributes on older kernels; an unprivileged mount keeps no owners."""
    return "--accept xattr:user" + ("" if AS_ROOT else " --accept owner --accept acl")


@needs_root
def test_what_may_not_be_read_is_a_failure(source: Path, destination: Path, tmp_path: Path) -> None:
    open_up(tmp_path)
    os.chown(destination, 12345, 12345)
    (source / "bad").chmod(0)
    done = copy(source, destination, user=12345)
    assert (done.code, error_paths(done)) == (3, {"bad"})
    assert "EACCES" in done.errors


def test_a_destination_that_is_not_ours_is_refused_and_not_touched(source: Path, destination: Path) -> None:
    (destination / "precious").write_text("keep me")
    before = walker.picture(destination)
    done = copy(source, destination)
    assert done.code == 3
    assert "not empty" in done.errors
    assert walker.picture(destination) == before
    assert not (destination / ".holdfast-mover").exists()


def test_a_proven_copy_is_copied_to_again_only_when_it_is_adopted(source: Path, destination: Path) -> None:
    assert copy(source, destination).code == 0
    assert verify(source, destination).result["outcome"] == "equal"
    (source / "since").write_text("new")
    (destination / "damage").write_text("of nobody")
    assert "carries no mark" in copy(source, destination).errors
    assert (destination / "damage").exists()
    assert copy(source, destination, "--adopt").code == 0
    assert verify(source, destination).result["outcome"] == "equal"
    assert walker.picture(destination) == walker.picture(source)


def test_another_mark_is_refused_and_without_a_mark_nothing_is_deleted(source: Path, tmp_path: Path) -> None:
    ours, nobodys = tmp_path / "ours", tmp_path / "nobodys"
    ours.mkdir()
    nobodys.mkdir()
    assert copy(source, ours).code == 0
    assert mover("copy", "--source", source, "--destination", ours, "--staging-mark", "other").code == 3
    assert mover("copy", "--source", source, "--destination", ours).code == 3
    for _ in range(2):
        done = mover("copy", "--source", source, "--destination", nobodys)
        assert done.code == 0
        (nobodys / "extra").touch()
    assert (done.result["extra_in_destination"], done.result["deleted_files"]) == (1, 0)
    assert (ours / "a").exists()
    assert verify(source, nobodys).classes() == {"extra": {"extra"}}


def test_a_warm_pass_deletes_nothing(source: Path, destination: Path) -> None:
    assert copy(source, destination, "--pass", "warm").code == 0
    (source / "c").unlink()
    warm = copy(source, destination, "--pass", "warm")
    assert (warm.result["extra_in_destination"], warm.result["deleted_files"]) == (1, 0)
    assert (destination / "c").exists()
    assert copy(source, destination).result["deleted_files"] == 1
    assert verify(source, destination).code == 0


def test_two_movers_never_work_on_one_destination(source: Path, destination: Path) -> None:
    import fcntl

    assert copy(source, destination).code == 0
    with open(destination / ".holdfast-mover/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for done in (copy(source, destination), verify(source, destination)):
            assert done.code == 3
            assert "another mover" in done.errors
    assert verify(source, destination).code == 0


def test_a_found_difference_is_repaired_by_the_next_copy(source: Path, destination: Path) -> None:
    assert copy(source, destination).code == 0
    damaged = destination / "a"
    stamp = damaged.stat().st_mtime_ns
    damaged.write_bytes(b"A" * damaged.stat().st_size)
    os.utime(damaged, ns=(stamp, stamp))
    assert verify(source, destination).classes() == {"content": {"a"}}
    assert copy(source, destination).code == 0
    assert verify(source, destination).code == 0


def test_bad_usage_and_impossible_places(source: Path, destination: Path, tmp_path: Path) -> None:
    assert mover("copy", "--source", source).code == 2
    assert mover("frobnicate").code == 2
    assert copy(source, destination, "--pass", "warm", "--verify").code == 2
    assert copy(source, destination, "--memory", "1M").code == 2
    assert copy(tmp_path / "nowhere", destination).code == 3
    assert copy(source, source).code == 3
    (source / "inside").mkdir()
    assert copy(source, source / "inside").code == 3
    assert copy(source / "inside", source).code == 3
    assert list(destination.iterdir()) == []


def test_the_summary_fits_a_termination_message_however_much_was_found(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    for number in range(300):
        (source / f"{number}-{'n' * 200}").write_text("x")
    summary, whole = tmp_path / "summary", tmp_path / "whole"
    done = verify(source, destination, "--summary", summary, "--result", whole)
    assert done.code == 1
    assert len(summary.read_bytes()) <= SUMMARY_BYTES
    short, full = json.loads(summary.read_text()), json.loads(whole.read_text())
    assert short["differences_total"] == full["differences_total"] == 301
    assert len(full["differences"]) == 200
    assert 0 < len(short["differences"]) < 200
    assert short["outcome"] == "different"


@pytest.mark.parametrize(
    "path", [b"", b"plain", b"a/b\\c", b"\xff\xfe", b"\\xff", "ä/\n".encode(), bytes(range(1, 256))]
)
def test_every_path_can_be_had_back_from_the_result(path: bytes) -> None:
    assert parsed(json.loads(json.dumps(shown(path)))) == path
