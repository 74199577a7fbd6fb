"""The one door to the audit trail: `record`, inside the transaction of what it records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.http import HttpRequest

from audit import context
from audit.canonical import START, digest, plain, text
from audit.models import Event

# One lock orders all events; PostgreSQL frees it at the end of the transaction. "audit" in ASCII.
CHAIN_LOCK = 0x6175646974


class OutsideTransaction(RuntimeError):
    """`record` was called outside `transaction.atomic()`, where what it records could be saved without it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a person with the roles held at that moment, or a part of Holdfast (`system:worker`)."""

    name: str
    role: str = ""
    address: str = ""

    @classmethod
    def of(cls, who: "HttpRequest | AbstractBaseUser | AnonymousUser") -> "Actor":
        """The actor behind a request or an account."""
        from accounts.permissions import roles_of  # accounts records events too

        user = who.user if isinstance(who, HttpRequest) else who
        if user is None or not user.is_authenticated:
            return cls(name="anonymous", address=context.address.get())
        return cls(name=user.get_username(), role=",".join(roles_of(user)), address=context.address.get())  # type: ignore[arg-type]

    @classmethod
    def system(cls, part: str) -> "Actor":
        """A part of Holdfast that acts on its own, such as the worker."""
        return cls(name=f"system:{part}", role="system")


def record(
    *,
    actor: Actor,
    verb: str,
    kind: str,
    key: str,
    namespace: str = "",
    cluster: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    note: str = "",
) -> Event:
    """Append one event to the chain, in the caller's transaction.

    Every other recorder waits until that transaction ends, so change first and record last: the wait is short, and
    two transactions cannot wait for each other.
    Raises `OutsideTransaction`, and any database error: then the caller's change must not be saved either.
    """
    if not transaction.get_connection().in_atomic_block:
        raise OutsideTransaction(
            f"record({verb!r}) needs transaction.atomic() around it and the change it records."
        )
    sequence, previous_hash, at = _next_link()
    event = Event(
        sequence=sequence,
        at=at,
        actor=text(actor.name),
        role=text(actor.role),
        address=text(actor.address or context.address.get()),
        request_id=text(context.request_id.get()),
        verb=text(verb),
        kind=text(kind),
        key=text(key),
        namespace=text(namespace),
        cluster=text(cluster),
        before=plain(before),
        after=plain(after),
        note=text(note),
        previous_hash=previous_hash,
    )
    event.hash = digest(event.fields())
    event.save(force_insert=True)
    return event


def _next_link() -> tuple[int, str, datetime]:
    """The next sequence number, the hash before it, and the database's clock, with the chain locked."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
        # A statement of its own: its snapshot is taken after the lock, so it sees the last committed event.
        cursor.execute(
            "SELECT sequence, hash, clock_timestamp() FROM audit_event ORDER BY sequence DESC LIMIT 1"
        )
        row = cursor.fetchone()
        if row is not None:
            return row[0] + 1, row[1], row[2]
        cursor.execute("SELECT clock_timestamp()")
        return 1, START, cursor.fetchone()[0]
