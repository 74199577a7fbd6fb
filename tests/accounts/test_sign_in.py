"""Signing in with a password, and out."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import UNKNOWN, User
from audit.models import Event
from tests.accounts.conftest import SignIn
from tests.support.audit import assert_audited
from tests.support.people import PASSWORD, person

pytestmark = pytest.mark.django_db


def attempt(browser: Client, password: str, username: str = "operator", **extra: Any) -> Any:
    return browser.post("/sign-in/", {"username": username, "password": password, **extra})


def test_it_leads_back_to_where_one_was(client: Client) -> None:
    person("operator")
    led = client.get("/account/?tab=1")
    assert led["Location"] == "/sign-in/?next=%2Faccount%2F%3Ftab%3D1"
    assert 'value="/account/?tab=1"' in client.get(led["Location"]).content.decode()
    answer = attempt(client, PASSWORD, next="/account/?tab=1")
    assert (answer.status_code, answer["Location"]) == (303, "/account/?tab=1")
    event = Event.objects.get()
    assert (event.verb, event.actor, event.role, event.address) == (
        "session.start",
        "operator",
        "operator",
        "127.0.0.1",
    )


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "/%0d%0aX: y\r\nSet-Cookie: a=b",
     "http:evil.example", "///evil.example", "/\t/evil.example", "evil.example", "\x00/"],
)  # fmt: skip
def test_it_never_leads_to_another_site(client: Client, target: str) -> None:
    person("operator")
    location = attempt(client, PASSWORD, next=target)["Location"]
    assert location.startswith("/") and not location.startswith("//")
    assert "evil" not in location and "\\" not in location and "\n" not in location


def test_the_session_is_a_new_one_after_signing_in(client: Client) -> None:
    person("operator")
    client.get("/sign-in/provider/")
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    attempt(client, PASSWORD)
    assert client.session.session_key != before


def test_a_wrong_password_and_an_unknown_name_look_the_same(client: Client) -> None:
    person("operator")
    wrong, unknown = attempt(client, "nope"), attempt(client, "nope", username="nobody")
    assert wrong.status_code == unknown.status_code == 422
    assert b"The name or the password is wrong." in wrong.content
    assert b"The name or the password is wrong." in unknown.content
    assert [event.key for event in Event.objects.order_by("sequence")] == ["operator", UNKNOWN]


def test_it_locks_one_name_out_after_five_failures_even_for_the_right_password(client: Client) -> None:
    person("operator")
    person("viewer")
    answers = [attempt(client, "nope").status_code for _ in range(5)]
    assert answers == [422, 422, 422, 422, 429]
    locked = attempt(client, PASSWORD)
    assert locked.status_code == 429
    assert locked["Retry-After"] == "900"
    assert b"Too many failed attempts" in locked.content
    assert b"The lockout is recorded." in locked.content, (
        "the attempt is not: only the first of them is an event"
    )
    assert client.get("/account/").status_code == 302
    assert attempt(Client(), PASSWORD, username="viewer").status_code == 303
    assert attempt(Client(REMOTE_ADDR="203.0.113.9"), PASSWORD).status_code == 303
    assert Event.objects.filter(verb="session.refuse").count() == 5
    assert Event.objects.filter(verb="session.lockout", key="operator").count() == 1


def test_many_addresses_together_do_not_get_around_the_lockout(settings: Any) -> None:
    person("operator")
    for number in range(50):
        attempt(Client(REMOTE_ADDR=f"203.0.113.{number}"), "nope")
    assert attempt(Client(REMOTE_ADDR="198.51.100.1"), PASSWORD).status_code == 429


def test_a_forged_address_header_gives_no_further_attempts(client: Client) -> None:
    person("operator")
    for number in range(5):
        attempt(Client(HTTP_X_FORWARDED_FOR=f"203.0.113.{number}"), "nope")
    assert attempt(Client(HTTP_X_FORWARDED_FOR="198.51.100.1"), PASSWORD).status_code == 429


@pytest.mark.parametrize("username", ["\x00", "x" * 151, "x" * 100_000, "' OR 1=1 --", "\ud7ff\u202e", ""])
def test_odd_names_are_refused_without_an_error(client: Client, username: str) -> None:
    assert attempt(client, "nope", username=username).status_code == 422


def test_the_deactivated_cannot_sign_in_and_their_sessions_end(sign_in: SignIn) -> None:
    user = person("operator")
    browser = sign_in(user)
    User.objects.update(is_active=False)
    assert browser.get("/account/").status_code == 302
    assert attempt(Client(), PASSWORD).status_code == 422


def test_signing_out_takes_a_post_and_ends_the_session(sign_in: SignIn) -> None:
    browser = sign_in(person("operator"))
    assert browser.get("/sign-out/").status_code == 405
    key = browser.session.session_key
    answer = browser.post("/sign-out/")
    assert (answer.status_code, answer["Location"]) == (303, "/sign-in/")
    browser.cookies["holdfast"] = key
    assert browser.get("/account/").status_code == 302
    assert Event.objects.get(verb="session.end").actor == "operator"


@pytest.mark.parametrize("path", ["/sign-in/", "/sign-out/", "/account/", "/audit/export/"])
def test_no_form_works_without_its_token(path: str) -> None:
    person("operator")
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(path, {"username": "operator", "password": PASSWORD}).status_code == 403
    assert not Event.objects.filter(verb="session.start").exists()


def test_nobody_signs_in_or_out_without_an_event(sign_in: SignIn) -> None:
    person("operator")
    assert_audited(lambda: attempt(Client(), PASSWORD))
    browser = sign_in(User.objects.get())
    assert_audited(lambda: browser.post("/sign-out/"))
    assert browser.get("/account/").status_code == 200


def test_guessing_the_password_of_a_stolen_session_is_counted_and_recorded(sign_in: SignIn) -> None:
    browser = sign_in(person("operator"))

    def guess(password: str) -> int:
        typed = {"current_password": password, "new_password": "another-long-one"}
        return int(browser.post("/account/", typed).status_code)

    assert [guess("nope") for _ in range(5)] == [422, 422, 422, 422, 429]
    assert guess(PASSWORD) == 429
    assert User.objects.get().check_password(PASSWORD)
    refused = Event.objects.filter(verb="session.refuse", key="operator", actor="operator")
    assert refused.count() == 5
    assert Event.objects.filter(verb="session.lockout", key="operator").count() == 1
    assert attempt(Client(), PASSWORD).status_code == 429


def test_a_new_password_ends_other_sessions_but_not_this_one(sign_in: SignIn) -> None:
    user = person("operator")
    here, elsewhere = sign_in(user), sign_in(user)
    weak = here.post("/account/", {"current_password": PASSWORD, "new_password": "short"})
    wrong = here.post("/account/", {"current_password": "nope", "new_password": "another-long-one"})
    assert (weak.status_code, wrong.status_code) == (422, 422)
    changed = {"current_password": PASSWORD, "new_password": "another-long-one"}
    assert_audited(lambda: here.post("/account/", changed))
    assert here.post("/account/", changed).status_code == 303
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302
