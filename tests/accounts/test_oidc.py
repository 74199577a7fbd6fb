"""Signing in by a real OpenID provider, a process of its own."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from accounts.models import Grant, Identity, User
from accounts.permissions import can
from audit.models import Event
from tests.accounts.conftest import ProviderControl
from tests.support.people import person

pytestmark = pytest.mark.django_db


def path_and_query(location: str) -> str:
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}"


def ask(browser: Client, *, next_path: str = "/account/") -> str:
    """Goes to the provider and returns the address that it sends the browser back to."""
    there = browser.get("/sign-in/provider/", {"next": next_path})
    assert there.status_code == 302
    back = requests.get(there["Location"], allow_redirects=False, timeout=5)
    assert back.status_code == 302, back.text
    return path_and_query(back.headers["Location"])


def enter(browser: Client) -> Any:
    return browser.get(ask(browser))


def test_it_signs_in_with_pkce_and_gives_the_roles_of_the_groups(provider: ProviderControl) -> None:
    provider.next(sub="u-1", preferred_username="somebody", groups=["sre", "leads", "unknown"])
    browser = Client()
    there = browser.get("/sign-in/provider/")
    asked = parse_qs(urlsplit(there["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    answer = enter(browser)
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    user = User.objects.get(username="somebody")
    assert not user.has_usable_password()
    assert can(user, "migrations.edit", "anywhere")
    assert can(user, "signoff.give", "team-a-web")
    assert not can(user, "signoff.give", "team-b")
    assert browser.get("/account/").status_code == 200
    assert [event.verb for event in Event.objects.order_by("sequence")] == [
        "account.create", "role.grant", "role.grant", "session.start",
    ]  # fmt: skip


def test_it_takes_roles_back_when_the_groups_go_but_leaves_those_granted_here(
    provider: ProviderControl,
) -> None:
    provider.next(sub="u-1", preferred_username="somebody", groups=["sre", "leads"])
    enter(Client())
    user = User.objects.get(username="somebody")
    Grant.objects.create(user=user, role="viewer", namespaces=["x"])
    provider.next(sub="u-1", preferred_username="renamed", groups="leads")
    enter(Client())
    assert list(user.grants.order_by("role").values_list("role", flat=True)) == ["approver", "viewer"]
    assert User.objects.count() == 1
    assert Event.objects.get(verb="role.revoke").before["role"] == "operator"


def test_it_says_in_the_trail_that_it_took_the_role_from_the_last_admin(
    provider: ProviderControl, settings: Any
) -> None:
    settings.HOLDFAST_GROUP_ROLES = ["roots=admin", "sre=operator"]
    for subject, groups in (("u-1", "roots"), ("u-2", "roots"), ("u-2", "sre"), ("u-1", "sre")):
        provider.next(sub=subject, preferred_username=f"name-of-{subject}", groups=groups)
        enter(Client())
    revoked = Event.objects.filter(verb="role.revoke").order_by("sequence")
    assert [(event.key, "Nobody can grant" in event.note) for event in revoked] == [
        ("name-of-u-2", False),
        ("name-of-u-1", True),
    ]


def test_it_never_hands_an_account_to_another_subject(provider: ProviderControl) -> None:
    person("admin")
    provider.next(sub="u-evil", preferred_username="ADMIN", groups=[])
    answer = enter(browser := Client())
    assert answer.status_code == 403
    assert b"exists already" in answer.content
    assert browser.get("/account/").status_code == 302
    assert User.objects.count() == 1


def test_it_keeps_the_deactivated_out(provider: ProviderControl) -> None:
    provider.next(sub="u-1", preferred_username="somebody", groups=["sre"])
    browser = Client()
    enter(browser)
    User.objects.update(is_active=False)
    assert browser.get("/account/").status_code == 302
    assert enter(Client()).status_code == 403


@pytest.mark.parametrize(
    "bad",
    ["issuer", "audience", "expired", "nonce", "unsigned", "symmetric", "signature", "denied", "no id_token"],
)
def test_it_trusts_no_answer_that_does_not_fit(provider: ProviderControl, bad: str) -> None:
    provider.next(bad=bad, sub="u-1", preferred_username="somebody", groups=["sre"])
    answer = enter(browser := Client())
    assert answer.status_code == 400
    assert b"<script>no" not in answer.content
    assert browser.get("/account/").status_code == 302
    assert not User.objects.exists()
    assert Event.objects.get().verb == "session.refuse"


def test_a_callback_works_once_and_only_in_the_browser_that_asked(provider: ProviderControl) -> None:
    provider.next(sub="u-1", preferred_username="somebody", groups=["sre"])
    browser = Client()
    back = ask(browser)
    assert Client().get(back).status_code == 400
    assert browser.get(back.replace("state=", "state=x")).status_code == 400
    back = ask(browser)
    assert browser.get(back).status_code == 302
    assert browser.get(back).status_code == 400


def test_a_callback_that_nobody_asked_for_leaves_no_event(provider: ProviderControl) -> None:
    provider.next(sub="u-1", preferred_username="somebody", groups=[])
    for _ in range(3):
        answer = Client().get("/sign-in/provider/callback/?state=x&code=y")
        assert (answer.status_code, b"is recorded" in answer.content) == (400, False)
    assert not Event.objects.exists()
    ask(browser := Client())
    for nth in range(3):
        answer = browser.get("/sign-in/provider/callback/?error=access_denied")
        assert (answer.status_code, b"is recorded" in answer.content) == (400, nth == 0)
    assert Event.objects.get().verb == "session.refuse"


def test_it_leads_only_to_pages_of_this_site(provider: ProviderControl) -> None:
    provider.next(sub="u-1", preferred_username="somebody", groups=[])
    browser = Client()
    assert "evil" not in browser.get(ask(browser, next_path="https://evil.example/"))["Location"]


@pytest.mark.parametrize("name", ["", " ", "x" * 151, "a\u202eb", "\x00"])
def test_it_needs_a_usable_name(provider: ProviderControl, name: str) -> None:
    provider.next(sub="u-1", preferred_username=name, groups=["sre"])
    assert enter(Client()).status_code == 403
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "name", ["system:worker", " System:web", "\uff53ystem:worker", "Anonymous", "(unknown account)"]
)
def test_nobody_is_called_as_holdfast_calls_itself(provider: ProviderControl, name: str) -> None:
    provider.next(sub="u-1", preferred_username=name, groups=["sre"])
    assert enter(Client()).status_code == 403
    assert not User.objects.exists()
    # Also not who was let in before there was this rule.
    user = User.objects.create(username=name)
    Identity.objects.create(user=user, issuer=provider.issuer, subject="u-1")
    assert enter(Client()).status_code == 403


def test_a_provider_that_is_down_is_said_to_be_down(settings: Any, provider: ProviderControl) -> None:
    settings.HOLDFAST_OIDC_ISSUER = "http://127.0.0.1:9"
    answer = Client().get("/sign-in/provider/")
    assert answer.status_code == 502
    assert b"does not answer" in answer.content


def test_without_a_provider_there_is_no_such_page() -> None:
    assert Client().get("/sign-in/provider/").status_code == 404
    assert Client().get("/sign-in/provider/callback/").status_code == 404
    assert b"provider" not in Client().get("/sign-in/").content
