"""Reads settings from the environment, with errors that say what to do."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo


def text(name: str, default: str | None = None) -> str:
    """The value of environment variable `name`; `ImproperlyConfigured` when it is unset and has no default."""
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set. See docs/reference/settings.md for what it means.")
    return value


def flag(name: str, default: bool = False) -> bool:
    """True for 1, true, yes, on; False for 0, false, no, off, empty."""
    value = os.environ.get(name, "1" if default else "0").strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}. Use 1 or 0.")


def number(name: str, default: int, *, minimum: int = 0) -> int:
    """A whole number of at least `minimum`."""
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or int(value) < minimum:
        raise ImproperlyConfigured(f"{name} is {value!r}. Use a whole number of at least {minimum}.")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; empty items are dropped."""
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def path(name: str, default: Path) -> Path:
    """A file system path, made absolute."""
    return Path(os.environ.get(name) or default).absolute()


# Waiting for ever for a lock, or in a forgotten transaction, would stop everybody else.
_TIMEOUTS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"


def database(url: str, name: str = "HOLDFAST_DATABASE_URL") -> dict[str, object]:
    """Django's database dictionary for the `postgresql://` URL of variable `name`, read by libpq itself: what it means to psql, it means here.

    Every parameter of libpq counts (sslmode, sslrootcert, target_session_attrs ...); none is ignored.
    """
    found = _of_libpq(url, name)
    options = {key: value for key, value in found.items() if key not in _OF_DJANGO}
    options["options"] = f"{_TIMEOUTS} {found['options']}" if found.get("options") else _TIMEOUTS
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": found.get("dbname") or ("" if "service" in found else "holdfast"),
        "USER": found.get("user", ""),
        "PASSWORD": found.get("password", ""),
        "HOST": found.get("host", ""),
        "PORT": found.get("port", ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


_OF_DJANGO = {"dbname", "user", "password", "host", "port"}
_UNREADABLE = (
    "cannot be read. It is postgresql://USER:PASSWORD@HOST:PORT/NAME?PARAMETER=VALUE,"
    " where in a user, password or value every character but letters, digits and -._~ is written as %XX (@ is %40)."
)


def _of_libpq(url: str, name: str) -> dict[str, str]:
    """The parameters in the URL. The errors name no part of it that may be a password."""
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured(f"{name} must begin with postgresql://. Holdfast runs on PostgreSQL only.")
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except (ProgrammingError, UnicodeDecodeError):
        known = {each.keyword.decode() for each in Conninfo.get_defaults()}
        # After the last @, since a password may hold a question mark.
        for pair in url.rpartition("@")[2].partition("?")[2].split("&"):
            key = pair.partition("=")[0]
            if key.isidentifier() and key not in known:
                raise ImproperlyConfigured(
                    f"{name} has the parameter {key!r}, which this PostgreSQL client (libpq) does not know."
                    " Correct its name, or remove it."
                ) from None
        raise ImproperlyConfigured(f"{name} {_UNREADABLE}") from None
    # A password with an @ or a / ends up in the name of the host or of the database.
    if "@" in found.get("host", "") or not set(found.get("port", "")) <= set("0123456789,"):
        raise ImproperlyConfigured(f"{name} {_UNREADABLE}")
    return found


def numbered_patterns(name: str, default: str) -> list[tuple[str, int]]:
    """`pattern=number` pairs, comma-separated, in order: `prod-*=2,*=1`."""
    pairs = []
    for word in words(name, default):
        pattern, _, number_text = word.partition("=")
        if not number_text.isdecimal() or int(number_text) < 1:
            raise ImproperlyConfigured(f"{name}: {word!r} is not pattern=number with a number of at least 1.")
        pairs.append((pattern, int(number_text)))
    return pairs
