"""Reads settings from the environment, with errors that say what to do."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


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


def database(url: str) -> dict[str, object]:
    """Django's database dictionary for a `postgresql://` URL.

    A `host` query parameter names a directory with a Unix socket, as libpq has it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            "HOLDFAST_DATABASE_URL must begin with postgresql://. Holdfast runs on PostgreSQL only."
        )
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "holdfast",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(query.get("host", "")) or parts.hostname or "",
        "PORT": str(parts.port or unquote(query.get("port", ""))),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"},
    }


def numbered_patterns(name: str, default: str) -> list[tuple[str, int]]:
    """`pattern=number` pairs, comma-separated, in order: `prod-*=2,*=1`."""
    pairs = []
    for word in words(name, default):
        pattern, _, number_text = word.partition("=")
        if not number_text.isdecimal() or int(number_text) < 1:
            raise ImproperlyConfigured(f"{name}: {word!r} is not pattern=number with a number of at least 1.")
        pairs.append((pattern, int(number_text)))
    return pairs
