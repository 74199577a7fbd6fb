#!/usr/bin/env python3
"""Verifies an export of the Holdfast audit trail, offline: no Holdfast, no database, nothing but Python 3.8 or newer.

    python3 verify_export.py                     in the unpacked directory
    python3 verify_export.py export.zip
    python3 verify_export.py DIR --expect HASH   also: some event must have this hash (from a signed checkpoint)

Exit code 0: whole. 1: broken, and where. 2: this is not an export.

What it proves: no event in the export was changed, none is missing inside an unbroken range nor from the beginning of a whole
trail, none was moved, the table (CSV) says the same as the lines (JSON Lines). What it cannot prove alone: that the whole chain was not written anew. For that,
compare the last hash, which it prints, with a signed checkpoint that was kept elsewhere.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

EVENT_FORM = "holdfast-audit-1"
EXPORT_FORM = "holdfast-export-2"
START = "0" * 64
COLUMNS = (
    "sequence", "at", "actor", "role", "address", "request_id", "verb", "kind", "key",
    "namespace", "cluster", "before", "after", "note", "previous_hash", "hash",
)  # fmt: skip


class NotAnExport(Exception):
    pass


class Source:
    """The files of an export, in a directory or a zip."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_file() and not zipfile.is_zipfile(str(self.path)):
            raise NotAnExport(f"{path} is neither a directory nor a zip")
        self.zip = zipfile.ZipFile(str(self.path)) if self.path.is_file() else None

    def open(self, name: str) -> IO[bytes]:
        try:
            return self.zip.open(name) if self.zip else (self.path / name).open("rb")
        except (KeyError, OSError) as error:
            raise NotAnExport(f"{name} is missing") from error

    def names(self) -> list[str]:
        if self.zip:
            return self.zip.namelist()
        return [entry.name for entry in self.path.iterdir()]


encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
encode_cell = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def canonical(event: dict[str, Any]) -> bytes:
    covered = {name: value for name, value in event.items() if name != "hash"}
    return encode(covered).encode("utf-8")


def sha256_of(file: IO[bytes]) -> str:
    total = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        total.update(block)
    return total.hexdigest()


def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)


def safe_cell(value: Any) -> str:
    """As the export writes cells: text that a spreadsheet would run gets an apostrophe in front."""
    text = value if isinstance(value, str) else "" if value is None else encode_cell(value)
    return (
        "'" + text
        if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
        else text
    )


def check_files(source: Source, manifest: dict[str, Any]) -> Iterator[str]:
    for name, expected in manifest["files"].items():
        with source.open(name) as file:
            if sha256_of(file) != expected["sha256"]:
                yield f"{name}: is not the file that the manifest names"
    known = set(manifest["files"]) | {"manifest.json"}
    for name in sorted(set(source.names()) - known):
        yield f"{name}: is not in the manifest"
    for name in sorted({name for name in source.names() if source.names().count(name) > 1}):
        yield f"{name}: is in the zip more than once"


def is_whole(manifest: dict[str, Any]) -> bool:
    """Whether it claims to hold the whole trail: then no event may be missing, whatever else the manifest says."""
    return manifest["scope"] == ["*"] and not manifest["filters"]


def check_events(source: Source, manifest: dict[str, Any], expect: str | None) -> Iterator[str]:
    previous_sequence, previous_hash = 0, START
    count = 0
    met = expect is None
    whole = is_whole(manifest)
    with source.open("events.jsonl") as file:
        for number, line in enumerate(file, start=1):
            try:
                event = json.loads(line.decode("utf-8"), object_pairs_hook=no_doubles)
                sequence, event_hash = event["sequence"], event["hash"]
                own = hashlib.sha256(canonical(event)).hexdigest()
                form = event["form"]
                after = event["previous_hash"]
                if type(sequence) is not int:
                    raise TypeError("its sequence is not a number")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield f"events.jsonl line {number}: cannot be read: {error}"
                continue
            if form != EVENT_FORM:
                yield f"event {sequence}: is of another form ({form})"
            if own != event_hash:
                yield f"event {sequence}: its content does not fit its hash: it was changed"
            if sequence <= previous_sequence:
                yield f"event {sequence}: is out of order"
            elif sequence == previous_sequence + 1:
                if after != previous_hash:
                    yield f"event {sequence}: does not follow from the event before it"
            elif (manifest["unbroken"] and count) or whole:
                yield f"event {sequence}: events are missing before it"
            previous_sequence, previous_hash = sequence, event_hash
            met = met or event_hash == expect
            count += 1
            if count == 1 and sequence != manifest["first"]:
                yield "event {}: the manifest says that the export begins at {}".format(
                    sequence,
                    manifest["first"],
                )
    if count != manifest["count"]:
        yield "events.jsonl: holds {} events, the manifest says {}".format(count, manifest["count"])
    if count and (previous_sequence, previous_hash) != (manifest["last"], manifest["last_hash"]):
        yield "events.jsonl: ends at event {}, the manifest says {}".format(
            previous_sequence, manifest["last"]
        )
    if not met:
        yield f"no event has the hash {expect}"


def check_table(source: Source) -> Iterator[str]:
    """The CSV must say what the lines say."""
    csv.field_size_limit(1 << 30)
    with source.open("events.csv") as table, source.open("events.jsonl") as lines:
        rows = csv.DictReader(io.TextIOWrapper(table, encoding="utf-8", newline=""))
        # Never by the table's own word: a column that it leaves out or has twice would be compared with nothing.
        if list(rows.fieldnames or ()) != list(COLUMNS):
            yield "events.csv: its columns are not those of an export"
            return
        for row in rows:
            line = lines.readline()
            if not line:
                yield "events.csv: has more rows than events.jsonl"
                return
            event = json.loads(line.decode("utf-8"))
            for name, cell in row.items():
                if cell != safe_cell(event.get(name)):
                    yield "events.csv: event {}: {} differs from events.jsonl".format(
                        event.get("sequence"), name
                    )
        if lines.readline():
            yield "events.csv: has fewer rows than events.jsonl"


def verify(path: str | Path, expect: str | None = None) -> tuple[list[str], dict[str, Any]]:
    """The problems found, and the manifest."""
    source = Source(path)
    with source.open("manifest.json") as file:
        try:
            manifest = json.loads(file.read().decode("utf-8"))
        except ValueError as error:
            raise NotAnExport(f"manifest.json cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("form") != EXPORT_FORM:
        raise NotAnExport("manifest.json is of another form")
    problems = list(check_files(source, manifest))
    problems += check_events(source, manifest, expect)
    if not problems:
        problems += check_table(source)
    return problems, manifest


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an export of the Holdfast audit trail, offline.")
    parser.add_argument("path", nargs="?", default=str(Path(__file__).resolve().parent))
    parser.add_argument("--expect", metavar="HASH", help="a hash from a signed checkpoint that must occur")
    options = parser.parse_args()
    try:
        problems, manifest = verify(options.path, options.expect)
    except (NotAnExport, KeyError) as error:
        print(f"not an export: {error}", file=sys.stderr)
        return 2
    for problem in problems[:100]:
        print(problem)
    if problems:
        print(f"BROKEN: {len(problems)} problems")
        return 1
    kind = (
        "unbroken"
        if manifest["unbroken"] or is_whole(manifest)
        else "a selection: events between these are not part of it"
    )
    print(
        "WHOLE: {} events, {} to {} ({})".format(manifest["count"], manifest["first"], manifest["last"], kind)
    )
    chosen = ", ".join(f"{name}={value}" for name, value in sorted(manifest["filters"].items()))
    print(
        "exported by {} at {}, filters: {}, of {}".format(
            manifest["exported_by"],
            manifest["exported_at"],
            chosen or "none",
            "the whole trail"
            if manifest["scope"] == ["*"]
            else "what its exporter may export, in the namespaces {}".format(" ".join(manifest["scope"])),
        )
    )
    print("last hash: {}".format(manifest["last_hash"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
