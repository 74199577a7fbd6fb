"""Everything that a file system can express arrives, or is reported."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mover import walker
from tests.mover.support import (
    acl,
    believable,
    command,
    copy,
    digest,
    environment,
    has_xattrs,
    make_socket,
    needs_root,
    open_up,
    settle,
    verify,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    believable(tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    (tmp_path / "destination").mkdir()
    return tmp_path / "destination"


@pytest.mark.parametrize(
    "workers",
    [(), ("--processes", 2), ("--read-ahead", "on"), ("--processes", 2, "--read-ahead", "on")],
    ids=["alone", "with workers", "reading ahead", "workers reading ahead"],
)
def test_a_copy_is_equal_in_every_respect_and_so_says_a_walker_that_shares_no_code(
    source: Path, destination: Path, workers: tuple[object, ...]
) -> None:
    before = walker.picture(source)
    done = copy(source, destination, *workers)
    assert (done.code, done.result["outcome"], done.result["errors"]) == (0, "done", [])
    proven = verify(source, destination, *workers)
    assert (proven.code, proven.result["outcome"], proven.result["differences"]) == (0, "equal", [])
    assert walker.picture(destination) == walker.picture(source) == before
    assert not (destination / ".holdfast-mover").exists()
    expected = walker.digests(source)
    for result in (done.result, proven.result, digest(source).result, digest(destination).result):
        assert (result["content_digest"], result["metadata_digest"]) == expected
    assert done.result["hard_links"] == 2
    assert proven.result["read_from_disk"] is True


def test_copy_and_proof_in_one_run(source: Path, destination: Path) -> None:
    done = copy(source, destination, "--verify")
    assert (done.code, done.result["outcome"]) == (0, "equal")
    assert done.result["source"] == done.result["destination"]
    assert walker.picture(destination) == walker.picture(source)


def test_a_second_pass_copies_only_what_changed(source: Path, destination: Path) -> None:
    assert copy(source, destination, "--pass", "warm").code == 0
    # Trust in the listing begins two seconds after a change; a pass that starts now would be cautious about all files.
    _age_the_listing(source, destination)
    (source / "etc/app.conf").write_text("a = 2\n")
    (source / "var/log/001.log").unlink()
    (source / "new").write_text("new")
    (source / "var/log/002.log").chmod(0o640)
    done = copy(source, destination)
    assert done.code == 0
    assert done.result["copied_files"] < 25  # links, FIFOs and device nodes are looked at each time
    assert done.result["unchanged_files"] > 38
    assert done.result["deleted_files"] == 1
    assert verify(source, destination).code == 0
    assert walker.picture(destination) == walker.picture(source)


def _age_the_listing(source: Path, destination: Path) -> None:
    """Waits until the pass no longer counts the files as just written, by repeating a cheap warm pass."""
    from tests.support.waiting import until

    def trusted() -> bool:
        done = copy(source, destination, "--pass", "warm")
        return int(str(done.result["unchanged_files"])) > 38

    until(trusted, timeout_s=60, what="the listing to be trusted")


def test_what_lies_in_the_root_of_a_volume_but_is_no_data_is_left_out_and_reported(
    source: Path, destination: Path
) -> None:
    for tree in (source, destination):
        (tree / "lost+found").mkdir()
    (source / ".snapshot/daily").mkdir(parents=True)
    (source / "etc/lost+found").mkdir()
    make_socket(source / "var/app.sock")
    done = copy(source, destination)
    assert done.code == 0
    skipped = {entry["path"]: entry["why"] for entry in done.result["skipped"]}  # type: ignore[attr-defined]
    assert set(skipped) == {"lost+found", ".snapshot", "var/app.sock"}
    assert not (destination / ".snapshot").exists()
    assert (destination / "etc/lost+found").is_dir()
    proven = verify(source, destination)
    assert proven.code == 0
    assert {entry["path"] for entry in proven.result["skipped"]} == set(skipped)  # type: ignore[attr-defined]


def test_a_path_longer_than_any_system_call_takes(tmp_path: Path, destination: Path) -> None:
    source = tmp_path / "deep"
    source.mkdir()
    here = os.open(source, os.O_RDONLY)
    for level in range(60):
        name = f"{level:03}-" + "d" * 200
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        with os.fdopen(os.open("leaf", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=here), "w") as file:
            file.write(f"level {level}")
    os.close(here)
    done = copy(source, destination)
    assert (done.code, done.result["errors"]) == (0, [])
    assert verify(source, destination, "--keep-state").code == 0
    shutil.rmtree(source)
    source.mkdir()
    emptied = copy(source, destination)
    assert (emptied.code, emptied.result["deleted_files"]) == (0, 1)
    assert verify(source, destination).code == 0


def test_a_wide_directory_and_files_of_many_ranges(tmp_path: Path, destination: Path) -> None:
    source = tmp_path / "wide"
    (source / "many").mkdir(parents=True)
    for number in range(3000):
        (source / "many" / f"{number}").write_text(str(number))
    for name, data_at in {"large": 0, "large-sparse": 65 << 20}.items():
        with open(source / name, "wb") as file:
            file.truncate(70 << 20)
            file.seek(data_at)
            file.write(os.urandom(66 << 20) if not data_at else b"end")
    os.link(source / "large", source / "many/large-again")
    (source / "spread").write_bytes(os.urandom(9 << 20))
    settle(source)
    done = copy(source, destination)
    assert done.code == 0
    assert verify(source, destination).code == 0
    assert walker.digests(destination) == walker.digests(source)
    assert done.result["copied_bytes"] < 80 << 20
    assert (destination / "large-sparse").stat().st_blocks * 512 < 1 << 20


def test_an_empty_tree(tmp_path: Path, destination: Path) -> None:
    source = tmp_path / "empty"
    source.mkdir(mode=0o750)
    settle(source)
    assert copy(source, destination).code == 0
    assert verify(source, destination).code == 0
    assert walker.picture(destination) == walker.picture(source)


@needs_root
def test_what_an_ordinary_user_cannot_keep_is_known_before_and_never_equal_by_silence(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    (source / "mine").write_text("m")
    (source / "other").write_text("o")
    os.chown(source / "mine", 12345, 12345)
    os.chown(source / "other", 23456, 12345)
    os.chown(source, 12345, 12345)
    os.chown(destination, 12345, 12345)
    open_up(tmp_path)
    done = copy(source, destination, user=12345)
    assert done.code == 0, done.errors
    classes = {limit["class"] for limit in done.result["not_kept"]}  # type: ignore[attr-defined]
    assert {"owner", "devices", "xattr:trusted"} <= classes
    counted = {limit["class"]: limit["entries"] for limit in done.result["not_kept"]}  # type: ignore[attr-defined]
    assert {name: count for name, count in counted.items() if count} == {"owner": 1}, "of the file `other`"
    strict = verify(source, destination, user=12345)
    assert (strict.code, strict.classes()) == (1, {"owner": {"other"}}), strict.errors
    copy(source, destination, user=12345)
    accepting = verify(source, destination, "--accept", "owner", user=12345)
    assert (accepting.code, accepting.result["outcome"]) == (0, "equal")
    assert set(accepting.result["not_compared"]) == {"owner", "xattr:trusted"}  # type: ignore[call-overload]
    assert accepting.result["rules"]["left_out"] == ["owner"]  # type: ignore[index]


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
def test_acls_are_kept_in_a_user_namespace_that_has_few_numbers(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    if not has_xattrs(tmp_path):
        pytest.skip("no extended attributes here")
    (source / "shared").write_text("s")
    os.setxattr(source / "shared", "system.posix_acl_access", acl(os.geteuid()))
    line = ["unshare", "-r", *command("copy", "--source", source, "--destination", destination)]
    done = subprocess.run(line, env=environment(), capture_output=True, check=False, timeout=120)
    if b"unshare" in done.stderr:
        pytest.skip(f"no user namespace here: {done.stderr.decode()}")
    result = json.loads(done.stdout.splitlines()[-1])
    assert "acl" not in {limit["class"] for limit in result["not_kept"]}
    assert verify(source, destination).classes() == {}


@needs_root
def test_what_is_accepted_is_copied_all_the_same_and_left_out_of_the_proof(
    source: Path, destination: Path
) -> None:
    accepted = [part for name in ("xattr:user", "devices", "owner") for part in ("--accept", name)]
    done = copy(source, destination, *accepted)
    os.chown(destination / "big.bin", 7, 7)
    proven = verify(source, destination, *accepted)
    assert (done.code, proven.code) == (0, 0), proven.errors
    assert proven.result["metadata_digest"] == done.result["metadata_digest"]
    assert proven.result["content_digest"] == done.result["content_digest"]
    assert os.getxattr(destination / "etc/app.conf", "user.origin") == b"\0\1binary\xff"
    assert not (destination / "null").exists()
    assert verify(source, destination).classes().keys() == {"owner", "missing"}
