"""The canonical form of an event, and its hash. The stand-alone verifier of exports repeats these few lines.

canonical form  one JSON object: the keys of `Fields` plus `form`, sorted; no spaces; UTF-8, nothing escaped but what
                JSON must; `at` as 2026-01-31T09:30:00.000000Z; `before` and `after` as JSON values.
hash            lower-case hex of SHA-256 over the canonical form.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, TypedDict

FORM = "holdfast-audit-1"
START = "0" * 64


class Fields(TypedDict):
    """What the hash of an event covers."""

    sequence: int
    at: datetime
    actor: str
    role: str
    address: str
    request_id: str
    verb: str
    kind: str
    key: str
    namespace: str
    cluster: str
    before: Any
    after: Any
    note: str
    previous_hash: str


# Made once: an encoder of its own for each of a million events costs more than their hashes.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def instant(moment: datetime) -> str:
    """UTC with microseconds, always the same width."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def canonical(fields: Fields, **more: str) -> bytes:
    """The bytes that are hashed; an export adds the hash to them by `more`."""
    return _encode({**fields, "at": instant(fields["at"]), "form": FORM, **more}).encode()


def digest(fields: Fields) -> str:
    """The hash of an event."""
    return hashlib.sha256(canonical(fields)).hexdigest()


def text(value: object) -> str:
    """`value` as text that PostgreSQL and UTF-8 can hold: no NUL, no half surrogate."""
    return str(value).encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def plain(value: Any) -> Any:
    """`value` as JSON that reads back equal from PostgreSQL's jsonb; other types become text.

    jsonb writes 1e20 as digits, so a whole float becomes an int here, before the hash is taken.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return instant(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {text(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    return text(value)


def _number(value: float) -> int | float | str:
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() else value
