"""A tree that tries to make the mover read or write elsewhere."""

import os
from pathlib import Path

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
