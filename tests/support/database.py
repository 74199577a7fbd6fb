"""Empties the database between tests that commit: only the tables that have rows, which is several times quicker than Django's flush.

What schema migrations leave (content types, permissions) stays. PostgreSQL refuses to empty the audit trail; between tests
alone, the owner of its table switches those triggers off.
"""

from django.db import IntegrityError, OperationalError, connections, transaction
from django.test import TransactionTestCase

from tests.support.waiting import until

_APPEND_ONLY = {"audit_event"}
_STAYS = {"django_migrations", "django_content_type", "auth_permission"}


def empty_quickly() -> None:
    """Makes every test with `transaction=True` end that way."""
    TransactionTestCase._fixture_teardown = _empty_all  # type: ignore[method-assign]


def _empty_all(case: TransactionTestCase) -> None:
    for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        # A Celery worker may end a tick just then, and add a row to what is being emptied.
        until(lambda alias=alias: _emptied(alias), timeout_s=20, what="an empty database", every_s=0.2)  # type: ignore[misc]


def _emptied(alias: str) -> bool:
    try:
        _empty(alias)
    except (IntegrityError, OperationalError):
        return False
    return True


def _empty(alias: str) -> None:
    connection = connections[alias]
    quote = connection.ops.quote_name
    tables = [name for name in connection.introspection.table_names() if name not in _STAYS]
    # Foreign keys are deferred to the end of the transaction, so the order does not matter.
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quote(name)})"  # noqa: S608 - names from the catalogue
                for name in tables
            )
        )
        for (name,) in cursor.fetchall():
            guarded = name in _APPEND_ONLY
            if guarded:
                cursor.execute(f"ALTER TABLE {quote(name)} DISABLE TRIGGER USER")
            cursor.execute(f"DELETE FROM {quote(name)}")  # noqa: S608 - names from the catalogue
            if guarded:
                cursor.execute(f"ALTER TABLE {quote(name)} ENABLE TRIGGER USER")
