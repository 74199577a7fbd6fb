"""What the application's database role may do, set anew after every schema migration.

The owner of the tables migrates (HOLDFAST_DATABASE_OWNER_URL); the application connects as another role that owns
nothing. Where that role does not exist, as on a developer's machine, the triggers alone guard the trail.
"""

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql


def grant(using: str, **_: Any) -> None:
    """Let the application's role read and write all tables, but only read and append the trail."""
    connection = connections[using]
    role = settings.HOLDFAST_DATABASE_APP_ROLE
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolname <> current_user", [role])
        if cursor.fetchone() is None or "audit_event" not in connection.introspection.table_names(cursor):
            return
        for statement in _STATEMENTS:
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))


_STATEMENTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "REVOKE CREATE ON SCHEMA public FROM {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
    "REVOKE ALL ON audit_event FROM {role}",
    "REVOKE ALL ON audit_event FROM PUBLIC",
    "GRANT SELECT, INSERT ON audit_event TO {role}",
)
