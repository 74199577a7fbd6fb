"""Does the trail stay quick with a million events?  python -m benches.audit [EVENTS]

Loads the events with a valid chain by COPY into a database of its own, then times what pages and the verifier do. Every
figure is a ratio against a reference from the same run and machine: one scan of the whole table without an index, which is what a
page would cost if it did not stay quick.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

RESULTS = Path("bench-results/audit.json")
REPEATS = 5

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
    from django.db import connection, transaction
    from django.test import Client

    from accounts.models import Grant, User
    from audit import chain
    from audit.models import Event
    from audit.trail import Actor, record

    def scan() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM audit_event WHERE after->>'step' = 'none' OR note LIKE '%nowhere%'"
            )

    def page(query: str) -> Callable[[], object]:
        def ask() -> None:
            answer = browser.get(f"/audit/?{query}")
            assert answer.status_code == 200, answer.status_code  # noqa: S101

        return ask

    def append() -> None:
        with transaction.atomic():
            record(actor=Actor.system("bench"), verb="bench.touch", kind="bench", key="1")

    def verify() -> None:
        verdict = chain.verify(chain.all_events())
        assert verdict.whole and verdict.count >= count, verdict.problems[:3]  # noqa: S101

    def read() -> None:
        assert sum(1 for _ in Event.objects.order_by("sequence").iterator(chunk_size=5000)) >= count  # noqa: S101

    def person(name: str, namespaces: list[str]) -> Client:
        user = User.objects.create_user(username=name)
        Grant.objects.create(user=user, role="auditor", namespaces=namespaces)
        client = Client()
        client.force_login(user)
        return client

    browser = person("auditor", ["*"])
    limited = person("limited", ["team-7", "team-8?"])
    return {
        "reference: one scan of the table without an index": best(scan),
        "page: newest": best(page("")),
        "page: in the middle": best(page(f"older_than={count // 2}")),
        "page: one actor": best(page("actor=operator-7")),
        "page: one actor and verbs that never met": best(page("actor=operator-7&verb=claim.*&kind=none")),
        "page: one object": best(page("kind=migration&key=m-00abc")),
        "page: one month": best(page("since=2026-02-01&until=2026-02-28")),
        "page: a common word": best(page("text=verified")),
        "page: a word that occurs once": best(page("text=needle")),
        "page: an auditor of few namespaces": best(lambda: limited.get("/audit/")),
        "record one event": best(append, 20),
        "reference: read all events": best(read, 1),
        "verify all events": best(verify, 1),
    }


def main(count: int) -> int:
    """Runs everything; prints and keeps the ratios."""
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases

    from tests.support import services

    services.ensure()
    setup_test_environment()
    old = setup_databases(verbosity=0, interactive=False)
    try:
        started = time.perf_counter()
        load(count)
        loaded_s = time.perf_counter() - started
        seconds = measure(count)
    finally:
        teardown_databases(old, verbosity=0)
    report(count, loaded_s, seconds)
    return 0


def report(count: int, loaded_s: float, seconds: dict[str, float]) -> None:
    """Shows the ratios and keeps them in bench-results/."""
    scan, read = (
        seconds[name]
        for name in ("reference: one scan of the table without an index", "reference: read all events")
    )
    print(f"{count:,} events, loaded in {loaded_s:.0f} s")
    rows = []
    for name, taken in seconds.items():
        reference = read if "all events" in name else scan
        rows.append({"name": name, "seconds": round(taken, 5), "ratio": round(taken / reference, 4)})
        print(f"{taken * 1000:10.1f} ms  {taken / reference:8.3f} of the reference  {name}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"events": count, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
