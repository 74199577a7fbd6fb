"""Lines of a mover's log as people read them. The download has them as they were printed."""

import json
from typing import Any

from dashboard.templatetags.holdfast import count, rate, size

# What the mover calls its phases, in the words of the pages.
PHASES = {
    "scan": "scanning",
    "copy": "copying",
    "write-back": "writing to the disk",
    "verify": "comparing",
    "verify-destination": "reading the copy back",
    "digest": "hashing",
}


def phase(name: str) -> str:
    return PHASES.get(name, name)


def sentence(text: str) -> str:
    """A line of JSON in words; any other line as it is."""
    said = _parsed(text)
    try:
        if said.get("t") == "progress":
            return _progress(said)
        if said.get("t") == "result":
            return _result(said)
    except (TypeError, ValueError, AttributeError):
        pass
    return text


def _parsed(text: str) -> dict[str, Any]:
    if not text.startswith('{"t":'):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _of(done: str, total: str) -> str:
    return done if total == "–" else f"{done} of {total}"


def _progress(said: dict[str, Any]) -> str:
    parts = [
        _of(size(said.get("bytes")), size(said.get("bytes_total"))),
        _of(count(said.get("files")), count(said.get("files_total"))) + " files",
    ]
    if said.get("rate_bytes_per_second"):
        parts.append(rate(said["rate_bytes_per_second"]))
    return f"{phase(str(said.get('phase', '')))}: {', '.join(parts)}  {said.get('path') or ''}".rstrip()


def _result(said: dict[str, Any]) -> str:
    counts = said.get("counts") or {}
    parts = [f"ended, {said.get('outcome')}: {count(counts.get('files'))} files, {size(said.get('bytes'))}"]
    for key, word in (("differences_total", "differences"), ("errors_total", "errors")):
        if said.get(key):
            parts.append(f"{count(said[key])} {word}")
    parts += [
        f"{key} {said[f'{key}_digest']}" for key in ("content", "metadata") if said.get(f"{key}_digest")
    ]
    return "; ".join(parts)
