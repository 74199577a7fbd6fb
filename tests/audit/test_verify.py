"""Whoever tampers as the owner of the database, with all triggers off, is found out."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings
from pytest_django.fixtures import Settings

from audit import chain, checkpoint, guards, triggers
from audit.canonical import START, digest
from audit.models import Event
from tests.audit.conftest import note
from worker import ticks
from worker.app import app as app_of_the_worker


def verify(*options: object) -> tuple[int, str]:
    """The exit code and what was printed."""
    out = StringIO()
    try:
        call_command("audit", "verify", *map(str, options), stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def verify_alone() -> int:
    """The exit code without any checkpoint."""
    with override_settings(HOLDFAST_AUDIT_CHECKPOINT_FILE=""):
        return verify()[0]


@pytest.fixture
def trail(vandal: psycopg.Connection) -> list[Event]:
    """Seven events, in a database whose owner means ill."""
    vandal.execute("ALTER TABLE audit_event ENABLE TRIGGER USER")
    events = [
        note(number, before={"number": number - 1}, namespace="team-a", note="n") for number in range(1, 8)
    ]
    vandal.execute("ALTER TABLE audit_event DISABLE TRIGGER USER")
    return events


@pytest.fixture
def keys(tmp_path: Path, settings: Settings) -> tuple[str, ...]:
    """The options that check signed checkpoints."""
    key = Ed25519PrivateKey.generate()
    private, public, file = (tmp_path / name for name in ("key.pem", "public.pem", "checkpoints.jsonl"))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings.HOLDFAST_AUDIT_KEY_FILE, settings.HOLDFAST_AUDIT_CHECKPOINT_FILE = str(private), str(file)
    return "--checkpoints", str(file), "--public-key", str(public)


def test_it_calls_a_whole_trail_whole(trail: list[Event], keys: tuple[str, ...]) -> None:
    checkpoint.write()
    code, said = verify(*keys)
    assert code == 0
    assert "WHOLE: 7 events, 1 checkpoints" in said
    assert trail[-1].hash in said


FIELDS = {
    "at": "at + interval '1 microsecond'", "actor": "'viewer'", "role": "'admin'", "address": "'10.0.0.1'", "request_id": "'x'",
    "verb": "'thing.leave'", "kind": "'other'", "key": "'thing-5'", "namespace": "'team-b'", "cluster": "'other'",
    "before": "'{\"number\": 9}'", "after": "null", "note": "'N'", "hash": "repeat('a', 64)", "previous_hash": "repeat('b', 64)",
}  # fmt: skip


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_it_finds_a_change_of_any_field(vandal: psycopg.Connection, trail: list[Event], field: str) -> None:
    assert set(FIELDS) == {f.attname for f in Event._meta.concrete_fields} - {"sequence"}
    vandal.execute(f"UPDATE audit_event SET {field} = {FIELDS[field]} WHERE sequence = 4")  # noqa: S608
    code, said = verify()
    assert code == 1
    assert "event 4:" in said


TAMPERINGS = {
    "one gone": ("DELETE FROM audit_event WHERE sequence = 3", "event 4: event 3 is missing before it"),
    "several gone": (
        "DELETE FROM audit_event WHERE sequence IN (3, 4)",
        "event 5: events 3 to 4 are missing before it",
    ),
    "beginning gone": (
        "DELETE FROM audit_event WHERE sequence < 3",
        "event 3: events 1 to 2 are missing before it",
    ),
    "gone and renumbered": (
        "DELETE FROM audit_event WHERE sequence = 3; UPDATE audit_event SET sequence = 3 WHERE sequence = 4;"
        "UPDATE audit_event SET sequence = -sequence WHERE sequence > 4;"
        "UPDATE audit_event SET sequence = -sequence - 1 WHERE sequence < 0",
        "event 3: does not follow from the event before it",
    ),
    "two swapped": (
        "UPDATE audit_event SET sequence = -3 WHERE sequence = 3; UPDATE audit_event SET sequence = 3 WHERE sequence = 4;"
        "UPDATE audit_event SET sequence = 4 WHERE sequence = -3",
        "event 3:",
    ),
    "numbered from nought": (
        # In two steps: the numbers are unique at every moment, in whatever order the rows are met.
        "UPDATE audit_event SET sequence = -sequence; UPDATE audit_event SET sequence = -sequence - 1",
        "event 0: is there twice, or has a number that no event can have: 1 comes next",
    ),
    "one slipped in": (
        "UPDATE audit_event SET sequence = sequence + 100 WHERE sequence > 3;"
        "INSERT INTO audit_event SELECT 4, at, actor, role, address, request_id, verb, kind, key, namespace, cluster, before, after,"
        " 'forged', hash, repeat('c', 64) FROM audit_event WHERE sequence = 3",
        "event 4: its content does not fit its hash",
    ),
}


@pytest.mark.parametrize("name", sorted(TAMPERINGS))
def test_it_finds_gaps_and_new_orders_and_says_where(
    vandal: psycopg.Connection, trail: list[Event], name: str
) -> None:
    statements, expected = TAMPERINGS[name]
    for statement in statements.split(";"):
        vandal.execute(statement)
    code, said = verify()
    assert code == 1
    assert expected in said


@pytest.mark.parametrize("keep", [0, 4, 6])
def test_it_finds_a_cut_off_end_by_a_checkpoint(
    vandal: psycopg.Connection, trail: list[Event], keys: tuple[str, ...], keep: int
) -> None:
    checkpoint.write()
    vandal.execute("DELETE FROM audit_event WHERE sequence > %s", [keep])
    assert verify_alone() == 0  # a shorter chain is a chain: only the checkpoint knows
    code, said = verify(*keys)
    assert code == 1
    assert f"cut off after event {keep}" in said


def rewrite(owner: psycopg.Connection, *, start: int) -> None:
    """What a careful forger does: change one event and hash everything after it anew."""
    previous = START
    for event in Event.objects.order_by("sequence"):
        if event.sequence == start:
            event.actor = "somebody else"
        event.previous_hash = previous
        event.hash = previous = digest(event.fields())
        values: list[Any] = [event.actor, event.previous_hash, event.hash, event.sequence]
        owner.execute(
            "UPDATE audit_event SET actor = %s, previous_hash = %s, hash = %s WHERE sequence = %s", values
        )


def test_it_finds_a_chain_written_anew_by_a_checkpoint(
    vandal: psycopg.Connection, trail: list[Event], keys: tuple[str, ...]
) -> None:
    checkpoint.write()
    rewrite(vandal, start=2)
    assert verify_alone() == 0
    code, said = verify(*keys)
    assert code == 1
    assert "event 7: differs from the signed checkpoint" in said


def test_it_finds_a_rewriting_that_later_checkpoints_cover(
    vandal: psycopg.Connection, trail: list[Event], keys: tuple[str, ...]
) -> None:
    checkpoint.write()
    rewrite(vandal, start=2)
    checkpoint.write()
    code, said = verify(*keys)
    assert code == 1
    assert "two signed checkpoints disagree" in said


def test_it_finds_a_forged_checkpoint(trail: list[Event], keys: tuple[str, ...]) -> None:
    checkpoint.write()
    file = Path(keys[1])
    file.write_text(file.read_text().replace(trail[-1].hash, trail[-2].hash))
    code, said = verify(*keys)
    assert code == 1
    assert "checkpoint line 1 is damaged or not signed by this key" in said


@pytest.mark.django_db
def test_it_says_what_is_wrong_with_a_key(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(CommandError, match="go together"):
        verify("--checkpoints", tmp_path / "none")
    (tmp_path / "none").touch()
    with pytest.raises(CommandError, match="is not a readable public key"):
        verify("--checkpoints", tmp_path / "none", "--public-key", tmp_path / "no-key")
    settings.HOLDFAST_AUDIT_KEY_FILE = str(tmp_path / "no-key")
    with pytest.raises(checkpoint.KeyProblem, match="openssl genpkey -algorithm ed25519"):
        checkpoint.write()
    settings.HOLDFAST_AUDIT_KEY_FILE = ""
    assert checkpoint.write() is None


def test_it_finds_an_event_that_is_there_twice(vandal: psycopg.Connection, trail: list[Event]) -> None:
    """The owner can drop the primary key, too; here in a transaction that is taken back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE audit_event DROP CONSTRAINT audit_event_pkey")
            cursor.execute("INSERT INTO audit_event SELECT * FROM audit_event WHERE sequence = 4")
        found = chain.verify(chain.all_events()).problems
        transaction.set_rollback(True)
    assert [str(problem) for problem in found] == [
        "event 4: is there twice, or has a number that no event can have: 5 comes next"
    ]


def test_it_compares_with_the_checkpoints_of_this_installation_unless_told_otherwise(
    vandal: psycopg.Connection, trail: list[Event], keys: tuple[str, ...]
) -> None:
    checkpoint.write()
    assert "1 checkpoints" in verify()[1]
    vandal.execute("DELETE FROM audit_event WHERE sequence > 5")
    code, said = verify()
    assert (code, "cut off after event 5" in said) == (1, True)
    Path(keys[1]).unlink()
    with pytest.raises(
        CommandError
    ):  # a file that should be there and is not is no reason to call anything whole
        verify()


def test_it_says_which_guards_are_off(vandal: psycopg.Connection, trail: list[Event]) -> None:
    said = verify()[1]
    for trigger in triggers.TRIGGERS:
        assert f"WARNING: The trigger {trigger} is off" in said
    vandal.execute("ALTER TABLE audit_event ENABLE TRIGGER USER")
    code, said = verify()
    assert (code, "is off" in said, "could switch the guards of the trail off" in said) == (0, False, True)


def test_the_applications_role_finds_no_guard_off(app: psycopg.Connection) -> None:
    with guards_as(app):
        assert guards.open_doors() == []


@contextmanager
def guards_as(role: psycopg.Connection) -> Iterator[None]:
    """`audit.guards` asks through `role`."""
    with mock.patch.object(guards, "connection", role):
        yield


def test_the_worker_signs_on_a_schedule_into_a_file_and_the_log(
    trail: list[Event], keys: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    planned = [
        each
        for each in app_of_the_worker.conf.beat_schedule.values()
        if each["task"] == ticks.checkpoint.name
    ]
    assert [each["schedule"] for each in planned] == [600.0]
    assert logging.getLogger("holdfast.audit.checkpoint").isEnabledFor(logging.INFO), (
        "nobody would see the line"
    )
    ticks.checkpoint()
    (line,) = Path(keys[1]).read_text().splitlines()
    assert f"audit checkpoint {line}" in caplog.text
    head = Event.objects.latest("sequence")
    assert (json.loads(line)["sequence"], json.loads(line)["hash"]) == (head.sequence, head.hash)
    Path(keys[1]).write_text(
        f"2026-11-26 10:00:00,123 INFO holdfast.audit.checkpoint [-] audit checkpoint {line}\n"
    )
    assert "1 checkpoints" in verify(*keys)[1]


INTERVAL = "from worker.app import app; print(app.conf.beat_schedule['audit checkpoint']['schedule'])"


def test_the_schedule_is_a_setting() -> None:
    environment = {**os.environ, "HOLDFAST_AUDIT_CHECKPOINT_MINUTES": "3"}
    done = subprocess.run(
        [sys.executable, "-c", INTERVAL], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "180.0", done.stderr
