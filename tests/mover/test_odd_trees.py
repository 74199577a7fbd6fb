"""Trees, and moments, that a file system allows and nobody expects."""

import os
from pathlib import Path

import pytest

from mover.attributes import class_of, set_xattrs
from mover.holes import data_segments
from tests.mover import walker
from tests.mover.support import copy, has_xattrs, make_socket, mover, needs_root, open_up, settle, verify
from tests.mover.test_failures import error_paths, spoiled

# Files are trusted however young they are.
TRUSTING = "import mover.run; mover.run.RACY_NS = -(10**18)"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    settle(source)
    return source


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    (tmp_path / "destination").mkdir()
    return tmp_path / "destination"


@pytest.fixture
def places(source: Path, destination: Path) -> tuple[object, ...]:
    return ("--source", source, "--destination", destination, "--staging-mark", "token")


@needs_root
def test_a_device_node_that_cannot_be_made_is_missing_and_never_equal(
    source: Path, destination: Path, tmp_path: Path
) -> None:
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    for path in (source, source / "a", source / "null", destination):
        os.chown(path, 12345, 12345)
    open_up(tmp_path)
    done = copy(source, destination, "--verify", user=12345)
    assert (done.code, done.classes()) == (1, {"missing": {"null"}})
    copied = copy(source, destination, user=12345)
    assert (copied.code, copied.result["counts"]["devices"]) == (0, 1)  # type: ignore[index]
    accepted = copy(source, destination, "--verify", "--accept", "devices", user=12345)
    assert (accepted.code, accepted.result["outcome"]) == (0, "equal")


def test_what_was_read_before_an_interruption_is_read_again_for_the_proof(
    source: Path, destination: Path, places: tuple[object, ...]
) -> None:
    (source / "a").unlink()  # unchanged, it would have the source read again anyway
    with open(source / "big", "wb") as file:
        file.truncate(140 << 20)
        for offset in (1 << 20, 70 << 20, 130 << 20):
            file.seek(offset)
            file.write(b"data")
    lying = f"""
{TRUSTING}
def pread(fd, size, offset):
    data = real_pread(fd, size, offset)
    if name_of(fd) == "big" and offset > 100 << 20:
        raise OSError(errno.EIO, "Input/output error")
    return data.replace(b"data", b"date") if name_of(fd) == "big" and offset < 60 << 20 else data
os.pread = pread
"""
    assert spoiled(lying, "copy", *places).code == 3
    done = spoiled(TRUSTING, "copy", *places, "--verify")
    assert (done.code, done.classes()) == (1, {"content": {"big"}})
    assert copy(source, destination, "--verify").result["outcome"] == "equal"


@pytest.mark.parametrize("year_s", [10_413_792_000, -9_500_000_000], ids=["2300", "1669"])
def test_dates_that_no_row_can_hold_are_kept(
    source: Path, destination: Path, places: tuple[object, ...], year_s: int
) -> None:
    os.utime(source / "a", ns=(0, year_s * 10**9 + 7))
    if (source / "a").stat().st_mtime_ns != year_s * 10**9 + 7:
        pytest.skip("the file system keeps no such date")
    (source / "b").write_text("b")
    for _ in range(2):
        done = spoiled(TRUSTING, "copy", *places)
        assert (done.code, done.result["errors"]) == (0, [])
    assert done.result["unchanged_files"] == 1, "of two"
    assert verify(source, destination).result["outcome"] == "equal"
    assert walker.picture(destination) == walker.picture(source)


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
def test_the_name_of_our_state_in_the_source_is_left_out_and_reported(
    source: Path, destination: Path, kind: str
) -> None:
    name = source / ".holdfast-mover"
    if kind == "file":
        name.write_text("theirs")
    elif kind == "link":
        name.symlink_to("a")
    else:
        os.mkfifo(name)
    for _ in range(2):
        done = copy(source, destination)
        assert (done.code, done.result["errors"]) == (0, [])
        assert ".holdfast-mover" in {skip["path"] for skip in done.result["skipped"]}  # type: ignore[attr-defined]
        assert (destination / ".holdfast-mover/mark").is_file()
    assert verify(source, destination).result["outcome"] == "equal"


def test_the_name_of_our_state_in_the_destination_is_never_touched(source: Path, destination: Path) -> None:
    (destination / ".holdfast-mover").write_text("theirs")
    for done in (
        copy(source, destination),
        copy(source, destination, "--adopt"),
        verify(source, destination),
    ):
        assert done.code == 3
        assert "under the name of the mover's state" in done.errors
    assert (destination / ".holdfast-mover").read_text() == "theirs"


def test_a_name_that_an_inode_gets_during_a_warm_pass(
    source: Path, destination: Path, places: tuple[object, ...]
) -> None:
    (source / "one").mkdir()
    (source / "two").mkdir()
    (source / "one/x").write_text("linked")
    os.link(source / "one/x", source / "one/y")
    # x and y were seen with two names; then a third one comes, and y is settled while the third is being made.
    patch = f"""
import time
from mover.copying import Copying
source = {os.fspath(source)!r}
def once(path):
    deadline = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.001)
real_copy_one, real_enter, real_link = Copying.copy_one, Copying.enter, Copying._link
def copy_one(self, directory, into, name, task):
    if name == b"x":
        os.link(source + "/one/x", source + "/two/z")
    return real_copy_one(self, directory, into, name, task)
def enter(self, task):
    if task.path == b"two":
        once(source + "/two/z")
    return real_enter(self, task)
def link(self, into, name, task):
    if name == b"z":
        time.sleep(0.3)
    if name == b"y":
        time.sleep(0.1)
    return real_link(self, into, name, task)
Copying.copy_one, Copying.enter, Copying._link = copy_one, enter, link
"""
    workers = ("--processes", "1", "--threads", "4")
    done = spoiled(patch, "copy", *places, "--pass", "warm", *workers)
    assert (done.code, done.result["errors"]) == (0, [])
    assert copy(source, destination).code == 0
    assert verify(source, destination).result["hard_links"] == 2


def test_an_attribute_that_the_destination_does_not_know_is_counted_and_found_by_verify(
    source: Path, destination: Path, places: tuple[object, ...]
) -> None:
    if not has_xattrs(source):
        pytest.skip("no extended attributes here")
    for name in ("user.odd", "user.holdfast.theirs"):
        os.setxattr(source / "a", name, b"1")
    patch = """
real_setxattr = os.setxattr
def setxattr(path, name, *rest, **more):
    if name == "user.odd":
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")
    return real_setxattr(path, name, *rest, **more)
os.setxattr = setxattr
"""
    done = spoiled(patch, "copy", *places)
    assert done.code == 0, done.errors
    assert ("xattr:user", 1) in {(limit["class"], limit["entries"]) for limit in done.result["not_kept"]}  # type: ignore[attr-defined]
    assert os.listxattr(destination / "a") == ["user.holdfast.theirs"]
    assert verify(source, destination).classes() == {"xattr": {"a"}}
    assert copy(source, destination, "--verify").result["outcome"] == "equal"


def test_attributes_of_a_file_system_have_a_class_and_are_never_removed(source: Path) -> None:
    names = ("system.posix_acl_access", "system.nfs4_acl", "btrfs.compression", "lustre.lov", "user.a")
    assert [class_of(name) for name in names] == ["acl", "acl", "xattr:system", "xattr:system", "xattr:user"]
    # Removing one that is not there would be an error.
    assert set_xattrs(os.fsencode(source / "a"), (), (("system.nfs4_acl", b""), ("lustre.lov", b""))) == ()


def test_a_damaged_page_of_the_listing_costs_time_and_nothing_else(
    source: Path, destination: Path, places: tuple[object, ...]
) -> None:
    for number in range(60):
        (source / f"{number}").mkdir()
        for name in range(20):
            (source / f"{number}/{name}").touch()
    assert spoiled(TRUSTING, "copy", *places).code == 0
    listing = destination / ".holdfast-mover/listing.db"
    size = listing.stat().st_size
    assert size > 64 << 10
    with open(listing, "r+b") as file:
        file.seek(24 << 10)
        file.write(b"\xff" * (size - (24 << 10)))
    done = copy(source, destination)
    assert (done.code, error_paths(done)) == (3, {".holdfast-mover"})
    assert "It is damaged and was removed. Run again" in done.errors
    assert copy(source, destination, "--verify").result["outcome"] == "equal"


@pytest.mark.parametrize("ahead", ["off", "on"])
def test_one_name_of_the_destination_that_cannot_be_looked_at_is_one_error(
    source: Path, destination: Path, places: tuple[object, ...], ahead: str
) -> None:
    for name in "bcd":
        (source / name).write_text(name)
    assert spoiled(TRUSTING, "copy", *places).code == 0
    (source / "c").write_text("changed")
    (source / "d").write_text("changed")
    patch = f"""
{TRUSTING}
real_stat = os.stat
def stat(path, *rest, dir_fd=None, **more):
    if path == b"b" and dir_fd is not None and os.readlink("/proc/self/fd/%d" % dir_fd).endswith("destination"):
        raise OSError(errno.EIO, "Input/output error")
    return real_stat(path, *rest, dir_fd=dir_fd, **more)
os.stat = stat
"""
    done = spoiled(patch, "copy", *places, "--read-ahead", ahead)
    assert (done.code, error_paths(done)) == (3, {"b"})
    assert (destination / "c").read_text() == (destination / "d").read_text() == "changed"


def test_a_socket_in_the_place_of_a_file_leaves_no_old_copy(source: Path, destination: Path) -> None:
    assert copy(source, destination).code == 0
    (source / "a").unlink()
    make_socket(source / "a")
    assert copy(source, destination, "--pass", "warm").result["deleted_files"] == 0
    assert (destination / "a").exists()
    assert copy(source, destination).result["deleted_files"] == 1
    assert verify(source, destination).result["outcome"] == "equal"


def test_a_full_disk_says_nothing_about_what_can_be_kept(
    source: Path, destination: Path, places: tuple[object, ...]
) -> None:
    assert spoiled(TRUSTING, "copy", *places).code == 0
    patch = f"""
{TRUSTING}
def setxattr(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
real_setxattr, os.setxattr = os.setxattr, setxattr
"""
    full = spoiled(patch, "copy", *places)
    assert (full.code, full.result["not_kept"]) == (3, [])
    assert "ENOSPC" in full.errors
    assert spoiled(TRUSTING, "copy", *places).result["unchanged_files"] == 1, "the listing is still believed"


@needs_root
def test_a_further_pass_does_not_claim_to_know_what_an_earlier_one_could_not_keep(
    source: Path, destination: Path, tmp_path: Path
) -> None:
    os.chown(source / "a", 23456, 23456)
    os.chown(source, 12345, 12345)
    os.chown(destination, 12345, 12345)
    open_up(tmp_path)
    found = []
    drop = "os.setgroups([]); os.setgid(12345); os.setuid(12345)"
    for _ in range(2):
        done = spoiled(f"{TRUSTING}\n{drop}", "copy", "--source", source, "--destination", destination)
        found += [limit["entries"] for limit in done.result["not_kept"] if limit["class"] == "owner"]  # type: ignore[attr-defined]
    assert found == [1, None]


def test_a_file_system_that_sees_a_hole_where_it_saw_data_is_read(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "lseek", lambda fd, position, whence: position)
    assert list(data_segments(0, 0, 9)) == [(0, 9)]


def test_usage_stays_usage(source: Path) -> None:
    assert mover("copy", "--source", source, "--read-ahead", "perhaps").code == 2
