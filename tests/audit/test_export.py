"""Exports that verify offline, with nothing but Python."""

import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import Grant, User
from audit.exporting import export
from audit.listing import Filters, matching, scope_of
from audit.models import Event
from audit.trail import Actor
from audit.verify_export import COLUMNS
from tests.audit.conftest import note
from tests.support.audit import assert_audited
from tests.support.people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The whole trail, exported and unpacked."""
    for number in range(1, 6):
        note(
            number,
            namespace="team-a" if number % 2 else "team-b",
            note="",
            before={"é": [1.5, None, "\u2028"]},
        )
    return unpack(tmp_path, Event.objects.all(), Filters())


def unpack(place: Path, found: Any, filters: Filters, *scope: str) -> Path:
    by = Actor("auditor", "auditor")
    export(place / "export.zip", found, filters=filters, scope=list(scope) or ["*"], by=by)
    with zipfile.ZipFile(place / "export.zip") as archive:
        archive.extractall(place / "out")
    return place / "out"


def verify(place: Path, *options: str) -> tuple[int, str]:
    """Runs the program of the export itself, isolated: no site packages, no environment."""
    command = [sys.executable, "-I", "-S", str(place / "verify_export.py"), str(place), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/", env={})
    return done.returncode, done.stdout + done.stderr


def test_a_whole_export_is_whole_unpacked_and_as_a_zip(unpacked: Path) -> None:
    last = Event.objects.get(sequence=5)
    code, said = verify(unpacked, "--expect", last.hash)
    assert (code, f"last hash: {last.hash}" in said) == (0, True), said
    assert "WHOLE: 5 events, 1 to 5 (unbroken)" in said
    program = unpacked.rename(unpacked.with_name("elsewhere")) / "verify_export.py"
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(unpacked.with_name("export.zip"))], timeout=60
    )
    assert done.returncode == 0


def test_it_finds_that_a_checkpoint_does_not_fit(unpacked: Path) -> None:
    code, said = verify(unpacked, "--expect", "0" * 64)
    assert code == 1
    assert "no event has the hash" in said


def lines(place: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    file = place / "events.jsonl"
    events = change([json.loads(line) for line in file.read_text().split("\n") if line])
    file.write_text(
        "".join(
            json.dumps(e, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for e in events
        )
    )


def rehash(event: dict[str, Any]) -> dict[str, Any]:
    covered = {name: value for name, value in event.items() if name != "hash"}
    data = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {**covered, "hash": hashlib.sha256(data).hexdigest()}


TAMPERINGS: dict[str, tuple[Callable[[list[Any]], list[Any]], str]] = {
    "changed": (
        lambda events: [*events[:2], {**events[2], "actor": "viewer"}, *events[3:]],
        "event 3: its content does not fit",
    ),
    "changed and hashed anew": (
        lambda events: [*events[:2], rehash({**events[2], "actor": "viewer"}), *events[3:]],
        "event 4: does not follow",
    ),
    "one gone": (lambda events: [*events[:2], *events[3:]], "event 4: events are missing before it"),
    "swapped": (lambda events: [*events[:2], events[3], events[2], events[4]], "event 3: is out of order"),
    "cut off": (lambda events: events[:3], "holds 3 events, the manifest says 5"),
    "beginning gone": (lambda events: events[1:], "the manifest says that the export begins at 1"),
    "added": (
        lambda events: [*events, rehash({**events[4], "sequence": 6, "previous_hash": events[4]["hash"]})],
        "holds 6 events, the manifest says 5",
    ),
}


@pytest.mark.parametrize("mend_manifest", [False, True])
@pytest.mark.parametrize("name", sorted(TAMPERINGS))
def test_it_finds_tampering_even_where_the_manifest_was_mended(
    unpacked: Path, name: str, mend_manifest: bool
) -> None:
    change, expected = TAMPERINGS[name]
    lines(unpacked, change)
    if mend_manifest:
        mend(unpacked)
    code, said = verify(unpacked)
    assert code == 1
    assert expected in said
    assert ("is not the file that the manifest names" in said) != mend_manifest


def mend(place: Path) -> None:
    manifest = json.loads((place / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        entry["sha256"] = hashlib.sha256((place / name).read_bytes()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))


def test_it_finds_a_table_that_says_something_else(unpacked: Path) -> None:
    table = unpacked / "events.csv"
    table.write_text(table.read_text().replace('"operator"', '"viewer"', 1))
    mend(unpacked)
    code, said = verify(unpacked)
    assert code == 1
    assert "events.csv: event 1: actor differs" in said


COLUMN_TRICKS: dict[str, Callable[[list[str]], list[str]]] = {
    "left out": lambda row: row[:2] + row[3:],
    "twice": lambda row: [*row[:2], "actor" if row[2] == "actor" else "somebody else", *row[2:]],
    "another order": lambda row: [row[1], row[0], *row[2:]],
    "none": lambda row: [],
}


@pytest.mark.parametrize("trick", sorted(COLUMN_TRICKS))
def test_it_finds_a_table_whose_columns_are_others(unpacked: Path, trick: str) -> None:
    table = unpacked / "events.csv"
    rows = list(csv.reader(io.StringIO(table.read_bytes().decode(), newline="")))
    with table.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(COLUMN_TRICKS[trick](row) for row in rows)
    mend(unpacked)
    code, said = verify(unpacked)
    assert code == 1
    assert "its columns are not those of an export" in said


def test_it_finds_a_file_that_does_not_belong(unpacked: Path) -> None:
    (unpacked / "note.txt").write_text("x")
    assert verify(unpacked)[0] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"form": "other"}'])
def test_what_is_no_export_is_said_to_be_none(unpacked: Path, content: str) -> None:
    (unpacked / "manifest.json").write_text(content)
    assert verify(unpacked)[0] == 2


def test_no_cell_is_a_formula_and_every_time_is_utc(tmp_path: Path) -> None:
    for start in "=+-@\t\r\n'\uff1d":
        note(1, key=f"{start}cmd|' /C calc'!A0", note=f"{start}1+1")
    place = unpack(tmp_path, Event.objects.all(), Filters())
    assert verify(place)[0] == 0
    rows = list(csv.DictReader(io.StringIO((place / "events.csv").read_bytes().decode(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert all(row["at"].endswith("Z") and row["at"][10] == "T" for row in rows)
    assert [row["key"][:2] for row in rows] == [f"'{start}" for start in "=+-@\t\r\n'\uff1d"]


def test_a_selection_verifies_as_a_selection(tmp_path: Path) -> None:
    for number in range(6):
        note(number, namespace="team-a" if number % 2 else "team-b")
    filters = Filters(namespace="team-a")
    place = unpack(tmp_path, matching(filters, person("auditor")), filters)
    code, said = verify(place)
    assert (code, "a selection" in said) == (0, True)
    assert json.loads((place / "manifest.json").read_text())["filters"] == {"namespace": "team-a"}


def manifest_of(place: Path, **changed: Any) -> dict[str, Any]:
    """The manifest, after `changed` was written into it."""
    file = place / "manifest.json"
    manifest = {**json.loads(file.read_text()), **changed}
    file.write_text(json.dumps(manifest))
    return manifest


@pytest.mark.parametrize("name", ["one gone", "beginning gone"])
def test_a_whole_trail_with_events_missing_does_not_pass_as_a_selection(unpacked: Path, name: str) -> None:
    table = list(csv.reader(io.StringIO((unpacked / "events.csv").read_bytes().decode(), newline="")))
    change, gone = TAMPERINGS[name][0], 3 if name == "one gone" else 1
    lines(unpacked, change)
    with (unpacked / "events.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(table[:gone] + table[gone + 1 :])
    mend(unpacked)
    manifest_of(unpacked, unbroken=False, count=4, first=2 if gone == 1 else 1)
    code, said = verify(unpacked)
    assert code == 1
    assert f"event {gone + 1}: events are missing before it" in said
    # Only by saying that it is no whole trail, which then shows.
    manifest_of(unpacked, scope=["team-a"])
    code, said = verify(unpacked)
    assert (code, "in the namespaces team-a" in said) == (0, True), said


def test_it_says_whose_view_of_the_trail_it_is(tmp_path: Path) -> None:
    for number in range(6):
        note(number, namespace="team-a" if number % 2 else "team-b")
    limited = person("auditor", "team-a", "shared-*")
    place = unpack(tmp_path, matching(Filters(), limited), Filters(), *scope_of(limited, "audit.export"))
    code, said = verify(place)
    assert code == 0
    assert "filters: none, of what its exporter may export, in the namespaces shared-* team-a" in said
    assert manifest_of(place)["scope"] == ["shared-*", "team-a"]
    assert Event.objects.get(verb="audit.export").after["scope"] == ["shared-*", "team-a"]


def test_the_whole_trail_is_said_to_be_the_whole_trail(unpacked: Path) -> None:
    assert "filters: none, of the whole trail" in verify(unpacked)[1]
    assert Event.objects.get(verb="audit.export").after["scope"] == ["*"]


def ask(user: User, **filters: str) -> Any:
    browser = Client()
    browser.force_login(user)
    return browser.post("/audit/export/", filters)


def test_the_page_exports_what_one_may_see_and_what_was_filtered() -> None:
    for number, namespace in enumerate(["team-a", "team-b", "team-a", ""]):
        note(number, namespace=namespace, verb="thing.touch" if number else "thing.make")
    archive = zipfile.ZipFile(
        io.BytesIO(b"".join(ask(person("auditor", "team-a"), verb="thing.touch").streaming_content))
    )
    assert [json.loads(line)["key"] for line in archive.read("events.jsonl").splitlines()] == ["thing-2"]
    event = Event.objects.order_by("-sequence")[0]
    assert (event.verb, event.actor, event.after["filters"]) == (
        "audit.export",
        "auditor",
        {"verb": "thing.touch"},
    )


def test_what_one_may_read_but_not_export_is_not_exported() -> None:
    user = person("auditor", "team-a")
    Grant.objects.create(user=user, role="admin", namespaces=["*"])
    for namespace in ("team-a", "team-b"):
        note(1, key=f"of-{namespace}", namespace=namespace)
    assert matching(Filters(), user).count() == 2
    browser = Client()
    browser.force_login(user)
    page = browser.get("/audit/").content.decode()
    assert "The events that you may export (team-a), not the whole trail," in page
    assert "Export all events" not in page
    archive = zipfile.ZipFile(io.BytesIO(b"".join(ask(user).streaming_content)))
    assert [json.loads(line)["key"] for line in archive.read("events.jsonl").splitlines()] == ["of-team-a"]
    assert json.loads(archive.read("manifest.json"))["scope"] == ["team-a"]


def test_nobody_exports_without_an_event() -> None:
    note(1)
    browser = Client()
    browser.force_login(person("auditor"))
    browser.get("/audit/")
    assert_audited(lambda: browser.post("/audit/export/"))


def test_a_filter_that_cannot_be_read_exports_nothing() -> None:
    assert ask(person("auditor"), since="yesterday").status_code == 422
    assert not Event.objects.filter(verb="audit.export").exists()


def test_the_command_exports_the_whole_trail(tmp_path: Path) -> None:
    note(1)
    said = io.StringIO()
    call_command("audit", "export", "--out", str(tmp_path / "new"), stdout=said)
    (file,) = (tmp_path / "new").iterdir()
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert (manifest["count"], manifest["scope"]) == (1, ["*"])
    # What it says next works as it is.
    command = said.getvalue().splitlines()[-1]
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("WHOLE: 1 events"), done
