"""The demo touches no directory that is not its own."""

from pathlib import Path

import pytest

from embedded.errors import CannotStart
from embedded.place import Place, RunsAlready


def test_a_directory_with_other_things_is_neither_used_nor_removed(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("ten years")
    with pytest.raises(CannotStart, match="holds something that is not a demo's"):
        Place(tmp_path).prepare()
    with pytest.raises(CannotStart, match="nothing was removed"):
        Place(tmp_path).remove()
    assert precious.read_text() == "ten years"


def test_a_symbolic_link_to_a_demo_is_not_followed_when_removing(tmp_path: Path) -> None:
    Place(tmp_path / "real").prepare()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(CannotStart, match="nothing was removed"):
        Place(tmp_path / "link").remove()
    assert (tmp_path / "real").exists()


def test_links_inside_a_demo_do_not_lead_the_removal_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    place = Place(tmp_path / "demo")
    place.prepare()
    locked = place.root / "volumes" / "locked"
    locked.mkdir(parents=True)
    (locked / "away").symlink_to(outside)
    (place.root / "away").symlink_to(outside)
    locked.chmod(0o000)
    assert place.remove()
    assert not place.root.exists()
    assert (outside / "kept").read_text() == "kept"


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    first, second = Place(tmp_path / "demo"), Place(tmp_path / "demo")
    first.prepare()
    first.take()
    second.prepare()
    with pytest.raises(RunsAlready):
        second.take()


def test_secrets_are_kept_and_for_the_owner_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "demo")
    place.prepare()
    assert place.secret("session") == Place(tmp_path / "demo").secret("session")
    assert (place.root / "session.secret").stat().st_mode & 0o077 == 0
    place.write_demo({"url": "http://127.0.0.1:1/"})
    assert (place.root / "demo.json").stat().st_mode & 0o077 == 0
