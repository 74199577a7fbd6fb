"""Events, and connections of the application's role and of the owner beside Django's own."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connection, transaction

from audit.models import Event
from audit.trail import Actor, record
from embedded.postgres import APP, OWNER
from tests.support import services

Connect = Callable[[str], psycopg.Connection]


def note(number: int = 0, **fields: object) -> Event:
    """One event in a transaction of its own."""
    given = {
        "verb": "thing.touch",
        "kind": "thing",
        "key": f"thing-{number}",
        "after": {"number": number},
        **fields,
    }
    actor = given.pop("actor", Actor("operator", "operator"))
    with transaction.atomic():
        return record(actor=actor, **given)  # type: ignore[arg-type]


@pytest.fixture
def connect(transactional_db: None) -> Iterator[Connect]:
    """Connects to the test's database as the role named."""
    opened: list[psycopg.Connection] = []

    def to(role: str) -> psycopg.Connection:
        url = services.postgres(services.ensure()).url(role, connection.settings_dict["NAME"])
        opened.append(psycopg.connect(url, autocommit=True))
        return opened[-1]

    yield to
    for each in opened:
        each.close()


@pytest.fixture
def app(connect: Connect) -> psycopg.Connection:
    return connect(APP)


@pytest.fixture
def vandal(connect: Connect) -> Iterator[psycopg.Connection]:
    """The owner of the tables, who has switched all triggers off."""
    owner = connect(OWNER)
    owner.execute("ALTER TABLE audit_event DISABLE TRIGGER USER")
    yield owner
    owner.execute("ALTER TABLE audit_event ENABLE TRIGGER USER")
