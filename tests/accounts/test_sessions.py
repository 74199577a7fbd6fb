"""Sessions end; nothing typed is lost, nothing is done without one."""

import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone

from accounts.models import Grant
from audit.models import Event
from tests.accounts.conftest import SignIn
from tests.support.people import PASSWORD, person
from worker import ticks
from worker.app import app

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "http://testserver/account/?tab=2"}
POLL = {**HTMX, "HTTP_HX_TRIGGER": "poll-5"}


def age(browser: Client, **by: Any) -> None:
    """Moves the marks of the session into the past: `started_at=timedelta(...)`."""
    session = SessionStore(browser.session.session_key)
    for name, amount in by.items():
        session[name] = (timezone.now() - amount).timestamp()
    session.save()


@pytest.fixture
def browser(sign_in: SignIn) -> Client:
    return sign_in(person("admin"))


def test_it_ends_after_so_many_hours_however_busy(browser: Client) -> None:
    age(browser, started_at=timedelta(hours=12, seconds=5), seen_at=timedelta(0))
    assert browser.get("/account/")["Location"] == "/sign-in/?next=%2Faccount%2F"
    event = Event.objects.get(verb="session.expire")
    assert (event.actor, event.note) == ("admin", "The session was older than 12 hours.")


def test_it_ends_when_nothing_is_done(browser: Client) -> None:
    age(browser, seen_at=timedelta(minutes=60, seconds=5))
    assert browser.get("/account/").status_code == 302


def test_it_lives_on_while_somebody_is_there(browser: Client) -> None:
    for _ in range(3):
        age(browser, seen_at=timedelta(minutes=59))
        assert browser.get("/account/").status_code == 200
    assert timezone.now().timestamp() - browser.session["seen_at"] < 60


def test_a_page_that_polls_does_not_keep_it_alive(browser: Client) -> None:
    age(browser, seen_at=timedelta(minutes=59))
    assert browser.get("/account/", **POLL).status_code == 200
    assert timezone.now().timestamp() - browser.session["seen_at"] > 59 * 60
    age(browser, seen_at=timedelta(minutes=61))
    assert browser.get("/account/", **POLL)["HX-Redirect"]


def test_whoever_filters_is_there(browser: Client) -> None:
    age(browser, seen_at=timedelta(minutes=59))
    assert browser.get("/claims/?q=pho", **HTMX).status_code == 200
    assert timezone.now().timestamp() - browser.session["seen_at"] < 60


def test_whatever_asks_on_a_clock_is_called_a_poll(repository_root: Path) -> None:
    """Otherwise a page that is left open keeps its session for ever."""
    pages = sorted((repository_root / "templates").rglob("*.html"))
    tags = [tag for page in pages for tag in re.findall(r"<[a-z][^<]*", page.read_text())]
    clocks = [tag for tag in tags if re.search(r"hx-trigger=\"[^\"]*(every|load|revealed)", tag)]
    assert clocks
    assert [tag for tag in clocks if 'id="poll-' not in tag] == []


def test_htmx_is_led_to_the_sign_in_and_back_to_the_page_not_the_fragment(browser: Client) -> None:
    age(browser, seen_at=timedelta(hours=2))
    answer = browser.get("/audit/", **HTMX)
    assert answer["HX-Redirect"] == "/sign-in/?next=%2Faccount%2F%3Ftab%3D2"
    assert answer.content == b""


@pytest.mark.parametrize("page", ["http://evil.example/x", "//evil.example", "javascript:alert(1)"])
def test_htmx_cannot_be_led_to_another_site(page: str) -> None:
    answer = Client().get("/account/", HTTP_HX_REQUEST="true", HTTP_HX_CURRENT_URL=page)
    assert answer["HX-Redirect"] == "/sign-in/?next=%2F"


def typed(browser: Client, path: str) -> dict[str, str]:
    """The fields of the form that was held, as the page shows them."""
    page = browser.get("/held-form/").content.decode()
    assert f'action="{path}"' in page
    return {
        name: unescape(value).removeprefix("\n")
        for name, value in re.findall(r'name="(\w+)" rows="\d+">(.*?)</textarea>', page, re.S)
    }


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_what_was_typed_waits_and_can_be_sent_after_signing_in_again(
    sign_in: SignIn, browser: Client, headers: dict[str, str]
) -> None:
    viewer = person("viewer")
    path = f"/people/{viewer.pk}/grant/"
    written = {"role": "operator", "namespaces": 'team-a "<b>" & é'}
    age(browser, seen_at=timedelta(hours=2))
    led = browser.post(path, written, **headers)
    assert (led.get("Location") or led["HX-Redirect"]) == "/sign-in/?next=%2Fheld-form%2F"
    assert Grant.objects.filter(user=viewer).count() == 1
    back = browser.post("/sign-in/", {"username": "admin", "password": PASSWORD, "next": "/held-form/"})
    assert back["Location"] == "/held-form/"
    assert typed(browser, path) == written
    assert browser.post("/held-form/")["Location"] is not None
    assert browser.get("/held-form/").status_code == 302


def test_what_was_sent_from_there_waits_no_more(browser: Client) -> None:
    viewer = person("viewer")
    path, written = f"/people/{viewer.pk}/grant/", {"role": "operator", "namespaces": "team-a"}
    age(browser, seen_at=timedelta(hours=2))
    browser.post(path, written)
    browser.post("/sign-in/", {"username": "admin", "password": PASSWORD, "next": "/held-form/"})
    browser.post(f"/people/{viewer.pk}/revoke/", {"role": "auditor"})
    assert typed(browser, path) == written, "another form was sent"
    browser.handler.enforce_csrf_checks = True
    browser.post(path, written)
    assert typed(browser, path) == written, "it was not sent: it had no token"
    browser.handler.enforce_csrf_checks = False
    assert browser.post(path, written).status_code == 303
    answer = browser.get("/held-form/")
    assert answer.status_code == 302, "it says that nothing was changed"
    assert Grant.objects.filter(user=viewer, role="operator").count() == 1


def test_somebody_else_never_sees_what_was_typed(browser: Client) -> None:
    age(browser, seen_at=timedelta(hours=2))
    browser.post("/people/1/grant/", {"role": "operator", "namespaces": "secret-project"})
    other = person("viewer")
    browser.post("/sign-in/", {"username": other.username, "password": PASSWORD})
    answer = browser.get("/held-form/")
    assert answer.status_code == 302
    assert "held_form" not in browser.session


def test_passwords_are_never_held(browser: Client) -> None:
    age(browser, seen_at=timedelta(hours=2))
    browser.post("/account/", {"current_password": PASSWORD, "new_password": "another-long-one"})
    assert "held_form" not in browser.session


def test_huge_forms_are_not_held(browser: Client) -> None:
    age(browser, seen_at=timedelta(hours=2))
    assert browser.post("/people/1/grant/", {"namespaces": "x" * 70_000}).status_code == 303
    assert "held_form" not in browser.session


def test_what_is_typed_waits_also_when_another_window_has_met_the_end_of_the_session(browser: Client) -> None:
    viewer = person("viewer")
    age(browser, seen_at=timedelta(hours=2))
    assert browser.get("/account/", **HTMX)["HX-Redirect"]  # a page that looks again by itself
    led = browser.post(f"/people/{viewer.pk}/grant/", {"role": "operator", "namespaces": "team-a"})
    assert led["Location"] == "/sign-in/?next=%2Fheld-form%2F"
    assert Grant.objects.filter(user=viewer).count() == 1
    browser.post("/sign-in/", {"username": "admin", "password": PASSWORD, "next": "/held-form/"})
    assert typed(browser, f"/people/{viewer.pk}/grant/") == {"role": "operator", "namespaces": "team-a"}


def test_after_signing_out_by_hand_nothing_waits_for_anybody(browser: Client) -> None:
    browser.post("/sign-out/")
    browser.post("/people/1/grant/", {"role": "operator", "namespaces": "team-a"})
    assert "held_form" not in browser.session


def test_a_filter_that_was_typed_comes_back_after_the_sign_in(browser: Client) -> None:
    age(browser, seen_at=timedelta(hours=2))
    here = {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "http://testserver/claims/?q=pho"}
    assert (
        browser.get("/claims/?q=photos", **here)["HX-Redirect"] == "/sign-in/?next=%2Fclaims%2F%3Fq%3Dphotos"
    )


@pytest.mark.parametrize(
    ("origin", "status", "waits"),
    [
        ("http://testserver", 303, True),
        ("https://evil.example", 403, False),
        ("null", 403, False),
        ("", 403, False),
    ],
)
def test_a_form_from_before_a_sign_in_in_another_window_waits_and_that_of_another_site_does_not(
    sign_in: SignIn, origin: str, status: int, waits: bool
) -> None:
    viewer = person("viewer")
    browser = sign_in(person("admin"), enforce_csrf_checks=False)
    browser.handler.enforce_csrf_checks = True
    path, written = f"/people/{viewer.pk}/grant/", {"role": "operator", "namespaces": "team-a"}
    headers = {"HTTP_ORIGIN": origin} if origin else {}
    answer = browser.post(path, {**written, "csrfmiddlewaretoken": "x" * 64}, **headers)
    assert answer.status_code == status
    assert ("held_form" in browser.session) is waits
    assert Grant.objects.filter(user=viewer).count() == 1
    assert Event.objects.filter(verb="action.refuse", actor="admin", key=path).count() == 1
    if waits:
        assert typed(browser, path) == written


def test_the_worker_forgets_sessions_that_have_ended_and_no_others(browser: Client) -> None:
    ended = SessionStore()
    ended.set_expiry(timedelta(seconds=-1))
    ended.create()
    ticks.forget_sessions()
    assert not SessionStore().exists(ended.session_key)
    assert browser.get("/account/").status_code == 200
    assert "worker.ticks.forget_sessions" in {each["task"] for each in app.conf.beat_schedule.values()}
