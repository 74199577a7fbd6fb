"""The trail on its pages."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from audit.listing import Filters, matching, page, story
from audit.models import Event
from tests.audit.conftest import note
from tests.support.people import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    browser = Client()
    browser.force_login(person("auditor"))
    return browser


def shown(answer: Any) -> list[int]:
    return [int(number) for number in re.findall(r'<a href="/audit/(\d+)/">', answer.content.decode())]


def test_one_walks_from_the_newest_to_the_oldest_and_back_seeing_each_once(browser: Client) -> None:
    for number in range(120):
        note(number)
    address, seen, stops = "/audit/", [], []
    while address:
        answer = browser.get(address)
        stops.append(shown(answer))
        seen += stops[-1]
        older = re.search(r'href="(\?[^"]*)" rel="next"', answer.content.decode())
        address = f"/audit/{older[1]}" if older else ""
    assert seen == list(range(120, 0, -1))
    newer = re.search(r'href="(\?[^"]*)" rel="prev"', answer.content.decode())
    assert newer
    assert shown(browser.get(f"/audit/{newer[1]}")) == stops[-2]
    note(121)
    assert shown(browser.get(f"/audit/?older_than={stops[0][-1]}")) == stops[1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("actor=viewer", [2]), ("verb=thing.touch", [1, 3]), ("verb=thing.*", [1, 2, 3]), ("verb=thin", []), ("kind=other", [3]),
        ("key=m-7f3k2", [3]), ("namespace=team-b", [2]), ("text=7f3k2", [3]), ("text=7F3", [3]), ("text=m-7f3k2", [3]),
        ("text=because of reasons", [2]), ("text=reas", [2]), ("text=%25_%27%22%5C%00", [1, 2, 3]), ("text=thing viewer", [2]),
        ("actor=viewer&namespace=team-a", []), ("until=2001-01-01", []), ("since=2001-01-01T09:30:00Z", [1, 2, 3]),
    ],
)  # fmt: skip
def test_the_url_filters(browser: Client, query: str, expected: list[int]) -> None:
    from audit.trail import Actor

    note(1, namespace="team-a")
    note(2, namespace="team-b", actor=Actor("viewer"), verb="thing.make", note="because of (reasons)")
    note(3, namespace="team-a", kind="other", key="m-7f3k2")
    answer = browser.get(f"/audit/?{query}")
    assert answer.status_code == 200
    assert sorted(shown(answer)) == expected


def test_a_day_as_end_includes_that_day(browser: Client) -> None:
    note(1)
    today = timezone.now().date()
    assert shown(browser.get(f"/audit/?since={today}&until={today}")) == [1]
    assert shown(browser.get(f"/audit/?until={today - timedelta(days=1)}")) == []


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "until=2026-99-99", "until=9999-12-31", "older_than=x", "newer_than=-1", "older_than=" + "9" * 40,
     "older_than=%C2%B2", "since=2026-01-31T25:00", "key=" + "k" * 501, "text=a+b+c-d.e+f+g+h+i"],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_said_so_and_kept(browser: Client, query: str) -> None:
    note(1)
    answer = browser.get(f"/audit/?{query}")
    assert answer.status_code == 422
    assert b'role="alert"' in answer.content


def test_a_filter_at_its_longest_counts_as_a_whole(browser: Client) -> None:
    long, other = (
        note(1, key="k" * 499 + "a", note="a b c d e f g h"),
        note(2, key="k" * 499 + "b", note="a b c d e f g"),
    )
    assert shown(browser.get("/audit/?key=" + long.key)) == [long.sequence]
    assert shown(browser.get("/audit/?text=a+b+c+d+e+f+g+h+a")) == [long.sequence]
    assert shown(browser.get("/audit/?text=a+b+c+d+e+f+g")) == [other.sequence, long.sequence]


@pytest.mark.parametrize("text", ["'", "\\", "a" * 500, "\u202e", "&|!():*<->", "' & '", "\n\x00", "🦆"])
def test_odd_words_find_nothing_and_break_nothing(browser: Client, text: str) -> None:
    note(1)
    assert browser.get("/audit/", {"text": text, "verb": text, "actor": text}).status_code == 200


def test_what_one_may_not_see_is_404() -> None:
    hidden, own, unplaced = note(1, namespace="team-b"), note(2, namespace="team-a"), note(3)
    browser = Client()
    browser.force_login(person("auditor", "team-a"))
    assert shown(browser.get("/audit/")) == [own.sequence]
    assert shown(browser.get("/audit/?namespace=team-b")) == []
    assert browser.get(f"/audit/{own.sequence}/").status_code == 200
    for event in (hidden, unplaced):
        assert browser.get(f"/audit/{event.sequence}/").status_code == 404
    assert browser.get("/audit/99999999999999999999999/").status_code == 404


def test_one_event_shows_everything_and_runs_nothing(browser: Client) -> None:
    event = note(1, note="<script>alert(1)</script>", before={"<b>": "&"}, key="k" * 300)
    answer = browser.get(f"/audit/{event.sequence}/").content.decode()
    assert "<script>alert" not in answer and "<b>" not in answer
    for text in (event.hash, event.previous_hash, "k" * 300, "&lt;b&gt;"):
        assert text in answer


def test_only_those_who_may_export_are_offered_it(browser: Client) -> None:
    assert b"/audit/export/" in browser.get("/audit/").content
    browser.force_login(person("admin"))
    assert b"/audit/export/" not in browser.get("/audit/").content


def test_a_page_asks_the_database_for_one_page(
    browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        note(number)
    with django_assert_max_num_queries(8):
        browser.get("/audit/?verb=thing.*")


def test_a_story_is_everything_about_one_object_in_order() -> None:
    for number, key in enumerate(["m-1", "m-2", "m-1"]):
        note(number, kind="migration", key=key)
    assert [event.sequence for event in story("migration", "m-1")] == [1, 3]


def test_a_page_of_newer_events_never_skips_any() -> None:
    for number in range(10):
        note(number)
    found = matching(Filters(), person("auditor"))
    middle = page(found, newer_than=3, size=4)
    assert [event.sequence for event in middle.events] == [7, 6, 5, 4]
    assert (middle.older_than, middle.newer_than) == (4, 7)
    assert page(found, newer_than=10, size=4).events[0] == Event.objects.get(sequence=10)
