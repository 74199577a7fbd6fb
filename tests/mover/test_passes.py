"""A pass costs what changed since the last one, and believes only what was written back."""

import os
from pathlib import Path

import pytest

from tests.mover.support import Outcome, copy, settle, verify
from tests.mover.test_failures import spoiled

# Files count as settled at once, instead of two seconds after their last change.
AT_ONCE = "import mover.run; mover.run.RACY_NS = -60 * 10**9\n"


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    source, destination = tmp_path / "source", tmp_path / "destination"
    for name, files in {"few": 3, "some": 100, "many": 300}.items():
        (source / name).mkdir(parents=True)
        for number in range(files):
            (source / name / f"{number:04}").write_text(f"{name} {number}")
        (source / name / "link").symlink_to("0000")
        os.mkfifo(source / name / "queue")
    os.link(source / "some/0000", source / "many/again")
    settle(source)
    destination.mkdir()
    return source, destination


def passing(trees: tuple[Path, Path], *more: object, patch: str = "") -> Outcome:
    places = ("--source", trees[0], "--destination", trees[1], "--staging-mark", "token")
    return spoiled(AT_ONCE + patch, "copy", *places, *more)


@pytest.mark.parametrize("workers", [(), ("--processes", 2)], ids=["alone", "with workers"])
def test_only_what_changed_is_copied_wherever_names_come_and_go(
    trees: tuple[Path, Path], workers: tuple[object, ...]
) -> None:
    source, _ = trees
    assert passing(trees, "--pass", "warm", *workers).result["copied_files"] == 409
    assert passing(trees, *workers).result["copied_files"] == 0
    for name in ("few", "some", "many"):
        (source / name / "0").write_text("before all others")
        (source / name / "zzz").write_text("after all others")
    (source / "many/0100").unlink()
    (source / "many/0200").write_text("changed")
    (source / "some/link").unlink()
    (source / "some/link").symlink_to("0001")
    done = passing(trees, *workers)
    assert (done.result["copied_files"], done.result["deleted_files"]) == (8, 1)
    for _ in range(2):
        done = passing(trees, *workers)
        assert (done.code, done.result["copied_files"]) == (0, 0)
        assert done.result["unchanged_files"] == 3 + 100 + 300 + 1 + 6 - 1
    assert verify(*trees).code == 0


def test_a_copy_that_was_touched_is_made_anew(trees: tuple[Path, Path]) -> None:
    assert passing(trees).code == 0
    damaged = trees[1] / "many/0150"
    stamp = damaged.stat().st_mtime_ns
    damaged.write_text("many 151")
    os.utime(damaged, ns=(stamp, stamp))
    (trees[1] / "few/link").unlink()
    (trees[1] / "some/0050").unlink()
    done = passing(trees)
    assert (done.code, done.result["copied_files"]) == (0, 3)
    assert verify(*trees).code == 0


def test_other_rules_make_the_listing_worthless(trees: tuple[Path, Path]) -> None:
    assert passing(trees).code == 0
    done = passing(trees, "--accept", "owner")
    assert done.result["unchanged_files"] == 0
    proven = verify(*trees, "--accept", "owner")
    assert proven.result["metadata_digest"] == done.result["metadata_digest"]


def test_what_could_not_be_written_back_is_a_failure_and_never_believed(trees: tuple[Path, Path]) -> None:
    """The system tells of a lost write once: a second try seems to succeed."""
    patch = """
import mover.state
real_sync, calls = mover.state.sync_file_system, []
def sync(fd):
    calls.append(fd)
    if len(calls) == 1:
        raise OSError(errno.EIO, "Input/output error")
    real_sync(fd)
mover.state.sync_file_system = sync
"""
    done = passing(trees, patch=patch)
    assert (done.code, done.result["outcome"]) == (3, "failed")
    assert "EIO" in done.errors
    assert passing(trees).result["unchanged_files"] == 0
    assert verify(*trees).code == 0


def test_a_copy_that_cannot_be_read_back_is_not_proven(trees: tuple[Path, Path]) -> None:
    """The read back reads: a byte that the disk gives back changed is found, though source and listing say that all is well."""
    patch = """
def pread(fd, size, offset):
    data = real_pread(fd, size, offset)
    if "/destination/" in os.readlink("/proc/self/fd/%d" % fd) and name_of(fd) == "0123":
        return bytes([data[0] ^ 1]) + data[1:]
    return data
os.pread = pread
"""
    done = passing(trees, "--verify", patch=patch)
    assert (done.code, done.result["outcome"]) == (1, "different")
    assert done.classes() == {"content": {"many/0123"}}
    assert copy(*trees, "--verify").code == 0
