"""Requests that no browser sends are answered in words, never with a server error."""

from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory

from accounts.models import Grant
from dashboard.models import Cluster
from tests.migrations_app.making import at_sign_off
from tests.support.people import PASSWORD, person

pytestmark = pytest.mark.django_db


def signed_in(role: str = "admin") -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(person(role))
    browser.get("/account/")
    return browser


@pytest.mark.parametrize("path", ["/claims/c/%00/x/", "/claims/%00/n/x/", "/claims/c/n/%00/", "/%00"])
def test_a_nul_in_a_path(path: str) -> None:
    assert signed_in("viewer").get(path).status_code in {400, 404}


@pytest.mark.parametrize("name", [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME])
def test_a_nul_in_a_cookie(name: str) -> None:
    browser = Client(raise_request_exception=False)
    cookie = f'{name}="' + "\\000" * 32 + '"'
    for method in ("get", "post"):
        answer = getattr(browser, method)("/sign-in/", HTTP_COOKIE=cookie)
        assert answer.status_code < 500


def test_a_nul_in_the_name_of_a_role() -> None:
    browser = signed_in()
    other = person("viewer", name="viewer2")
    assert browser.post(f"/people/{other.pk}/revoke/", {"role": "\0"}).status_code == 303
    assert Grant.objects.filter(user=other).count() == 1


def test_a_failed_sign_in_with_a_nul_beside_it() -> None:
    browser = Client(raise_request_exception=False)
    fields = {"username": "nobody", "password": "wrong\0", "next": "\0"}
    assert browser.post("/sign-in/?x=%00", fields, HTTP_USER_AGENT="x\0y").status_code in {400, 422}
    person("viewer")
    fields = {"username": "viewer", "password": PASSWORD + "x", "other": "\0"}
    assert browser.post("/sign-in/?x=%00", fields).status_code == 422


def test_a_file_that_nobody_asked_for_is_kept_nowhere() -> None:
    fields = {"username": "x", "file": SimpleUploadedFile("x", b"x" * 6_000_000), "password": "y"}
    request = RequestFactory().post("/sign-in/", fields)
    assert not request.FILES and request.POST["password"] == "y"
    fields["file"] = SimpleUploadedFile("x", b"x" * 6_000_000)
    assert Client().post("/sign-in/", fields).status_code == 422


@pytest.mark.parametrize("header", ["HTTP_HX_CURRENT_URL", "HTTP_REFERER"])
@pytest.mark.parametrize("url", ["http://[", "http://[::1", "//[x]/", "\\\\", "javascript:alert(1)"])
def test_a_header_that_is_no_url(header: str, url: str) -> None:
    browser = Client(raise_request_exception=False)
    answer = browser.post("/claims/", HTTP_HX_REQUEST="true", **{header: url})
    assert answer.status_code == 200 and answer["HX-Redirect"].startswith("/sign-in/?")


def test_numbers_that_are_none() -> None:
    migration = at_sign_off(person("operator"), state="retained")
    browser = Client(raise_request_exception=False)
    browser.force_login(migration.requested_by)
    reference = migration.reference
    for version in ("9" * 5000, "-1", "\u0663", "\0"):
        answer = browser.post(f"/migrations/{reference}/act/undo/", {"version": version})
        assert answer.status_code == 422
        migration.refresh_from_db()
        assert migration.state == "retained"
    for page in ("9" * 5000, "-1", "x", "\0"):
        assert browser.get(f"/migrations/{reference}/timeline/", {"page": page}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"text": "\0 ' \\ :* \u2019 & | !"},
        {"older_than": "9" * 18},
    ],
)
def test_odd_filters_of_the_trail(query: dict[str, Any]) -> None:
    assert signed_in("auditor").get("/audit/", query).status_code in {200, 422}


def test_a_number_that_no_row_can_have() -> None:
    Cluster.objects.create(name="c")
    browser = signed_in()
    for path in ("/people/{}/", "/validation/{}/", "/audit/{}/", "/settings/repositories/{}/"):
        for number in ("9" * 30, "9" * 5000):
            assert browser.get(path.format(number)).status_code in {403, 404}, path
