"""Default deny: every route says who may call it, and exactly those may."""

import sys
from types import ModuleType
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from accounts.access import needs
from accounts.routes import routes
from audit.models import Event
from tests.support.people import person

PUBLIC = {"sign-in", "oidc-start", "oidc-callback"}
ROUTES = list(routes())


def test_every_route_declares_who_may_call_it() -> None:
    closed = [route.path for route in ROUTES if route.access is None]
    assert not closed, f"decorate these views with needs(...), signed_in or open_to_all: {closed}"


def test_every_route_has_a_name_of_its_own() -> None:
    names = [route.name for route in ROUTES]
    assert "" not in names
    assert len(set(names)) == len(names)


def test_only_these_are_open_to_everybody() -> None:
    public = {route.name for route in ROUTES if route.access and route.access.public}
    health = {name for name in public if name.startswith("health")}
    assert public - health == PUBLIC


def test_every_route_says_which_methods_it_takes() -> None:
    assert [route.path for route in ROUTES if not route.says_methods] == []


@pytest.fixture
def routes_of_a_newcomer(settings: Any) -> None:
    def forgotten(request: HttpRequest) -> HttpResponse:
        return HttpResponse("secret")

    @needs("claims.view", write="protection.edit")
    def two_sided(request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")

    module = ModuleType("tests_routes_of_a_newcomer")
    module.urlpatterns = [path("forgotten/", forgotten), path("two-sided/", two_sided), *_site()]  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    settings.ROOT_URLCONF = module.__name__


def _site() -> list[Any]:
    from config.urls import urlpatterns

    return list(urlpatterns)


@pytest.mark.django_db
@pytest.mark.usefixtures("routes_of_a_newcomer")
def test_a_new_view_is_closed_even_to_admins_until_somebody_opens_it() -> None:
    browser = Client()
    assert browser.get("/forgotten/").status_code == 403
    browser.force_login(person("admin"))
    response = browser.get("/forgotten/")
    assert response.status_code == 403
    assert b"secret" not in response.content


@pytest.mark.django_db
@pytest.mark.usefixtures("routes_of_a_newcomer")
def test_reading_and_writing_may_need_different_permissions_and_refusals_are_recorded() -> None:
    browser = Client()
    browser.force_login(person("viewer"))
    assert browser.get("/two-sided/").content == b"fine"
    response = browser.post("/two-sided/")
    assert response.status_code == 403
    assert b"you need the role operator" in response.content
    assert b"The attempt is recorded." in response.content
    event = Event.objects.get()
    assert (event.verb, event.actor, event.key) == ("permission.refuse", "viewer", "/two-sided/")
    assert event.after == {"method": "POST", "permission": "protection.edit"}


def test_the_docs_show_the_table_as_it_is() -> None:
    call_command("roles_table", "--check")


def test_a_permission_with_a_typing_error_is_found_at_once() -> None:
    with pytest.raises(KeyError, match=r"migrations\.veiw"):
        needs("migrations.veiw")
