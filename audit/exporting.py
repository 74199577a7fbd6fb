"""Exports of the trail: JSON Lines, CSV, a manifest, and the program that verifies them offline."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.db.models import QuerySet

from audit.canonical import START, canonical, instant
from audit.listing import Filters
from audit.models import Event
from audit.trail import Actor, record
from audit.verify_export import EXPORT_FORM, safe_cell

COLUMNS = (
    "sequence", "at", "actor", "role", "address", "request_id", "verb", "kind", "key",
    "namespace", "cluster", "before", "after", "note", "previous_hash", "hash",
)  # fmt: skip
VERIFIER = Path(__file__).with_name("verify_export.py")
WEB_LIMIT = 200_000  # events; more than that takes a web request too long


@dataclass(slots=True)
class Written:
    """What went into an export."""

    count: int = 0
    first: int = 0
    last: int = 0
    last_hash: str = START
    unbroken: bool = True

    def add(self, event: Event) -> None:
        """Counts `event` in."""
        if self.count == 0:
            self.first = event.sequence
        elif event.sequence != self.last + 1:
            self.unbroken = False
        self.count += 1
        self.last, self.last_hash = event.sequence, event.hash


def line_of(event: Event) -> bytes:
    """One event as a JSON line: its canonical form with the hash."""
    shown: dict[str, Any] = {**json.loads(canonical(event.fields())), "hash": event.hash}
    return json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def export(
    target: IO[bytes] | Path,
    found: QuerySet[Event],
    *,
    filters: Filters,
    by: Actor,
    at: datetime | None = None,
) -> Written:
    """Write the events of `found`, oldest first, into the zip `target`, and record that they were exported.

    The record comes first, so that nobody exports without a trace; it is not part of what it announces.
    """
    last = Event.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    chosen = {name: value for name, value in asdict(filters).items() if value}
    with transaction.atomic():
        record(
            actor=by, verb="audit.export", kind="audit", key="trail", after={"filters": chosen, "up_to": last}
        )
    events = found.filter(sequence__lte=last).order_by("sequence")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        written, lines = _write_lines(archive, events)
        files = {"events.jsonl": lines, "events.csv": _write_table(archive, events)}
        files["verify_export.py"] = _write_bytes(archive, "verify_export.py", VERIFIER.read_bytes())
        manifest = {
            "form": EXPORT_FORM,
            "exported_at": instant(at or datetime.now(UTC)),
            "exported_by": by.name,
            "filters": chosen,
            **asdict(written),
            "files": files,
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    return written


class _Hashed:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self._size_bytes += len(data)

    def entry(self) -> dict[str, Any]:
        return {"sha256": self._sha256.hexdigest(), "size_bytes": self._size_bytes}


def _write_lines(archive: zipfile.ZipFile, events: QuerySet[Event]) -> tuple[Written, dict[str, Any]]:
    written = Written()
    with archive.open("events.jsonl", "w", force_zip64=True) as raw:
        file = _Hashed(raw)
        for event in events.iterator(chunk_size=5000):
            file.write(line_of(event))
            written.add(event)
    return written, file.entry()


def _write_table(archive: zipfile.ZipFile, events: QuerySet[Event]) -> dict[str, Any]:
    with archive.open("events.csv", "w", force_zip64=True) as raw:
        file = _Hashed(raw)
        for text in rows(events):
            file.write(text.encode())
    return file.entry()


def rows(events: QuerySet[Event]) -> Iterator[str]:
    """The CSV, line by line, with its heading: every cell is safe to open in a spreadsheet; times are UTC."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for event in events.iterator(chunk_size=5000):
        shown: dict[str, Any] = {**event.fields(), "at": instant(event.at), "hash": event.hash}
        writer.writerow([safe_cell(shown[name]) for name in COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _write_bytes(archive: zipfile.ZipFile, name: str, data: bytes) -> dict[str, Any]:
    with archive.open(name, "w") as raw:
        file = _Hashed(raw)
        file.write(data)
    return file.entry()
