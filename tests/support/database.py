"""Keeps the append-only tables emptiable between tests."""

from collections.abc import Sequence

from django.db import connections
from django.db.backends.postgresql.operations import DatabaseOperations

_APPEND_ONLY = ["audit_event"]
_flush = DatabaseOperations.execute_sql_flush


def allow_flush_of_append_only_tables() -> None:
    """Between tests alone, the owner of the tables switches off the triggers that refuse to empty them."""
    DatabaseOperations.execute_sql_flush = _flush_everything  # type: ignore[method-assign]


def _flush_everything(self: DatabaseOperations, sql_list: Sequence[str]) -> None:
    present = set(connections[self.connection.alias].introspection.table_names())
    tables = [self.quote_name(name) for name in _APPEND_ONLY if name in present]
    off = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables]
    on = [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in tables]
    _flush(self, [*off, *sql_list, *on])
