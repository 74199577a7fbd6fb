"""Small values: durations as Go writes them, times, nested look-ups."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")


def seconds(text: str | None, default_s: float) -> float:
    """'1m30s' is 90.0. The default when there is no text; ValueError when it is no duration."""
    if not text:
        return default_s
    if _PART.sub("", text):
        raise ValueError(f"not a duration: {text!r}")
    return sum(float(amount) * _UNIT_S[unit] for amount, unit in _PART.findall(text))


def duration(value_s: float) -> str:
    """90.0 is '1m30s': how Flux prints a duration in its messages."""
    minutes, rest_s = divmod(value_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{rest_s:g}s"


def now() -> str:
    """The current time as the API writes it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dig(item: Any, *path: str, default: Any = None) -> Any:
    """item[path[0]][path[1]]...; the default where a part is missing or null."""
    for part in path:
        if not isinstance(item, dict) or item.get(part) is None:
            return default
        item = item[part]
    return item
