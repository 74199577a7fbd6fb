"""Settings come from the environment, where nobody signs for them. When those that decide who may do what differ from what the
trail knows, an event says so, before and after."""

import logging
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from audit.canonical import plain
from audit.models import Event
from audit.trail import Actor, record

log = logging.getLogger("holdfast.audit.settings")

# The parts of this process whose settings are still to be recorded.
_owed: list[str] = []

VERB, KIND = "settings.change", "settings"
NAMES = (
    "AXES_FAILURE_LIMIT",
    "DEBUG",
    "HOLDFAST_APPROVALS",
    "HOLDFAST_AUDIT_CHECKPOINT_FILE",
    "HOLDFAST_AUDIT_CHECKPOINT_MINUTES",
    "HOLDFAST_AUDIT_KEY_FILE",
    "HOLDFAST_BREAK_GLASS",
    "HOLDFAST_DEMO",
    "HOLDFAST_GROUP_ROLES",
    "HOLDFAST_LOCKOUT_MINUTES",
    "HOLDFAST_OIDC_CLIENT_ID",
    "HOLDFAST_OIDC_GROUPS_CLAIM",
    "HOLDFAST_OIDC_ISSUER",
    "HOLDFAST_OIDC_USERNAME_CLAIM",
    "HOLDFAST_PROXY_ADDRESSES",
    "HOLDFAST_PROXY_GROUPS_HEADER",
    "HOLDFAST_PROXY_USER_HEADER",
    "HOLDFAST_SESSION_HOURS",
    "HOLDFAST_SESSION_IDLE_MINUTES",
    "HOLDFAST_SIGN_OFF_HOURS",
    "HOLDFAST_STARTER_MAY_NOT_APPROVE",
    "HOLDFAST_TESTER_MAY_NOT_APPROVE",
    "HOLDFAST_TLS",
    "HOLDFAST_TRUSTED_PROXIES",
)


def note(part: str) -> bool:
    """Record the settings of `part` (web, worker) if they are not those that the trail had last; True when they were not."""
    now: dict[str, Any] = plain({name: getattr(settings, name) for name in NAMES})
    with transaction.atomic():
        last = Event.objects.filter(kind=KIND, key=part, verb=VERB).order_by("-sequence").first()
        known = last.after if last else None
        if known == now:
            return False
        record(
            actor=Actor.system(part),
            verb=VERB,
            kind=KIND,
            key=part,
            before=known and {name: value for name, value in known.items() if now.get(name) != value},
            after=now,
        )
    return True


def note_at_start(part: str) -> None:
    """The same as a process starts: without a database it starts all the same, says so in the log, and owes it."""
    try:
        note(part)
    except DatabaseError as error:
        log.warning("the settings of %s could not be recorded: %s", part, error)
        _owed.append(part)
    finally:
        connection.close()  # processes that are forked from here on must not share it


def note_owed() -> None:
    """Record what a start could not. The health check calls it when the database answers: an outage must hide no change."""
    parts, _owed[:] = _owed[:], []
    for part in parts:
        try:
            note(part)
        except DatabaseError as error:
            log.warning("the settings of %s could still not be recorded: %s", part, error)
            _owed.append(part)
