"""What belongs to other namespaces does not exist, on any route, by any method, for any role."""

import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Grant, User
from accounts.roles import Role
from accounts.routes import METHODS, Route, routes
from audit.models import Event
from dashboard.models import Claim, Cluster
from migrations_app.models import Migration
from tests.audit.conftest import note
from tests.support.audit import everything

pytestmark = pytest.mark.django_db

ROUTES = list(routes())
SECRET = "zz-secret-application"


@pytest.fixture
def of_others() -> dict[str, dict[str, object]]:
    """Objects of team-b, and one migration that leaves team-a for team-b: arguments of routes, by kind."""
    cluster = Cluster.objects.create(name="production")
    claim = Claim.objects.create(
        cluster=cluster, uid="u-1", namespace="team-b", name=SECRET, seen_at=timezone.now()
    )
    common = {"cluster": cluster, "application": SECRET, "requested_by_name": "operator"}
    hidden = Migration.objects.create(source_namespace="team-b", destination_namespace="team-a", **common)
    leaving = Migration.objects.create(source_namespace="team-a", destination_namespace="team-b", **common)
    event = note(1, namespace="team-b", key=SECRET)
    return {
        "hidden": {"reference": hidden.reference},
        "leaving": {"reference": leaving.reference},
        "claim": {"cluster": "production", "namespace": "team-b", "name": claim.name},
        "event": {"sequence": event.sequence},
    }


def everybody_of_team_a() -> User:
    """Somebody who holds every role, in team-a alone."""
    user = User.objects.create_user(username="team-a-everything")
    for role in Role:
        Grant.objects.create(user=user, role=role, namespaces=["team-a"])
    return user


def address(route: Route, arguments: dict[str, object]) -> str | None:
    """The address of `route` with these arguments; None when they are of another kind."""
    names = {name for name, _ in route.arguments}
    if not names or not (set(arguments) <= names and names - {"verb"} <= set(arguments)):
        return None
    given = {**arguments, "verb": "pause"}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(given[found[1]]), route.path)


@pytest.mark.parametrize("kind", ["hidden", "leaving", "claim", "event"])
def test_forged_addresses_of_other_namespaces_are_404_and_change_nothing(
    of_others: dict[str, dict[str, object]], kind: str
) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(everybody_of_team_a())
    browser.get("/account/")
    before = everything()
    tried = 0
    for route in ROUTES:
        url = address(route, of_others[kind])
        for method in METHODS if url else ():
            answer = browser.generic(method, url)
            assert answer.status_code in {404, 405}, f"{method} {url}: {answer.status_code}"
            assert SECRET not in answer.content.decode()
            tried += 1
    assert tried >= 2
    assert everything() == before


def test_no_list_shows_them(of_others: dict[str, dict[str, object]]) -> None:
    browser = Client()
    browser.force_login(everybody_of_team_a())
    for route in ROUTES:
        if not route.arguments and "GET" in route.methods and route.name != "healthz":
            for query in ("", "?format=csv", f"?q={SECRET[:4]}&show=all"):
                answer = browser.get(route.path + query)
                body = b"".join(answer.streaming_content) if answer.streaming else answer.content
                assert SECRET not in body.decode(), f"{route.path}{query} shows what belongs to team-b"
    assert not Event.objects.filter(verb="permission.refuse", after__permission="").exists()
