"""Whatever is sent to any route is answered in words: wrong methods, forged ids, expired and replayed forms, odd text, spoofed headers.

Routes, forms, fields and parameters are found in the site itself, so that a new one cannot be forgotten. One world serves all tests
here: each request is taken back when it has been answered.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from accounts.roles import Role
from accounts.routes import METHODS, Route, answer
from audit.models import Event
from audit.trail import Actor
from migrations_app.actions import signing
from migrations_app.models import Migration
from migrations_app.states import DRAFTS
from tests.support.audit import everything as all_rows
from tests.support.every_route import MARKUP, ODD, ROUTES, SESSION, Form, Visitor, World, crawl, everybody
from tests.support.people import person

pytestmark = pytest.mark.xdist_group("every route")

ANSWERS = {200, 302, 303, 400, 403, 404, 405, 422, 429}
# Shown only while something waits: the form that was held when a session ended.
NOT_ALWAYS_SHOWN = {"held-form"}
# These answer 404 while no identity provider is configured.
NOT_CONFIGURED = {"oidc-start", "oidc-callback"}
EVIL = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "https:evil.example",
)
Found = tuple[list[Form], dict[str, set[str]]]


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with django_db_blocker.unblock(), override_settings(HOLDFAST_BREAK_GLASS=True), transaction.atomic():
        yield World.make()
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def visitor(world: World) -> Visitor:
    """Somebody with every role, everywhere."""
    return Visitor(everybody())


@pytest.fixture(scope="module")
def found(world: World, visitor: Visitor) -> Found:
    """The forms that somebody with every role, the operator who asked, and somebody who is not signed in can see."""
    return crawl(world, visitor, Visitor(world.operator), Visitor(None))


@pytest.fixture(autouse=True)
def taken_back(world: World, found: Found) -> Iterator[None]:
    """What one test leaves behind meets no other."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def forms(found: Found) -> list[Form]:
    """One form for each route that has one."""
    return list({form.route: form for form in found[0]}.values())


def test_each_route_has_an_address_with_something_real_behind_it(world: World, visitor: Visitor) -> None:
    assert not set(ROUTES) - set(world.addresses), "name them in tests/support/every_route.py"
    elsewhere = {"sign-in", "held-form", "wizard", "wizard-review", "healthz"} | NOT_CONFIGURED
    empty = {
        address: status
        for route, address in world.asked("GET")
        if route.name not in elsewhere and (status := visitor.ask("GET", address).status_code) != 200
    }
    assert empty == {}


def test_each_route_that_takes_a_post_has_a_form_on_some_page(forms: list[Form]) -> None:
    posts = {name for name, route in ROUTES.items() if "POST" in route.methods}
    assert posts - {form.route for form in forms} == NOT_ALWAYS_SHOWN


@pytest.mark.parametrize("who", ["nobody", "outsider", *Role.values])
def test_each_role_gets_from_each_route_what_the_table_says(world: World, who: str) -> None:
    """At the address of something real: what is not there would answer 404 to everybody."""
    someone = Visitor(
        None if who == "nobody" else person("" if who == "outsider" else who, name=f"the-{who}")
    )
    wrong = []
    for name, addresses in world.addresses.items():
        for method in METHODS:
            got = _kind(someone.ask(method, addresses[0]), ROUTES[name], method)
            expected = answer(ROUTES[name], method, who)
            if got != expected:
                wrong.append(f"{method} {addresses[0]}: {got}, not {expected}")
    assert not wrong


def _kind(response: Any, route: Route, method: str) -> str:
    status = response.status_code
    if status == 403:
        return "403"
    if status in {302, 303} and response["Location"].startswith("/sign-in/?next="):
        return "sign in"
    if status == 405:
        return "yes" if method not in route.methods else "405"
    if status == 404 and route.name not in NOT_CONFIGURED and method == "GET":
        return "404: the address of something real is not found"
    health_while_down = route.name.startswith("health") and status == 503
    return "yes" if status < 500 or health_while_down else f"{status}: an error"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_a_route_does_not_take_opens_nothing(
    world: World, visitor: Visitor, method: str
) -> None:
    nobody = Visitor(None)
    wrong = []
    for name, addresses in world.addresses.items():
        public = ROUTES[name].access.public  # type: ignore[union-attr]
        if method in ROUTES[name].methods:
            continue
        allowed = {405, 404} if name in NOT_CONFIGURED else {405}
        if (status := visitor.ask(method, addresses[0]).status_code) not in allowed:
            wrong.append((addresses[0], status))
        if not public and nobody.ask(method, addresses[0]).status_code not in {302, 303}:
            wrong.append((addresses[0], "open to nobody"))
    assert wrong == []


def test_each_form_can_be_sent_as_it_is_and_again(found: Found, visitor: Visitor) -> None:
    """Double clicks, reloads and replays: the second is an answer, too."""
    for form in found[0]:
        with transaction.atomic():
            browser = visitor.client()
            answers = [browser.post(form.action, form.fields).status_code for _ in range(2)]
            transaction.set_rollback(True)
        assert set(answers) <= ANSWERS, (form, answers)


@pytest.mark.parametrize("text", ODD, ids=("long", "markup", "blank"))
def test_odd_text_in_any_field_is_answered_and_never_comes_back_as_markup(
    forms: list[Form], visitor: Visitor, text: str
) -> None:
    wrong = []
    for form in forms:
        for name in form.fields:
            got = visitor.ask("POST", form.action, {**form.fields, name: text})
            if got.status_code not in ANSWERS or MARKUP.encode() in got.whole:
                wrong.append((form.action, name, got.status_code))
    assert wrong == []


@pytest.mark.parametrize("text", (ODD[0][:3000], *ODD[1:]), ids=("long", "markup", "blank"))
def test_odd_text_in_any_parameter_is_answered_and_never_comes_back_as_markup(
    world: World, found: Found, visitor: Visitor, text: str
) -> None:
    wrong = []
    for name, addresses in world.addresses.items():
        own = found[1].get(name, set())
        queries = [
            dict.fromkeys({"q", "page", "format", "next", "show", *own}, text),
            *({each: text} for each in own),
        ]
        for query in queries if "GET" in ROUTES[name].methods else ():
            got = visitor.ask("GET", addresses[0], query)
            if got.status_code not in ANSWERS or MARKUP.encode() in got.whole:
                wrong.append((addresses[0], list(query), got.status_code))
    assert wrong == []
    assert len(set().union(*found[1].values())) > 15, "the parameters of links and filters are not found"


def test_a_form_with_too_many_or_too_large_fields_is_refused(forms: list[Form], visitor: Visitor) -> None:
    many = {f"field-{number}": "x" for number in range(1200)}
    for form in forms:
        if form.fields:
            assert visitor.ask("POST", form.action, many).status_code == 400, form.action
            huge = {**form.fields, "text": "x" * 3_000_000}
            assert visitor.ask("POST", form.action, huge).status_code == 400, form.action


def test_a_form_without_its_token_does_nothing(forms: list[Form]) -> None:
    strict = Visitor(everybody(name="another"), csrf=True)
    for form in forms:
        assert strict.ask("POST", form.action, form.fields).status_code == 403, form.action


def test_a_form_whose_session_ended_does_nothing_and_waits(forms: list[Form]) -> None:
    user = everybody(name="another")
    before = all_rows()
    for form in forms:
        if ROUTES[form.route].access.public:  # type: ignore[union-attr]
            continue
        browser = Visitor(user).client()
        session = SessionStore(browser.cookies[SESSION].value)
        session["started_at"] = session["seen_at"] = 0
        session.save()
        got = browser.post(form.action, form.fields)
        waits = bool(form.fields) and not any("password" in name for name in form.fields)
        assert got.status_code == 303 and got["Location"].startswith("/sign-in/?next="), form.action
        assert ("held-form" in got["Location"]) is waits, form.action
        assert Event.objects.latest("sequence").verb == "session.expire"
    after = all_rows()
    assert {table for table in before if before[table] != after[table]} <= {"django_session", "accounts_user"}


def test_forged_addresses_of_other_namespaces_are_not_there(world: World) -> None:
    """Somebody with every role, elsewhere, at the real address of everything."""
    stranger = Visitor(everybody("elsewhere", name="stranger"))
    secrets = {"library", "unprotected", "photos", "somebody", "git.example.com"}
    before = all_rows()
    wrong = []
    for name, addresses in world.addresses.items():
        for address in addresses if ROUTES[name].arguments else ():
            allowed = {403, 404, 405} | ({200} if name == "validation-run" else set())
            for method in METHODS:
                got = stranger.ask(method, address)
                text = got.whole.decode(errors="replace")
                told = [each for each in secrets - set(address.split("/")) if each in text]
                if got.status_code not in allowed or told:
                    wrong.append((method, address, got.status_code, told))
    assert wrong == []
    assert all_rows() == before


SPOOFED = {
    "HTTP_X_FORWARDED_FOR": "203.0.113.66",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_USER": "admin",
    "HTTP_X_REMOTE_USER": "admin",
    "HTTP_REMOTE_USER": "admin",
    "HTTP_X_HTTP_METHOD_OVERRIDE": "POST",
    "HTTP_X_ORIGINAL_URL": "/people/",
    "HTTP_X_REWRITE_URL": "/people/",
    "HTTP_FORWARDED": "for=203.0.113.66;host=evil.example;proto=https",
}


@pytest.mark.parametrize("role", ["", "viewer"])
def test_spoofed_headers_change_no_answer_and_no_event(world: World, role: str) -> None:
    who = Visitor(person(role, name="plain") if role else None)
    wrong = []
    for name, addresses in world.addresses.items():
        for method in ROUTES[name].methods:
            plain, spoofed = (who.ask(method, addresses[0], **headers) for headers in ({}, SPOOFED))
            if (plain.status_code, plain.get("Location")) != (spoofed.status_code, spoofed.get("Location")):
                wrong.append((method, addresses[0], plain.status_code, spoofed.status_code))
            if b"evil.example" in spoofed.whole:
                wrong.append((method, addresses[0], "says evil.example"))
    assert wrong == []
    who.client().get("/people/", **SPOOFED)
    assert not Event.objects.filter(address="203.0.113.66").exists()


def test_another_host_is_refused(world: World, visitor: Visitor) -> None:
    for name, addresses in world.addresses.items():
        if name == "healthz":  # the kubelet asks by the pod's address; the answer is the same words
            continue
        for method in ROUTES[name].methods:
            got = visitor.ask(method, addresses[0], HTTP_HOST="evil.example")
            assert got.status_code == 400, (method, addresses[0])


@pytest.mark.parametrize("evil", EVIL)
def test_no_route_leads_to_another_site(world: World, forms: list[Form], visitor: Visitor, evil: str) -> None:
    headers = {"HTTP_REFERER": evil, "HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": evil}
    # Those who are signed in are led by forms alone; a page of theirs leads nowhere.
    for who in (visitor, Visitor(None)) if evil == EVIL[0] else (Visitor(None),):
        asked = [("GET", addresses[0], {}) for addresses in world.addresses.values()]
        asked += [("POST", form.action, form.fields) for form in forms]
        for method, address, fields in asked:
            got = who.ask(method, address, {**fields, "next": evil}, **headers)
            for led in (got.get("Location", ""), got.get("HX-Redirect", "")):
                assert not led or (led.startswith("/") and not led.startswith(("//", "/\\"))), (address, led)
                assert "evil" not in led and "alert" not in led, (address, led)


def test_every_page_of_a_migration_shouts_when_somebody_approved_alone(
    world: World, visitor: Visitor
) -> None:
    shouting = []
    for migration in Migration.objects.exclude(state__in=DRAFTS):
        asked = migration.sign_off_requests.order_by("-id").first()
        asked = asked or signing.open_request(migration, actor=Actor.system("test"))
        asked.decisions.create(kind="break-glass", by_name="admin", covers_digest=asked.covers_digest)
        shouting.append(migration.reference)
    shown = 0
    for _, address in world.asked("GET"):
        if any(reference in address for reference in shouting):
            got = visitor.ask("GET", address)
            if got.status_code == 200 and "text/html" in got["Content-Type"]:
                assert b"Break-glass was used" in got.whole, address
                shown += 1
    assert shown >= 12
