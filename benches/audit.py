"""Does the trail stay quick with a million events?  python -m benches audit [--events 1000000]

Loads the events with a valid chain by COPY into a database of its own, then times what pages, recorders, exports and the verifier
do. Every figure is a ratio against a reference from the same run and machine: one scan of the whole table without an index, which
is what a page would cost if it did not stay quick; for what reads everything, the reading alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

RESULTS = Path("bench-results/audit.json")
MILLION = 1_000_000
REPEATS = 5
# Recorders at once, each in a transaction of its own: as many as a busy installation has processes.
RECORDERS = 8
ROUNDS = 40

SCAN = "reference: one scan of the table without an index"
READ = "reference: read all events"
VERBS = [
    "migration.start",
    "migration.step",
    "session.start",
    "session.refuse",
    "signoff.approve",
    "claim.protect",
]
COLUMNS = "sequence, at, actor, role, address, request_id, verb, kind, key, namespace, cluster, before, after, note, previous_hash, hash"


def events(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows of a chain that verifies."""
    from audit.canonical import START, Fields, digest

    at = datetime(2026, 1, 1, tzinfo=UTC)
    previous = START
    for number in range(1, count + 1):
        fields = Fields(
            sequence=number,
            at=at + timedelta(seconds=7 * number),
            actor=f"operator-{number % 40}",
            role="operator",
            address=f"10.0.{number % 200}.7",
            request_id=f"{number:032x}",
            verb=VERBS[number % len(VERBS)],
            kind="migration",
            key=f"m-{number % 20_000:05x}",
            namespace=f"team-{number % 150}",
            cluster="production",
            before={"state": "waiting", "step": number % 14},
            after={"state": "running", "step": number % 14 + 1},
            note="needle in the haystack"
            if number == count // 3
            else "copied and verified without a difference",
            previous_hash=previous,
        )
        previous = digest(fields)
        row = [json.dumps(value) if name in {"before", "after"} else value for name, value in fields.items()]
        yield (*row, previous)


def load(count: int) -> None:
    """The events into the table, in one COPY, with the trigger of the order off and the index of words made at the end."""
    from django.db import connection

    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'audit_by_word'")
        index = cursor.fetchone()[0]
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER USER; DROP INDEX audit_by_word")
        with connection.connection.cursor().copy(f"COPY audit_event ({COLUMNS}) FROM STDIN") as copy:
            for row in events(count):
                copy.write_row(row)
        cursor.execute(f"{index}; ALTER TABLE audit_event ENABLE TRIGGER USER")
        cursor.execute("ANALYZE audit_event")


def best(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """The shortest of a few runs, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def measure(count: int) -> dict[str, float]:
    """Seconds, by what was done."""
    seconds = {SCAN: best(scan)}
    for name, ask in pages(count).items():
        seconds[f"page: {name}"] = best(ask)
    seconds["record one event"] = best(append, 20)
    seconds[f"record one event, {RECORDERS} recorders at once"] = at_once(append)
    seconds[READ] = best(lambda: read(count), 1)
    seconds["verify all events"] = best(lambda: verify(count), 1)
    return seconds


def scan() -> None:
    """What a page would cost without an index."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_event WHERE after->>'step' = 'none' OR note LIKE '%nowhere%'"
        )


def pages(count: int) -> dict[str, Callable[[], object]]:
    """The page of the trail with filters that are easy and hard for it, by name."""
    from django.test import Client

    from accounts.models import Grant, User

    def person(name: str, namespaces: list[str]) -> Client:
        user = User.objects.create_user(username=name)
        Grant.objects.create(user=user, role="auditor", namespaces=namespaces)
        client = Client()
        client.force_login(user)
        return client

    def page(query: str, client: Client | None = None) -> Callable[[], object]:
        def ask() -> None:
            answer = (client or everybody).get(f"/audit/?{query}")
            assert answer.status_code == 200, answer.status_code  # noqa: S101

        return ask

    everybody = person("auditor", ["*"])
    limited = person("limited", ["team-7", "team-8?"])
    nothing = person("nothing", ["no-such-team"])
    return {
        "newest": page(""),
        "in the middle": page(f"older_than={count // 2}"),
        "one actor": page("actor=operator-7"),
        "one actor and verbs that never met": page("actor=operator-7&verb=claim.*&kind=none"),
        "a verb that never was": page("verb=nothing.*"),
        "one object": page("kind=migration&key=m-00abc"),
        "an object of any kind": page("key=m-00abc"),
        "one namespace": page("namespace=team-7"),
        "one month": page("since=2026-02-01&until=2026-02-28"),
        "the first day": page("until=2026-01-01"),
        "one actor on the first day": page("actor=operator-7&until=2026-01-01"),
        "a common word": page("text=verified"),
        "a common word of one actor": page("text=verified&actor=operator-7"),
        "a word that occurs once": page("text=needle"),
        "a word that never was": page("text=unheard"),
        "an auditor of few namespaces": page("", limited),
        "an auditor of few namespaces, one verb": page("verb=signoff.approve", limited),
        "an auditor of a namespace without events": page("", nothing),
    }


def append() -> None:
    """One event in a transaction of its own."""
    from django.db import transaction

    from audit.trail import Actor, record

    with transaction.atomic():
        record(actor=Actor.system("bench"), verb="bench.touch", kind="bench", key="1")


def at_once(action: Callable[[], object]) -> float:
    """Seconds for each call, when several threads with connections of their own call it over and over."""
    from django.db import connection

    start = threading.Barrier(RECORDERS + 1)

    def work() -> None:
        connection.ensure_connection()
        start.wait(timeout=60)
        for _ in range(ROUNDS):
            action()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(RECORDERS)]
    for thread in threads:
        thread.start()
    start.wait(timeout=60)
    began = time.perf_counter()
    for thread in threads:
        thread.join(timeout=600)
    return (time.perf_counter() - began) / (RECORDERS * ROUNDS)


def read(count: int) -> None:
    """Every event, as the verifier reads them, without looking at any."""
    from audit import chain

    assert sum(1 for _ in chain.all_events()) >= count  # noqa: S101


def verify(count: int) -> None:
    from audit import chain

    verdict = chain.verify(chain.all_events())
    assert verdict.whole and verdict.count >= count, verdict.problems[:3]  # noqa: S101


def exports(count: int) -> dict[str, float]:
    """An export of everything: its seconds, those of its verifier, its bytes, and what it adds to the memory at its peak."""
    from audit.exporting import export
    from audit.listing import Filters
    from audit.models import Event
    from audit.trail import Actor

    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "export.zip"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        written = export(
            target, Event.objects.all(), filters=Filters(), scope=["*"], by=Actor.system("bench")
        )
        exported_s = time.perf_counter() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert written.count >= count  # noqa: S101
        with zipfile.ZipFile(target) as archive:
            archive.extract("verify_export.py", place)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-I", str(Path(place) / "verify_export.py"), str(target)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return {
            "seconds": exported_s,
            "verified_seconds": time.perf_counter() - began,
            "size_bytes": target.stat().st_size,
            "grown_bytes": grown * 1024,
        }


def main(arguments: list[str] | None = None) -> int:
    """Runs everything; prints and keeps the ratios."""
    parser = argparse.ArgumentParser(prog="benches audit", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help=f"{MILLION} for the figures of the docs")
    parser.add_argument("--export", action="store_true", help="measure an export of everything as well")
    options = parser.parse_args(arguments)

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases

    from tests.support import services

    services.ensure()
    setup_test_environment()
    old = setup_databases(verbosity=0, interactive=False)
    try:
        started = time.perf_counter()
        load(options.events)
        loaded_s = time.perf_counter() - started
        seconds = measure(options.events)
        export = exports(options.events) if options.export else {}
    finally:
        teardown_databases(old, verbosity=0)
    report(options.events, loaded_s, seconds, export)
    return 0


def report(count: int, loaded_s: float, seconds: dict[str, float], export: dict[str, float]) -> None:
    """Shows the ratios and keeps them in bench-results/."""
    print(f"{count:,} events, loaded in {loaded_s:.0f} s")
    rows = []
    for name, taken in seconds.items():
        reference = seconds[READ if "all events" in name else SCAN]
        rows.append({"name": name, "seconds": round(taken, 5), "ratio": round(taken / reference, 4)})
        print(f"{taken * 1000:10.1f} ms  {taken / reference:8.3f} of the reference  {name}")
    if export:
        print(
            "export of all events: {seconds:.0f} s, verified offline in {verified_seconds:.0f} s,"
            " {size_bytes:,} bytes, {grown_bytes:,} bytes of memory".format(**export)
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"events": count, "rows": rows, "export": export}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
