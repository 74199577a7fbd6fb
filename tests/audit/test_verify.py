"""Whoever tampers as the owner of the database, with all triggers off, is found out."""

from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from audit import checkpoint
from audit.canonical import START, digest
from audit.models import Event
from tests.audit.conftest import note


def verify(*options: object) -> tuple[int, str]:
    """The exit code and what was printed."""
    out = StringIO()
    try:
        call_command("audit", "verify", *map(str, options), stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


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
        "UPDATE audit_event SET sequence = sequence - 1 WHERE sequence > 4",
        "event 3: does not follow from the event before it",
    ),
    "two swapped": (
        "UPDATE audit_event SET sequence = -3 WHERE sequence = 3; UPDATE audit_event SET sequence = 3 WHERE sequence = 4;"
        "UPDATE audit_event SET sequence = 4 WHERE sequence = -3",
        "event 3:",
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
    assert verify()[0] == 0  # a shorter chain is a chain: only the checkpoint knows
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
    assert verify()[0] == 0
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
