"""Recording: in the transaction, in order, exactly."""

import random
import threading

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import chain, context
from audit.canonical import START, digest, plain
from audit.models import Event
from audit.trail import Actor, OutsideTransaction, record
from tests.audit.conftest import note


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_record_outside_a_transaction() -> None:
    with pytest.raises(OutsideTransaction):
        record(actor=Actor.system("test"), verb="thing.touch", kind="thing", key="1")
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_it_chains_from_the_first_event_on() -> None:
    first, second = note(1), note(2)
    assert (first.sequence, first.previous_hash) == (1, START)
    assert (second.sequence, second.previous_hash) == (2, first.hash)
    assert second.at >= first.at
    assert chain.verify(chain.all_events()).whole


@pytest.mark.django_db
def test_it_leaves_no_gap_when_the_change_is_rolled_back() -> None:
    note(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        note(2)
        raise ZeroDivisionError
    assert note(3).sequence == 2
    assert chain.verify(chain.all_events()).whole


@pytest.mark.django_db
def test_it_keeps_the_request_and_the_address() -> None:
    token = context.request_id.set("abc-123"), context.address.set("203.0.113.9")
    try:
        event = note(1)
    finally:
        context.request_id.reset(token[0])
        context.address.reset(token[1])
    assert (event.request_id, event.address) == ("abc-123", "203.0.113.9")


@pytest.mark.django_db
def test_it_survives_odd_and_huge_text() -> None:
    odd = "\x00 \ud800 \u202e é 𝔘 '; DROP TABLE audit_event; -- \n\t"
    note(
        1,
        actor=Actor(odd, odd, odd),
        key=odd,
        namespace=odd,
        note="w" * 3_000_000,
        after={odd: [odd, 1e300, float("nan")]},
    )
    assert chain.verify(chain.all_events()).whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.django_db
@given(value=JSON)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_its_hash_still_fits_after_the_database_kept_any_value(value: object) -> None:
    event = Event(sequence=1, at="2026-01-31T09:30:00Z", after=plain({"value": value}), previous_hash=START)
    Event.objects.bulk_create([event])
    kept = Event.objects.get()
    transaction.set_rollback(False)
    with connection.cursor() as cursor:  # the next example starts anew
        cursor.execute(
            "ALTER TABLE audit_event DISABLE TRIGGER USER; DELETE FROM audit_event; ALTER TABLE audit_event ENABLE TRIGGER USER"
        )
    event.at = kept.at
    assert digest(kept.fields()) == digest(event.fields())


@pytest.mark.django_db(transaction=True)
def test_many_recorders_at_once_leave_one_gapless_chain() -> None:
    recorders, rounds = 8, 15
    start = threading.Barrier(recorders)
    kept: list[str] = []
    failures: list[BaseException] = []

    def work(number: int) -> None:
        odds = random.Random(number)
        try:
            start.wait(timeout=20)
            for turn in range(rounds):
                gone = odds.random() < 0.3
                try:
                    with transaction.atomic():
                        for _ in range(odds.randint(1, 3)):
                            note(number, key=f"{number}-{turn}")
                        if gone:
                            raise InterruptedError
                except InterruptedError:
                    continue
                kept.append(f"{number}-{turn}")
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(recorders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=90)
    assert not failures
    verdict = chain.verify(chain.all_events())
    assert verdict.problems == []
    assert set(Event.objects.values_list("key", flat=True)) == set(kept)
    times = list(Event.objects.order_by("sequence").values_list("at", flat=True))
    assert times == sorted(times)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", [{"sequence": 1}, {"sequence": 4}, {"sequence": -1}, {"previous_hash": START}]
)
def test_postgresql_refuses_an_event_that_does_not_continue_the_chain(change: dict[str, object]) -> None:
    last = [note(number) for number in (1, 2)][-1]
    fields = {**last.fields(), "sequence": 3, "previous_hash": last.hash, **change}
    forged = Event(**fields, hash="f" * 64)
    with pytest.raises(DatabaseError), transaction.atomic():
        forged.save(force_insert=True)
