"""Exports of the trail: JSON Lines, CSV, a manifest, and the program that verifies them offline.

An export is made while it is sent: a few thousand events are in memory at a time, however many there are.
"""

import csv
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.db.models import QuerySet

from audit.canonical import START, canonical, instant
from audit.listing import Filters
from audit.models import Event
from audit.trail import Actor, record
from audit.verify_export import COLUMNS, EXPORT_FORM, safe_cell

VERIFIER = Path(__file__).with_name("verify_export.py")
WEB_LIMIT = 200_000  # events; more than that takes a web request too long
BATCH = 5000
BLOCK_BYTES = 1 << 20


@dataclass(slots=True)
class Written:
    """What went into an export."""

    count: int = 0
    first: int = 0
    last: int = 0
    last_hash: str = START
    unbroken: bool = True

    def add(self, batch: list[Event]) -> None:
        """Counts the events in."""
        for event in batch:
            if self.count == 0:
                self.first = event.sequence
            elif event.sequence != self.last + 1:
                self.unbroken = False
            self.count += 1
            self.last, self.last_hash = event.sequence, event.hash


def line_of(event: Event) -> bytes:
    """One event as a JSON line: its canonical form with the hash."""
    return canonical(event.fields(), hash=event.hash) + b"\n"


def export(target: Path, found: QuerySet[Event], *, filters: Filters, scope: list[str], by: Actor) -> Written:
    """Write the events of `found`, oldest first, into the zip `target`, and record that they were exported."""
    written, blocks = begin(found, filters=filters, scope=scope, by=by)
    with target.open("wb") as file:
        file.writelines(blocks)
    return written


def begin(
    found: QuerySet[Event], *, filters: Filters, scope: list[str], by: Actor
) -> tuple[Written, Iterator[bytes]]:
    """Record that `found` is exported, and return the zip in blocks, with what will have been written at its end.

    `found` is what `filters` leave of the events in `scope`, the namespace patterns of `listing.scope_of`; both are said in the export.
    The record comes first, so that nobody exports without a trace; it is not part of what it announces.
    """
    last = Event.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    chosen = {name: value for name, value in asdict(filters).items() if value}
    with transaction.atomic():
        record(
            actor=by,
            verb="audit.export",
            kind="audit",
            key="trail",
            after={"filters": chosen, "scope": scope, "up_to": last},
        )
    heading = {
        "form": EXPORT_FORM,
        "exported_at": instant(datetime.now(UTC)),
        "exported_by": by.name,
        "filters": chosen,
        "scope": scope,
    }
    written = Written()
    return written, _pack(found.filter(sequence__lte=last), heading, written)


@dataclass(slots=True)
class _Pipe:
    """What a zip is written into: a file that cannot be read back, emptied block by block."""

    held: list[bytes] = field(default_factory=list)

    def write(self, data: bytes) -> int:
        self.held.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is behind it."""

    close = flush

    def take(self) -> bytes:
        taken = b"".join(self.held)
        self.held.clear()
        return taken


def _pack(found: QuerySet[Event], heading: dict[str, Any], written: Written) -> Iterator[bytes]:
    """The zip in blocks. The table is made beside the lines, on the disk: an archive takes one file at a time."""
    pipe = _Pipe()
    with (
        tempfile.TemporaryFile() as table,
        zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive,
    ):
        table.write(_cells([COLUMNS]))
        with _Entry(archive, "events.jsonl") as lines:
            for batch in batches(found):
                lines.write(b"".join(map(line_of, batch)))
                table.write(_cells(map(_row, batch)))
                written.add(batch)
                yield pipe.take()
        table.seek(0)
        with _Entry(archive, "events.csv") as copied:
            while block := table.read(BLOCK_BYTES):
                copied.write(block)
                yield pipe.take()
        with _Entry(archive, VERIFIER.name) as program:
            program.write(VERIFIER.read_bytes())
        files = {each.name: each.facts() for each in (lines, copied, program)}
        manifest = {**heading, **asdict(written), "files": files}
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    yield pipe.take()


def batches(found: QuerySet[Event]) -> Iterator[list[Event]]:
    """`found`, oldest first, each batch by a query of its own: no transaction stays open while somebody downloads."""
    last = 0
    while batch := list(found.filter(sequence__gt=last).order_by("sequence")[:BATCH]):
        yield batch
        last = batch[-1].sequence


class _Entry:
    """A file in the archive that knows the digest of what was written to it."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.name = name
        self._file: IO[bytes] = archive.open(name, "w", force_zip64=True)
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0

    def __enter__(self) -> "_Entry":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self._size_bytes += len(data)

    def facts(self) -> dict[str, Any]:
        return {"sha256": self._sha256.hexdigest(), "size_bytes": self._size_bytes}


def _row(event: Event) -> list[str]:
    shown: dict[str, Any] = {**event.fields(), "at": instant(event.at), "hash": event.hash}
    return [safe_cell(shown[name]) for name in COLUMNS]


def _cells(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows of the CSV: every cell quoted and safe to open in a spreadsheet; times are UTC."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    return buffer.getvalue().encode()
