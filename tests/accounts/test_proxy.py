"""Signing in behind a trusted proxy, and what headers of everybody else are worth: nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, RequestFactory

from accounts.addresses import client_address
from accounts.checks import check_group_roles, check_oidc, check_proxy_sign_in
from accounts.models import User
from accounts.permissions import can, roles_of
from audit.models import Event
from tests.support.people import person

PROXY, STRANGER = "10.0.3.7", "10.0.9.9"
SOMEBODY = {"HTTP_X_REMOTE_USER": "somebody", "HTTP_X_REMOTE_GROUPS": "sre, unknown"}


@pytest.fixture
def proxied(settings: Any) -> Iterator[None]:
    settings.HOLDFAST_PROXY_USER_HEADER = "X-Remote-User"
    settings.HOLDFAST_PROXY_GROUPS_HEADER = "X-Remote-Groups"
    settings.HOLDFAST_PROXY_ADDRESSES = ["10.0.3.0/28"]
    settings.HOLDFAST_GROUP_ROLES = ["sre=operator"]
    yield


@pytest.mark.django_db
@pytest.mark.usefixtures("proxied")
def test_whom_the_proxy_names_is_signed_in_with_the_roles_of_the_groups() -> None:
    browser = Client(REMOTE_ADDR=PROXY, **SOMEBODY)
    assert browser.get("/account/").status_code == 200
    assert browser.get("/account/").status_code == 200
    assert can(User.objects.get(username="somebody"), "migrations.edit")
    assert Event.objects.filter(verb="session.start").count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("header", ["HTTP_X_REMOTE_USER", "HTTP_X_Remote_User", "HTTP_X_FORWARDED_USER"])
def test_the_header_of_a_stranger_is_ignored(header: str) -> None:
    browser = Client(REMOTE_ADDR=STRANGER, HTTP_X_FORWARDED_FOR=PROXY, **{header: "admin"})
    assert browser.get("/account/").status_code == 302
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_header_is_ignored_unless_it_is_switched_on() -> None:
    assert Client(REMOTE_ADDR=PROXY, **SOMEBODY).get("/account/").status_code == 302


@pytest.mark.django_db
@pytest.mark.usefixtures("proxied")
def test_the_proxy_cannot_name_a_local_account() -> None:
    person("admin")
    answer = Client(REMOTE_ADDR=PROXY, HTTP_X_REMOTE_USER="admin").get("/account/")
    assert answer.status_code == 403
    assert b"exists already" in answer.content


@pytest.mark.django_db
@pytest.mark.usefixtures("proxied")
def test_a_change_of_person_groups_or_of_the_proxys_mind_counts_at_once() -> None:
    browser = Client(REMOTE_ADDR=PROXY)
    browser.get("/account/", **SOMEBODY)
    browser.get("/account/", **{**SOMEBODY, "HTTP_X_REMOTE_GROUPS": ""})
    assert not can(User.objects.get(username="somebody"), "migrations.edit")
    assert b"another" in browser.get("/account/", **{**SOMEBODY, "HTTP_X_REMOTE_USER": "another"}).content
    assert browser.get("/account/").status_code == 302
    browser.get("/account/", **SOMEBODY)
    stolen = Client(REMOTE_ADDR=STRANGER)
    stolen.cookies = browser.cookies
    assert stolen.get("/account/").status_code == 302


@pytest.mark.django_db
@pytest.mark.usefixtures("proxied")
def test_a_change_of_what_the_groups_give_counts_at_once(settings: Any) -> None:
    browser = Client(REMOTE_ADDR=PROXY, **SOMEBODY)
    browser.get("/account/")
    settings.HOLDFAST_GROUP_ROLES = ["sre=viewer@team-a", "others=admin"]
    browser.get("/account/")
    user = User.objects.get(username="somebody")
    assert roles_of(user) == ["viewer"] and not can(user, "migrations.view", "team-b")
    for _ in range(2):
        settings.HOLDFAST_GROUP_ROLES = ["sre=viewer@team-a", "others=viewer"]  # nothing of theirs
        browser.get("/account/")
    assert Event.objects.filter(verb="session.start").count() == 2


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("addresses", [[], ["0.0.0.0/0"], ["::/0"], ["proxy.example"]])
def test_it_does_not_start_without_a_sensible_list_of_addresses(settings: Any, addresses: list[str]) -> None:
    settings.HOLDFAST_PROXY_ADDRESSES = addresses
    assert [problem.id for problem in check_proxy_sign_in(None)] != []
    with pytest.raises(ImproperlyConfigured, match="HOLDFAST_PROXY_ADDRESSES"):
        WSGIHandler()


def test_settings_of_sign_in_are_checked(settings: Any) -> None:
    assert check_proxy_sign_in(None) == check_oidc(None) == check_group_roles(None) == []
    settings.HOLDFAST_OIDC_ISSUER, settings.HOLDFAST_TLS = "http://provider.example", True
    assert [problem.id for problem in check_oidc(None)] == ["accounts.E005", "accounts.E006"]
    for entry in ["sre", "=operator", "sre=king", "sre=operator@A", "sre=operator@a||b", "sre=operator@"]:
        settings.HOLDFAST_GROUP_ROLES = [entry]
        assert [problem.id for problem in check_group_roles(None)] == ["accounts.E004"], entry


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.5", "1.1.1.1", "203.0.113.5"),
        (PROXY, "", PROXY),
        (PROXY, "198.51.100.4", "198.51.100.4"),
        (PROXY, "1.1.1.1, 198.51.100.4", "198.51.100.4"),
        (PROXY, "198.51.100.4, 10.0.3.8", "198.51.100.4"),
        (PROXY, "198.51.100.4, nonsense", PROXY),
        (PROXY, "198.51.100.0/24", PROXY),
        ("::ffff:10.0.3.7", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_address_is_the_nearest_that_is_no_trusted_proxy(
    settings: Any, peer: str, forwarded: str, expected: str
) -> None:
    settings.HOLDFAST_TRUSTED_PROXIES = ["10.0.3.0/28"]
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


@pytest.mark.django_db
def test_a_request_id_is_taken_from_a_trusted_proxy_alone(settings: Any) -> None:
    given = {"HTTP_X_REQUEST_ID": "from-the-proxy-1"}
    assert Client().get("/sign-in/", **given)["X-Request-ID"] != "from-the-proxy-1"
    settings.HOLDFAST_TRUSTED_PROXIES = [PROXY]
    assert Client(REMOTE_ADDR=PROXY).get("/sign-in/", **given)["X-Request-ID"] == "from-the-proxy-1"
    odd = {"HTTP_X_REQUEST_ID": "a b<script>"}
    assert "script" not in Client(REMOTE_ADDR=PROXY).get("/sign-in/", **odd)["X-Request-ID"]
