"""Triggers that a restored database came without, or that somebody left off, are set anew by `migrate`."""

from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections

from audit import guards, triggers
from audit.models import Event
from embedded.postgres import APP, OWNER
from tests.audit.conftest import Connect, note
from tests.audit.test_append_only import CHANGES
from tests.support import services

OFF = [
    triggers.DROP,
    "ALTER TABLE audit_event DISABLE TRIGGER USER",
    "ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change",
    "ALTER TABLE audit_event ENABLE REPLICA TRIGGER audit_event_in_order",
    "DROP TRIGGER audit_event_no_change ON audit_event",
    "CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "CREATE OR REPLACE TRIGGER audit_event_no_change BEFORE UPDATE ON audit_event FOR EACH ROW"
    " EXECUTE FUNCTION audit_event_continue()",
]


@pytest.fixture
def owner(connect: Connect) -> Iterator[psycopg.Connection]:
    """The owner of the trail, whose damage no other test meets."""
    found = connect(OWNER)
    yield found
    found.execute(triggers.SET)


def migrate() -> None:
    call_command("migrate", verbosity=0, stdout=StringIO())


def changes_refused(owner: psycopg.Connection) -> list[bool]:
    refused = []
    for statement in (*CHANGES, "INSERT INTO audit_event SELECT * FROM audit_event"):
        try:
            owner.execute(statement)
        except psycopg.Error as error:
            # Not the primary key alone: the trigger speaks before it.
            refused.append("append-only" in str(error) or "does not continue" in str(error))
        else:
            refused.append(False)
    return refused


@pytest.mark.parametrize("damage", OFF)
def test_migrate_sets_the_guards_anew(owner: psycopg.Connection, damage: str) -> None:
    note(1)
    owner.execute(damage)
    migrate()
    assert not [each for each in guards.open_doors() if "trigger" in each]
    assert changes_refused(owner) == [True] * 4
    assert Event.objects.get().note == ""
    note(2)


def test_a_guard_that_was_off_is_named_in_the_log(
    owner: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    owner.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change")
    migrate()
    assert [each.getMessage() for each in caplog.records if each.name == triggers.log.name] == [
        "audit_event_no_change of the audit trail did not guard it, and do again: verify the trail"
    ]


def test_guards_that_are_on_are_left_alone(owner: psycopg.Connection) -> None:
    """Setting them would wait for everybody who writes the trail."""
    versions = "SELECT array_agg(xmin::text || ctid::text ORDER BY oid) FROM pg_trigger WHERE tgrelid = 'audit_event'::regclass"
    before = owner.execute(versions).fetchone()
    owner.execute("BEGIN; LOCK TABLE audit_event IN ROW EXCLUSIVE MODE")
    try:
        triggers.set_anew("default")
    finally:
        owner.execute("ROLLBACK")
    assert owner.execute(versions).fetchone() == before


@pytest.fixture
def as_application(owner: psycopg.Connection) -> Iterator[str]:
    """A database of Django's that is the same one, as the application's role."""
    other = connection.copy("application")  # type: ignore[no-untyped-call]
    place = services.postgres(services.ensure())
    other.settings_dict = {**connection.settings_dict, "USER": APP, "PASSWORD": place.password(APP)}
    connections["application"] = other
    yield "application"
    other.close()
    del connections["application"]


def test_the_applications_role_leaves_the_guards_as_it_finds_them(
    owner: psycopg.Connection, as_application: str
) -> None:
    owner.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change")
    triggers.set_anew(as_application)
    assert len([each for each in guards.open_doors() if "trigger" in each]) == 1
