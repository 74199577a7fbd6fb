"""PostgreSQL itself refuses to change the trail."""

import psycopg
import pytest

from audit.models import Event
from embedded.postgres import OWNER
from tests.audit.conftest import Connect, note

CHANGES = [
    "UPDATE audit_event SET note = 'nothing happened'",
    "DELETE FROM audit_event WHERE sequence = 1",
    "TRUNCATE audit_event",
]
POWERS = [
    "DROP TABLE audit_event",
    "ALTER TABLE audit_event DISABLE TRIGGER USER",
    "DROP TRIGGER audit_event_no_change ON audit_event",
    "CREATE TRIGGER mine BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_refuse()",
    "CREATE RULE mine AS ON INSERT TO audit_event DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "ALTER TABLE audit_event OWNER TO holdfast_app",
    "SET session_replication_role = replica",
    "GRANT UPDATE ON audit_event TO holdfast_app",
    "SET ROLE holdfast_owner",
    "CREATE TABLE public.mine (a int)",
    "DELETE FROM django_migrations",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_not_even_the_owner_changes_it_while_the_triggers_are_on(connect: Connect, statement: str) -> None:
    note(1)
    with pytest.raises(psycopg.Error, match="append-only"):
        connect(OWNER).execute(statement)
    assert Event.objects.get().note == ""


@pytest.mark.parametrize("statement", [*CHANGES, *POWERS])
def test_the_applications_role_may_not(app: psycopg.Connection, statement: str) -> None:
    note(1)
    if statement.startswith("GRANT"):
        app.execute(statement)  # PostgreSQL only warns
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(CHANGES[0])
    else:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)
    assert Event.objects.get().note == ""


def test_the_applications_role_can_record_and_read(app: psycopg.Connection) -> None:
    first = note(1)
    app.execute(
        "INSERT INTO audit_event SELECT sequence + 1, at, actor, role, address, request_id, verb, kind, key, namespace, cluster,"
        " before, after, note, hash, repeat('e', 64) FROM audit_event"
    )
    assert app.execute("SELECT previous_hash FROM audit_event WHERE sequence = 2").fetchone() == (first.hash,)
