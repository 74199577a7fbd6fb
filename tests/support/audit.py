"""Proves that nothing happens without its event."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection

_DOWN = """
CREATE FUNCTION audit_is_down() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit trail is down, by order of a test'; END $$;
CREATE TRIGGER audit_is_down BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_is_down();
"""


@contextmanager
def audit_down() -> Iterator[None]:
    """Inside, PostgreSQL refuses every new event."""
    with connection.cursor() as cursor:
        cursor.execute(_DOWN)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER audit_is_down ON audit_event; DROP FUNCTION audit_is_down()")


def everything() -> dict[str, str | None]:
    """A digest of the content of each table but the trail itself."""
    with connection.cursor() as cursor:
        tables = sorted(set(connection.introspection.table_names(cursor)) - {"audit_event"})
        found = {}
        for table in tables:
            name = connection.ops.quote_name(table)
            cursor.execute(f"SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {name} AS t")  # noqa: S608
            found[table] = cursor.fetchone()[0]
    return found


def assert_audited(action: Callable[[], object]) -> None:
    """`action` fails while its event cannot be written, and leaves every table as it was."""
    before = everything()
    with audit_down(), pytest.raises(DatabaseError, match="the audit trail is down"):
        action()
    after = everything()
    changed = [table for table in before if before[table] != after.get(table)]
    assert not changed, f"changed without an event: {', '.join(changed)}"
