"""HOLDFAST_DATABASE_URL means what it means to psql: nothing of it is dropped without a word."""

import socket
import threading
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper

from config.env import database

TIMEOUTS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"


def parts(url: str) -> dict[str, object]:
    found = database(url)
    return {name: found[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")}


def expected(**changes: object) -> dict[str, object]:
    nothing = {"NAME": "holdfast", "USER": "", "PASSWORD": "", "HOST": "", "PORT": ""}
    return {**nothing, "OPTIONS": {"options": TIMEOUTS}, **changes}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql:///holdfast", {}),
        ("postgres://", {}),
        (
            "postgresql://a%40b:p%2Fw@db.example:5433/other",
            {"NAME": "other", "USER": "a@b", "PASSWORD": "p/w", "HOST": "db.example", "PORT": "5433"},
        ),
        ("postgresql://u@/n?host=/run/pg&port=5433", {"NAME": "n", "USER": "u", "HOST": "/run/pg", "PORT": "5433"}),
        ("postgresql://[::1]/holdfast", {"HOST": "::1"}),
        ("postgresql:///?user=u&password=p&dbname=n", {"NAME": "n", "USER": "u", "PASSWORD": "p"}),
        ("postgresql://one:1,two:2/holdfast", {"HOST": "one,two", "PORT": "1,2"}),
        ("postgresql://u:p?w&x@h/holdfast?sslmode=disable", {"USER": "u", "PASSWORD": "p?w&x", "HOST": "h", "OPTIONS": {"sslmode": "disable", "options": TIMEOUTS}}),
        ("postgresql:///?service=ours", {"NAME": "", "OPTIONS": {"service": "ours", "options": TIMEOUTS}}),
    ],
)  # fmt: skip
def test_where_and_as_whom(url: str, found: dict[str, object]) -> None:
    assert parts(url) == expected(**found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sslmode", "verify-full"),
        ("sslrootcert", "/etc/pg/ca.crt"),
        ("sslcert", "/etc/pg/tls.crt"),
        ("sslkey", "/etc/pg/tls.key"),
        ("target_session_attrs", "read-write"),
        ("connect_timeout", "5"),
        ("application_name", "holdfast"),
        ("keepalives_idle", "30"),
        ("channel_binding", "require"),
        ("gssencmode", "disable"),
    ],
)
def test_a_parameter_of_libpq_reaches_the_connection(name: str, value: str) -> None:
    assert parts(f"postgresql://db.example/holdfast?{name}={value}") == expected(
        HOST="db.example", OPTIONS={name: value, "options": TIMEOUTS}
    )


def test_options_of_the_session_stand_after_those_of_holdfast() -> None:
    options = database("postgresql:///holdfast?options=-c%20statement_timeout%3D5min")["OPTIONS"]
    assert options == {"options": f"{TIMEOUTS} -c statement_timeout=5min"}


@pytest.mark.parametrize("name", ["sslmod", "SSLMODE", "pool", "assume_role", "isolation_level", "ssl_mode"])
def test_what_libpq_does_not_know_is_refused_by_name(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"the parameter '{name}'"):
        database(f"postgresql://u:hidden@db.example/holdfast?connect_timeout=5&{name}=x")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hid@den@db.example/holdfast",
        "postgresql://u:hid/den@db.example/holdfast",
        "postgresql://u:hid%den@db.example/holdfast",
        "postgresql://u:hid%?hid&den@db.example/holdfast?hid%",
        "postgresql://db.example:port/holdfast",
        "postgresql://db.example/holdfast?sslmode",
        "postgresql://[::1/holdfast",
        "mysql://u:hidden@db.example/holdfast",
    ],
)
def test_an_unreadable_url_is_refused_and_shows_no_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_DATABASE_URL") as caught:
        database(url)
    for part in ("hidden", "hid", "den@"):
        assert part not in str(caught.value)


def connect(url: str) -> Any:
    """A connection as Django makes it."""
    wrapper = DatabaseWrapper({**connection.settings_dict, **database(url)}, alias="other")
    return wrapper.get_new_connection(wrapper.get_connection_params())


@pytest.mark.django_db
def test_a_real_connection_has_the_parameters_and_the_timeouts() -> None:
    found = connection.settings_dict
    user, password = quote(found["USER"], safe=""), quote(found["PASSWORD"], safe="")
    url = f"postgresql://{user}:{password}@/{found['NAME']}?host={quote(found['HOST'], safe='')}&port={found['PORT']}"
    with connect(f"{url}&application_name=asked&options=-c%20statement_timeout%3D5min") as made:
        rows = made.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [[*_SHOWN]]
        ).fetchall()
    assert dict(rows) == _SHOWN


_SHOWN = {"application_name": "asked", "lock_timeout": "10000", "statement_timeout": "300000"}


def test_no_password_goes_to_a_server_without_tls_where_tls_is_asked_for() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse_tls() -> None:
            with server.accept()[0] as peer:
                heard.append(peer.recv(1024))
                peer.sendall(b"N")
                heard.append(peer.recv(1024))

        thread = threading.Thread(target=refuse_tls, daemon=True)
        thread.start()
        url = f"postgresql://u:hidden@127.0.0.1:{server.getsockname()[1]}/n?connect_timeout=5&gssencmode=disable"
        with pytest.raises(psycopg.OperationalError, match="server does not support SSL"):
            connect(f"{url}&sslmode=require")
        thread.join(timeout=10)
    assert [len(each) for each in heard] == [8, 0], "the question for TLS, and the end"
