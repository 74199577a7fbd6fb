"""A watcher or a worker that is not there any more shows: nothing old looks fresh, and nothing waits behind a spinner for ever."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from dashboard.models import Cluster, ProtectionChange
from dashboard.states import Connection
from migrations_app.models import Migration
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn
from tests.pages.making import claim, cluster, draft

pytestmark = pytest.mark.django_db

SILENT = "No update for 5 min"


@pytest.fixture
def operator(signed_in: SignedIn) -> Client:
    return signed_in("operator")


def page(client: Client, path: str) -> str:
    return str(client.get(path).content.decode())


def seen(ago: timedelta) -> None:
    cluster()
    Cluster.objects.update(state=Connection.CONNECTED, seen_at=timezone.now() - ago)


def test_a_watcher_that_ended_leaves_no_cluster_connected(operator: Client) -> None:
    found = claim("library")
    pages = ("/", "/claims/", f"/claims/demo-east/media/{found.name}/", "/migrations/")
    seen(timedelta(seconds=30))
    assert "Connected" in page(operator, "/")
    assert not any("not seen" in page(operator, path) for path in pages)
    seen(timedelta(minutes=3))
    assert "Connected" not in page(operator, "/") and "Away" in page(operator, "/")
    for path in pages:
        assert "not seen" in page(operator, path), path
    for path in ("/", "/claims/"):
        assert "The watcher does not report" in page(operator, path)


def test_a_cluster_that_does_not_answer_is_told_from_a_watcher_that_ended(operator: Client) -> None:
    cluster()
    Cluster.objects.update(state=Connection.AWAY, away_since=timezone.now(), error="Connection refused.")
    shown = page(operator, "/")
    assert (
        "The cluster does not answer. Connection refused." in shown
        and "The watcher does not report" not in shown
    )


def test_a_worker_that_is_away_shows_wherever_somebody_waits_for_it(operator: Client) -> None:
    late = timezone.now() - timedelta(minutes=5, seconds=1)
    user = User.objects.get(username="operator")
    checked = draft(user)
    Migration.objects.filter(pk=checked.pk).update(state=State.PREPARING, next_tick_at=timezone.now())
    change = ProtectionChange.objects.create(cluster=cluster(), namespace="media", name="x", uid="u")
    checks, protection = f"/migrations/{checked.reference}/draft/checks/", change.get_absolute_url()
    assert "The checks are running" in page(operator, checks)
    for path in ("/", checks, protection):
        assert "No update for" not in page(operator, path), path
    Migration.objects.filter(pk=checked.pk).update(next_tick_at=late)
    ProtectionChange.objects.update(look_at=late)
    for path in ("/", checks, protection):
        assert SILENT in page(operator, path), path
    assert "The checks are running" not in page(operator, checks)


def test_what_the_worker_need_not_look_at_is_not_late(operator: Client) -> None:
    late = timezone.now() - timedelta(minutes=5)
    at_sign_off(User.objects.get(username="operator"), state=State.PAUSED, next_tick_at=late)
    assert "No update for" not in page(operator, "/")


def test_a_worker_that_looks_for_long_is_not_away(operator: Client) -> None:
    """A tick may take longer than the page's patience: its lease tells that somebody is at work."""
    user, now = User.objects.get(username="operator"), timezone.now()
    checked = draft(user)
    rows = Migration.objects.filter(pk=checked.pk)
    rows.update(
        state=State.PREPARING,
        next_tick_at=now - timedelta(seconds=40),
        lease_until=now + timedelta(seconds=20),
    )
    checks = f"/migrations/{checked.reference}/draft/checks/"
    for path in ("/", checks):
        assert "No update for" not in page(operator, path), path
    rows.update(lease_until=now - timedelta(seconds=1))  # it was killed
    for path in ("/", checks):
        assert "No update for" in page(operator, path), path
