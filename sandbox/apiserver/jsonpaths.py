"""The JSONPath of printer columns: .a.b, .a['b/c'], .a[0], .a[?(@.type=="Ready")].status."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_$][\w\-]*(?:\\\.[\w\-./]*)*)
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[['"](?P<key>[^'"]+)['"]\]
      | \[\?\(@\.(?P<field>[\w.]+)\s*==\s*['"](?P<value>[^'"]*)['"]\)\]""",
    re.VERBOSE,
)


@lru_cache(maxsize=500)
def _steps(path: str) -> tuple[tuple[str, str, str], ...]:
    text = path.strip("{}")
    text = text if text.startswith((".", "[")) else f".{text}"
    found = []
    for match in _STEP.finditer(text):
        kind = match.lastgroup or ""
        if kind == "value":
            found.append(("filter", match["field"], match["value"]))
        else:
            found.append((kind, match[kind].replace("\\.", "."), ""))
    return tuple(found)


def first(item: Any, path: str) -> Any:
    """The first value at a path; None when there is none."""
    values = [item]
    for kind, text, wanted in _steps(path):
        values = [inner for value in values for inner in _step(value, kind, text, wanted)]
    return values[0] if values else None


def _step(value: Any, kind: str, text: str, wanted: str) -> list[Any]:
    if kind in ("name", "key"):
        return [value[text]] if isinstance(value, dict) and value.get(text) is not None else []
    if not isinstance(value, list):
        return []
    if kind == "all":
        return value
    if kind == "index":
        position = int(text)
        return [value[position]] if -len(value) <= position < len(value) else []
    return [one for one in value if str(first(one, text)) == wanted]
