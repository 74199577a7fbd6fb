"""Whether PostgreSQL still guards the trail: its triggers are on, and who asks could not switch them off."""

from django.db import connection

from audit.triggers import TRIGGERS


def open_doors() -> list[str]:
    """A sentence for each guard that is missing, as the connected role finds it. None of them breaks the chain."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit_event'::regclass AND tgenabled IN ('O', 'A')"
        )
        on = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT current_user, pg_has_role(current_user, relowner, 'MEMBER'),"
            " has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE') FROM pg_class WHERE oid = 'audit_event'::regclass"
        )
        role, owns, may_change = cursor.fetchone()
    found = [
        f"The trigger {name} is off or gone: PostgreSQL does not refuse everything."
        for name in TRIGGERS
        if name not in on
    ]
    if owns or may_change:
        found.append(
            f"The role {role}, as which this runs, could switch the guards of the trail off."
            " Give the web and the workers a role that owns nothing (docs/reference/audit.md)."
        )
    return found
