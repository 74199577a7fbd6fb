"""The triggers by which PostgreSQL itself keeps the trail in order and refuses to change it, set anew after every schema migration.

Every insert must continue the chain: the next number, the hash before it. A row is never updated or deleted, the table
never emptied. The functions run with the caller's rights and a fixed search path.

A dump that was restored without them, or an owner who forgot to switch them on again, leaves the trail open until `migrate` runs.
"""

import logging
from typing import Any

from django.db import connections, transaction

log = logging.getLogger("holdfast.audit.triggers")

_REFUSE = """
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Record a further event that corrects it.';
END """

_CONTINUE = """
DECLARE
    last_sequence bigint;
    last_hash text;
BEGIN
    PERFORM pg_advisory_xact_lock(418581342580);
    SELECT sequence, hash INTO last_sequence, last_hash FROM audit_event ORDER BY sequence DESC LIMIT 1;
    IF NEW.sequence <> coalesce(last_sequence, 0) + 1
       OR NEW.previous_hash <> coalesce(last_hash, repeat('0', 64)) THEN
        RAISE EXCEPTION 'event % does not continue the audit trail after event %', NEW.sequence, coalesce(last_sequence, 0)
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END """

# For each function: its fixed search path, and its body.
_FUNCTIONS = {
    "audit_event_refuse": ("pg_catalog, pg_temp", _REFUSE),
    "audit_event_continue": ("pg_catalog, public, pg_temp", _CONTINUE),
}
# For each trigger: when it fires, and the function that it calls.
_TRIGGERS = {
    "audit_event_in_order": ("BEFORE INSERT", "ROW", "audit_event_continue"),
    "audit_event_no_change": ("BEFORE UPDATE OR DELETE", "ROW", "audit_event_refuse"),
    "audit_event_no_truncate": ("BEFORE TRUNCATE", "STATEMENT", "audit_event_refuse"),
}
TRIGGERS = tuple(_TRIGGERS)

# Makes what is missing, sets right what differs, and switches on what is off (PostgreSQL 14 and newer).
SET = "\n".join(
    [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = {path} AS $${body}$$;"
        for name, (path, body) in _FUNCTIONS.items()
    ]
    + [
        f"CREATE OR REPLACE TRIGGER {name} {when} ON audit_event FOR EACH {each} EXECUTE FUNCTION {function}();\n"
        f"ALTER TABLE audit_event ENABLE TRIGGER {name};"
        for name, (when, each, function) in _TRIGGERS.items()
    ]
)
DROP = "\n".join(
    [f"DROP TRIGGER {name} ON audit_event;" for name in TRIGGERS]
    + [f"DROP FUNCTION {name}();" for name in _FUNCTIONS]
)


def set_anew(using: str, **_: Any) -> None:
    """Set the triggers as they were made, where one differs; only the owner of the table can. Others change nothing.

    It looks first: the statements wait for every process that writes the trail.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT pg_has_role(current_user, relowner, 'MEMBER') FROM pg_class WHERE oid = to_regclass('audit_event')"
        )
        if cursor.fetchone() != (True,):
            return
        cursor.execute(
            "SELECT tgname, proname, prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
            " WHERE tgrelid = to_regclass('audit_event') AND tgenabled IN ('O', 'A')"
        )
        found = {trigger: (function, body) for trigger, function, body in cursor.fetchall()}
        wrong = [
            trigger
            for trigger, (_when, _each, function) in _TRIGGERS.items()
            if found.get(trigger) != (function, _FUNCTIONS[function][1])
        ]
        if wrong:
            cursor.execute(SET)
            log.warning(
                "%s of the audit trail did not guard it, and do again: verify the trail", ", ".join(wrong)
            )
