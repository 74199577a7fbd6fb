"""Every route of the site with something real behind it, for the tests that walk all of them.

`World` makes one of everything and knows which arguments make each route answer with it. A new route that is not named here fails
`tests/security/test_every_route.py`, which says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import Resolver404, resolve, reverse

from accounts.models import Grant, User
from accounts.roles import Role
from accounts.routes import Route, routes
from dashboard.models import GitRepository, ProtectionChange, ValidationRun
from dashboard.protecting_states import ChangeState
from migrations_app.actions import signing
from migrations_app.models import Decision, Migration
from migrations_app.states import State
from tests.browser.making import PLAN, everything
from tests.migrations_app.making import asked, at_sign_off
from tests.pages.making import claim, cluster
from tests.support.people import person

ROUTES = {route.name: route for route in routes()}
# What no test should meet in an answer, because only text that was sent in has it.
MARKUP = "<script>alert(1)</script>"
# What people and programs paste: too long; markup, NUL, wide and bidirectional letters, SQL, templates; nothing.
ODD = ("x" * 100_000, f"{MARKUP}\x00\U0001f600\u202e'; drop table x; --{{{{7*7}}}}", " ")


@dataclass
class World:
    """One of everything. `addresses` holds for each route the addresses that are worth asking, the plainest first."""

    operator: User
    addresses: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def make(cls) -> "World":
        """Needs HOLDFAST_BREAK_GLASS for the form of break-glass to be shown."""
        world = cls(person("operator"))
        made = everything(world.operator)
        made["ready"] = at_sign_off(
            world.operator, state=State.READY, current_step="plan", started_at=None, plan=PLAN
        )
        made["rejected"] = _answered(world.operator, Decision.Kind.REJECT, "strict")
        made["asked"] = _answered(world.operator, Decision.Kind.ASK, "curious")
        world._add_people()
        world._add_dashboard()
        world._add_migrations(made)
        for name, route in ROUTES.items():
            if not route.arguments:
                world.addresses[name] = [route.path]
        world.addresses["wizard-new"] = ["/migrations/new/?namespace=office", "/migrations/new/"]
        return world

    def _add(self, route: str, /, **arguments: object) -> None:
        self.addresses.setdefault(route, []).append(reverse(route, kwargs=arguments))

    def _add_people(self) -> None:
        somebody = person("viewer", name="somebody")
        Grant.objects.create(user=somebody, role="auditor", namespaces=["team-*"])
        for name in ("person", "person-grant", "person-revoke", "person-active"):
            self._add(name, user_id=somebody.pk)
        self._add("audit-event", sequence=1)

    def _add_dashboard(self) -> None:
        found = claim("unprotected", owner_namespace="flux-system", owner_name="photos")
        where = {"cluster": found.cluster.name, "namespace": found.namespace, "name": found.name}
        self._add("claim", **where)
        self._add("claim-protect", **where)
        change = ProtectionChange.objects.create(
            cluster=found.cluster,
            claim=found,
            namespace=found.namespace,
            name=found.name,
            uid=found.uid,
            by_name="operator",
            state=ChangeState.READY,
            diff="--- a/x.yaml\n+++ b/x.yaml\n@@ -1 +1,2 @@\n a: b\n+c: d\n",
            effect="e" * 64,
            repository_name="fleet",
            summary="Protect unprotected",
        )
        for name in ("protection", "protection-push", "protection-withdraw", "protection-patch"):
            self._add(name, reference=change.reference)
        self._add("validation-run", run_id=ValidationRun.objects.latest("pk").pk)
        repository = GitRepository.objects.create(
            cluster=cluster(), name="fleet", url="https://git.example.com/fleet.git", push_policy="direct"
        )
        for name in ("repository", "repository-remove"):
            self._add(name, repository_id=repository.pk)

    def _add_migrations(self, made: dict[str, Migration]) -> None:
        about = {
            "migration-confirm-test": ["test"],
            "sign-off-ask-again": ["rejected"],
            "sign-off-answer": ["asked"],
            "wizard-review": ["ready"],
            "wizard-start": ["ready"],
            "migration": ["sign-off", "test", "running", "failed", "retained", "rejected"],
            "migration-logs": ["running", "sign-off"],
            "migration-evidence": ["failed", "sign-off"],
            "sign-off": ["sign-off", "rejected", "asked"],
        }
        for name, route in ROUTES.items():
            if [argument for argument, _ in route.arguments] == ["reference"] and name not in self.addresses:
                usual = ["draft", "ready"] if name.startswith("wizard") else ["sign-off"]
                for state in about.get(name, usual):
                    self._add(name, reference=made[state].reference)
        for verb, state in (
            ("roll-back", "running"),
            ("abort", "running"),
            ("undo", "retained"),
            ("purge", "retained"),
            ("close", "failed"),
        ):
            self._add("migration-act", reference=made[state].reference, verb=verb)

    def asked(self, method: str) -> Iterator[tuple[Route, str]]:
        """Each address that takes `method`, with its route."""
        for name, addresses in self.addresses.items():
            if method in ROUTES[name].methods:
                for address in addresses:
                    yield ROUTES[name], address


def _answered(operator: User, kind: Decision.Kind, by: str) -> Migration:
    migration = at_sign_off(operator, plan=PLAN)
    request = asked(migration)
    signing.decide(
        by=person("approver", name=by),
        request=request,
        kind=kind,
        text="The newest album is missing.",
        covers_digest=request.covers_digest,
    )
    return migration


def everybody(*namespaces: str, name: str = "everybody") -> User:
    """One person with every role, in `namespaces` or everywhere."""
    user = person(name=name)
    for role in Role:
        Grant.objects.create(user=user, role=role, namespaces=list(namespaces) or ["*"])
    return user


@contextmanager
def taken_back() -> Iterator[None]:
    """What is done inside is undone at its end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Visitor:
    """Asks as one person, each time with the session as it was at first, and takes back whatever came of it."""

    def __init__(self, user: User | None, *, csrf: bool = False) -> None:
        self._csrf = csrf
        self._cookies: dict[str, str] = {}
        if user is not None:
            browser = Client()
            browser.force_login(user)
            browser.get(reverse("account"))
            self._cookies = {name: cookie.value for name, cookie in browser.cookies.items()}

    def client(self) -> Client:
        """A browser with that session, whose doings stay."""
        browser = Client(raise_request_exception=False, enforce_csrf_checks=self._csrf)
        for name, value in self._cookies.items():
            browser.cookies[name] = value
        return browser

    def ask(self, method: str, address: str, data: dict[str, Any] | None = None, **headers: str) -> Any:
        with taken_back():
            browser = self.client()
            if method in {"GET", "HEAD"}:
                answer = (
                    browser.get(address, data or {}, **headers)
                    if method == "GET"
                    else browser.head(address, **headers)
                )
            elif method == "POST":
                answer = browser.post(address, data or {}, **headers)
            else:
                answer = browser.generic(method, address, **headers)
            answer.whole = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return answer


@dataclass
class Form:
    """A form that posts, as a page shows it."""

    route: str
    action: str
    fields: dict[str, str]


class Page(HTMLParser):
    """The forms of a page, and the names of the parameters that its links and filters give to addresses."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = urlsplit(address).path
        self.forms: list[Form] = []
        self.parameters: dict[str, set[str]] = {}
        self._form: Form | None = None
        self._get: str = ""
        self._area = ""
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name in ("href", "hx-get"):
            self._note(given.get(name, ""))
        if tag == "form":
            action = given.get("action") or self.address
            if given.get("method", "get") == "post":
                self._form = Form(_route_of(action), action, {})
                self.forms.append(self._form)
            else:
                self._get = action
        elif given.get("name") and tag in {"input", "textarea", "select", "button"}:
            self._field(tag, given)
        elif tag == "option" and self._select and ("selected" in given or not self._form_value()):
            self._set(self._select, given.get("value", ""))

    def _form_value(self) -> str:
        return self._form.fields.get(self._select, "") if self._form else "x"

    def _field(self, tag: str, given: dict[str, str]) -> None:
        if self._form is None:
            if self._get:
                self.parameters.setdefault(_route_of(self._get), set()).add(given["name"])
            return
        unticked = given.get("type") in {"checkbox", "radio"} and "checked" not in given
        if not unticked:
            self._set(given["name"], given.get("value", ""))
        self._area = given["name"] if tag == "textarea" else ""
        self._select = given["name"] if tag == "select" else ""

    def _set(self, name: str, value: str) -> None:
        if self._form is not None:
            self._form.fields[name] = value

    def handle_data(self, data: str) -> None:
        if self._area:
            self._set(self._area, data.strip())

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form, self._get = None, ""
        if tag == "textarea":
            self._area = ""
        if tag == "select":
            self._select = ""

    def _note(self, link: str) -> None:
        parts = urlsplit(link)
        if parts.netloc or not parts.query:
            return
        names = parse_qs(parts.query, keep_blank_values=True)
        self.parameters.setdefault(_route_of(parts.path or self.address), set()).update(names)


def _route_of(address: str) -> str:
    try:
        return str(resolve(urlsplit(address).path).url_name)
    except Resolver404:
        return ""


def crawl(world: World, *visitors: Visitor) -> tuple[list[Form], dict[str, set[str]]]:
    """All forms of all pages as these visitors see them, each once, and the parameters of each route."""
    forms: dict[tuple[str, tuple[str, ...]], Form] = {}
    parameters: dict[str, set[str]] = {}
    for visitor in visitors:
        for _, address in world.asked("GET"):
            answer = visitor.ask("GET", address)
            if answer.status_code != 200 or "text/html" not in answer["Content-Type"]:
                continue
            page = Page(address, answer.whole.decode())
            for form in page.forms:
                form.fields.pop("csrfmiddlewaretoken", None)
                forms.setdefault((form.action, tuple(sorted(form.fields))), form)
            for route, names in page.parameters.items():
                parameters.setdefault(route, set()).update(names)
    return list(forms.values()), parameters


SESSION = settings.SESSION_COOKIE_NAME
