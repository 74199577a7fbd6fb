"""The result as JSON, and its summary for the pod's termination message."""

import json
import os
from collections.abc import Mapping
from typing import NamedTuple

from mover import VERSION
from mover.names import shown
from mover.protocol import Difference
from mover.tally import KEPT, SideTally, Tally

SUMMARY_BYTES = 4096
TERMINATION_LOG = "/dev/termination-log"


class Facts(NamedTuple):
    """What a command knows about its run beside the tally."""

    command: str
    pass_name: str | None
    outcome: str
    seconds: float
    rules: Mapping[str, object]
    not_kept: list[dict[str, object]]
    not_compared: list[str]
    two_sides: bool
    phase_seconds: Mapping[str, float]
    read_from_disk: bool = False
    state_removed: bool = False


def result_of(facts: Facts, tally: Tally) -> dict[str, object]:
    """The whole result; its keys are described in docs/reference/mover.md."""
    source, destination = tally.sides
    same = not facts.two_sides or facts.outcome == "equal"
    whole = facts.outcome != "failed"
    return {
        "program": "holdfast-mover",
        "version": VERSION,
        "command": facts.command,
        "pass": facts.pass_name,
        "outcome": facts.outcome,
        "counts": source.counts(),
        "hard_links": source.hard_links,
        "scanned_files": source.files + source.symlinks + source.fifos + source.devices,
        "copied_files": tally.copied_files,
        "copied_bytes": tally.copied_bytes,
        "unchanged_files": tally.unchanged_files,
        "deleted_files": tally.deleted_files,
        "bytes": source.bytes,
        "seconds": round(facts.seconds, 3),
        "phase_seconds": facts.phase_seconds,
        "rate_bytes_per_second": round(source.bytes / facts.seconds) if facts.seconds > 0 else 0,
        "hash": "blake3",
        "content_digest": source.content_digest if whole and same else None,
        "metadata_digest": source.metadata_digest if whole and same else None,
        "source": _side(source) if facts.two_sides else None,
        "destination": _side(destination) if facts.two_sides else None,
        "rules": facts.rules,
        "differences_total": tally.differences_total,
        "differences_by_class": tally.differences_by_class,
        "errors_total": tally.problems_total,
        "skipped_total": tally.skipped_total,
        "not_kept": facts.not_kept,
        "not_compared": facts.not_compared,
        "changed_during_copy": tally.changed,
        "vanished_during_copy": tally.vanished,
        "extra_in_destination": tally.extra,
        "read_from_disk": facts.read_from_disk,
        "state_removed": facts.state_removed,
        "errors": [{"path": shown(p.path), "reason": p.reason} for p in tally.problems],
        "differences": [_difference(d) for d in sorted(tally.differences, key=lambda d: d.path)[:KEPT]],
        "skipped": [{"path": shown(s.path), "why": s.why} for s in tally.skipped],
    }


def _side(side: SideTally) -> dict[str, object]:
    return {
        "content_digest": side.content_digest,
        "metadata_digest": side.metadata_digest,
        "counts": side.counts(),
        "bytes": side.bytes,
        "hard_links": side.hard_links,
    }


def _difference(difference: Difference) -> dict[str, object]:
    values = [shown(v) if isinstance(v, bytes) else v for v in (difference.source, difference.destination)]
    return {
        "path": shown(difference.path),
        "class": difference.kind,
        "source": values[0],
        "destination": values[1],
    }


def summary_of(result: dict[str, object]) -> bytes:
    """The result in at most 4096 bytes: lists are shortened from their ends, totals stay, long values give way last."""
    short = dict(result)
    lists = {
        key: list(value)
        for key in ("skipped", "differences", "errors", "not_kept")
        if isinstance(value := short[key], list)
    }
    short.update(lists)
    while len(text := json.dumps(short, separators=(",", ":")).encode()) > SUMMARY_BYTES:
        longest = max(lists, key=lambda key: len(json.dumps(lists[key])))
        if not lists[longest]:
            return text[:SUMMARY_BYTES]
        del lists[longest][-max(1, len(lists[longest]) // 4) :]
    return text


def write(path: str, result: dict[str, object], *, summary: bool) -> None:
    """Writes the result, or its summary, to a file; what Kubernetes mounts there can be written but not replaced."""
    text = (
        summary_of(result)
        if summary or path == TERMINATION_LOG
        else json.dumps(result, indent=1).encode() + b"\n"
    )
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(text)
