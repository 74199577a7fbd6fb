"""What waits for a person is said to be, on every page that lists it, and to those whom it concerns."""

from datetime import timedelta
from typing import Any, cast

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from cluster.client import Cluster as Adapter
from migrations_app.models import Migration, Notification, StepRun
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn
from worker import engine
from worker.context import Context
from worker.lease import lease
from worker.outcomes import Again, Outcome, Wait

pytestmark = pytest.mark.django_db

MERGE = "Merge branch holdfast/m-abc-rollback."


def operator() -> User:
    return User.objects.get(username="operator")


def page(client: Client, path: str) -> str:
    return str(client.get(path).content.decode())


def card(client: Client, name: str) -> str:
    """The part of the overview that one card is."""
    return page(client, "/").split(f'id="card-{name}"')[1].split("</section>")[0]


def came_to(migration: Migration, outcome: Outcome) -> None:
    """The engine applies what a tick came to."""
    Migration.objects.filter(pk=migration.pk).update(next_tick_at=timezone.now() - timedelta(seconds=1))
    with lease(migration.pk) as leased:
        assert leased is not None
        run, _ = StepRun.objects.get_or_create(migration=leased, step=leased.run_key, attempt=1)
        engine._apply(Context(leased, run, cast("Adapter", None)), outcome)


def rolling_back(**fields: Any) -> Migration:
    return at_sign_off(
        operator(), **{"state": State.ROLLING_BACK, "course": "roll-back", "current_step": "deploy", **fields}
    )


def test_a_roll_back_that_waits_is_among_what_needs_a_person(signed_in: SignedIn, settings: Any) -> None:
    settings.HOLDFAST_NOTIFY_URL = "http://127.0.0.1:9/hook"
    client = signed_in("operator")
    migration = rolling_back()
    assert migration.reference in card(client, "running")
    came_to(migration, Wait(MERGE, "migrations.edit"))
    assert MERGE in card(client, "needs") and "Rolling back, needs a person" in card(client, "needs")
    assert migration.reference not in card(client, "running")
    assert MERGE in page(client, "/migrations/?show=waiting")
    assert "Rolling back, needs a person" in page(client, f"/migrations/{migration.reference}/")
    came_to(migration, Wait(MERGE, "migrations.edit"))
    assert [n.kind for n in Notification.objects.all()] == ["needs-a-person"]
    assert MERGE in Notification.objects.get().text
    came_to(migration, Again("Flux applies it."))
    assert migration.reference in card(client, "running")
    assert MERGE not in page(client, "/migrations/?show=waiting")


def test_what_stopped_comes_first_and_everything_is_counted(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    for number in range(24):
        at_sign_off(
            operator(), waiting_for="Test it.", waiting_since=timezone.now() - timedelta(hours=number)
        )
    stopped = at_sign_off(operator(), state=State.FAILED, current_step="copy", problem={"happened": "Full."})
    shown = card(client, "needs")
    assert '<span class="count">25</span>' in shown and "/migrations/?show=waiting" in shown
    assert shown.index(f"needs-{stopped.reference}") == shown.index('id="needs-m-') + len('id="')


def test_a_draft_that_a_check_stops_is_not_called_ready(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    at_sign_off(
        operator(),
        state=State.READY,
        current_step="plan",
        started_at=None,
        plan={"checks": [{"key": "owner", "title": "One owner", "verdict": "stop", "text": "Two."}]},
    )
    for shown in (card(client, "needs"), page(client, "/migrations/")):
        assert "One owner" in shown and "A check says stop" in shown
        assert "Ready to start" not in shown and "Review and start" not in shown


def test_who_may_act_in_one_of_the_two_namespaces_only_is_told_so(signed_in: SignedIn) -> None:
    signed_in("operator")
    migration = at_sign_off(operator(), current_step="test", waiting_for="Test it.")
    half = signed_in("operator", "media", name="half")
    User.objects.get(username="half").grants.create(role="viewer", namespaces=["*"])
    shown = page(half, f"/migrations/{migration.reference}/")
    assert "Confirm that it works" not in shown
    assert "in media and photos you need the role operator" in shown
    assert "Your roles do not let you act on it" in card(half, "needs")
