"""A tree that tries to make the mover read or write elsewhere."""

import os
from pathlib import Path

import pytest

from mover.errors import VANISHED
from mover.tree import Tree
from tests.mover.support import copy, settle, verify
from tests.mover.test_failures import spoiled


def outside(tmp_path: Path) -> Path:
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_text("secret")
    return place


def test_links_planted_in_the_destination_are_replaced_not_followed(tmp_path: Path) -> None:
    source, destination, elsewhere = tmp_path / "source", tmp_path / "destination", outside(tmp_path)
    (source / "dir/sub").mkdir(parents=True)
    (source / "dir/secret").write_text("from the source")
    (source / "file").write_text("from the source")
    settle(source)
    destination.mkdir()
    assert copy(source, destination).code == 0
    (destination / "file").unlink()
    (destination / "file").symlink_to(elsewhere / "secret")
    (destination / "dir/secret").unlink()
    (destination / "dir/sub").rmdir()
    (destination / "dir").rmdir()
    (destination / "dir").symlink_to(elsewhere)
    os.symlink(elsewhere, destination / "extra-link")
    done = copy(source, destination)
    assert (done.code, done.result["errors"]) == (0, [])
    assert verify(source, destination).code == 0
    assert sorted(os.listdir(elsewhere)) == ["secret"]
    assert (elsewhere / "secret").read_text() == "secret"


def test_a_directory_swapped_for_a_link_between_two_looks_is_not_entered(tmp_path: Path) -> None:
    source, destination, elsewhere = tmp_path / "source", tmp_path / "destination", outside(tmp_path)
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_text("mine")
    destination.mkdir()
    patch = f"""
def open_(path, *rest, **more):
    if path == b"sub" and os.path.isdir({str(source)!r} + "/sub") and not os.path.islink({str(source)!r} + "/sub"):
        os.rename({str(source)!r} + "/sub", {str(tmp_path)!r} + "/was-sub")
        os.symlink({str(elsewhere)!r}, {str(source)!r} + "/sub")
    return real_open(path, *rest, **more)
os.open = open_
"""
    done = spoiled(patch, "copy", "--source", source, "--destination", destination)
    assert done.code == 3
    assert done.result["errors"][0]["path"] == "sub"  # type: ignore[index]
    found = [name for _, _, names in os.walk(destination) for name in names]
    assert "secret" not in found


@pytest.mark.parametrize("at_once", [True, False], ids=["in one call", "name by name"])
def test_no_way_to_a_directory_leads_over_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    root, elsewhere = tmp_path / "root", outside(tmp_path)
    (elsewhere / "b/c").mkdir(parents=True)
    (root / "a/b/c").mkdir(parents=True)
    (root / "inside").symlink_to("a")
    (root / "a/out").symlink_to(elsewhere)
    (root / "a/b/up").symlink_to("../..")
    (root / "a/b/file").touch()
    deep = b"/".join([b"n" * 250] * 30)  # longer than any single call takes
    handle = os.open(root, os.O_RDONLY)
    for name in deep.split(b"/"):
        os.mkdir(name, dir_fd=handle)
        below = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    tree = Tree(os.fspath(root))
    if not at_once:
        monkeypatch.setattr("mover.tree.open_beneath", lambda *_: -1)
    for path, expected in ((b"a/b/c", os.stat(root / "a/b/c")), (deep, os.fstat(handle))):
        with tree.directory(path) as found:
            assert os.path.samestat(os.fstat(found), expected)
    os.close(handle)
    for path in (
        b"inside/b",
        b"inside/b/c",
        b"a/out/b",
        b"a/out/b/c",
        b"a/b/up",
        b"a/b/up/a",
        b"a/b/file",
        b"a/x/c",
    ):
        with pytest.raises(OSError) as refused:
            tree.open_directory(path)
        assert refused.value.errno in VANISHED


def test_a_file_swapped_for_a_fifo_does_not_hang(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    (source / "file").write_text("mine")
    patch = f"""
def open_(path, *rest, **more):
    if path == b"file" and os.path.isfile({str(source)!r} + "/file"):
        os.unlink({str(source)!r} + "/file")
        os.mkfifo({str(source)!r} + "/file")
    return real_open(path, *rest, **more)
os.open = open_
"""
    done = spoiled(patch, "copy", "--source", source, "--destination", destination)
    assert done.code == 3
    assert done.result["errors"][0]["path"] == "file"  # type: ignore[index]


def test_a_link_called_dot_dot_and_back_names_stay_inside(tmp_path: Path) -> None:
    source, destination, elsewhere = tmp_path / "source", tmp_path / "destination", outside(tmp_path)
    source.mkdir()
    destination.mkdir()
    (source / "..data").symlink_to("../outside")
    (source / "deep").symlink_to("../../../../../../etc")
    (source / "...").mkdir()
    (source / ".../-rf").write_text("x")
    settle(source)
    assert copy(source, destination).code == 0
    assert verify(source, destination).code == 0
    assert os.readlink(destination / "..data") == "../outside"
    assert sorted(os.listdir(elsewhere)) == ["secret"]


def test_a_tree_to_be_deleted_is_deleted_without_following(tmp_path: Path) -> None:
    source, destination, elsewhere = tmp_path / "source", tmp_path / "destination", outside(tmp_path)
    source.mkdir()
    destination.mkdir()
    assert copy(source, destination).code == 0
    here = destination / "extra"
    for level in range(200):
        here.mkdir()
        (here / f"link{level}").symlink_to(elsewhere)
        (here / "also").mkdir()
        here = here / "d"
    done = copy(source, destination)
    assert (done.code, done.result["deleted_files"]) == (0, 1)
    assert verify(source, destination).code == 0
    assert sorted(os.listdir(elsewhere)) == ["secret"]
