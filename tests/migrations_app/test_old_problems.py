"""A problem is shown while it is one, and what is no longer certain is said for as long as it is so."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.test import Client
from django.utils import timezone

from cluster.client import Cluster as Adapter
from migrations_app.actions import drafting, running
from migrations_app.models import Migration, Notification, StepRun
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.making import draft
from tests.support.people import person
from worker import engine
from worker.context import Context
from worker.lease import lease
from worker.steps import retain

pytestmark = pytest.mark.django_db

PROBLEM = {"happened": "A flipped byte.", "safe": "The source.", "next": "Retry.", "command": "", "code": ""}


def looked_at(migration: Migration, volume: Any) -> None:
    """One tick of the kept migration, with this as what the cluster has of the source volume."""
    Migration.objects.filter(pk=migration.pk).update(next_tick_at=timezone.now() - timedelta(seconds=1))
    with lease(migration.pk) as leased:
        assert leased is not None
        run, _ = StepRun.objects.get_or_create(migration=leased, step="retain", attempt=1)
        context = Context(leased, run, cast("Adapter", SimpleNamespace(get_volume=lambda name: volume)))
        engine._apply(context, retain.tick(context))


def test_a_source_volume_that_is_not_kept_any_more_is_red_and_told_once(settings: Any) -> None:
    settings.HOLDFAST_NOTIFY_URL = "http://127.0.0.1:9/hook"
    operator = person("operator")
    migration = at_sign_off(
        operator,
        state=State.RETAINED,
        current_step="retain",
        retain_until=timezone.now() + timedelta(days=1),
    )
    browser = Client()
    browser.force_login(operator)
    kept = SimpleNamespace(uid="uid-volume", reclaim_policy="Retain")

    def card() -> str:
        page = browser.get("/").content.decode()
        return page.split('id="card-kept"')[0].rsplit("<section", 1)[1] + page.split('id="card-kept"')[1]

    looked_at(migration, kept)
    assert "card--good" in card() and "Undo until purged" in card()
    for gone in (SimpleNamespace(uid="uid-volume", reclaim_policy="Delete"), None, None):
        looked_at(migration, gone)
        assert "card--danger" in card() and "Undo is not certain any more" in card()
        assert "Undo until purged" not in card()
        page = browser.get(f"/migrations/{migration.reference}/").content.decode()
        assert "Done, Undo not certain" in page and "Do next" in page
    told = [note.text for note in Notification.objects.order_by("id")]
    assert len(told) == 2 and "no longer on Retain" in told[0] and "is gone" in told[1]
    looked_at(migration, kept)
    assert "card--good" in card() and "Undo until purged" in card()


def test_abort_leaves_no_advice_that_cannot_be_followed() -> None:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.FAILED, current_step="copy", problem=PROBLEM)
    running.abort(by=operator, migration=migration)
    assert migration.problem is None


def test_a_draft_that_was_changed_has_not_failed_its_checks() -> None:
    operator = person("operator")
    migration = draft(operator)
    Migration.objects.filter(pk=migration.pk).update(problem=PROBLEM)
    migration.refresh_from_db()
    drafting.set_source(by=operator, migration=migration, application="photos", claims=["library"])
    migration.refresh_from_db()
    assert migration.problem is None
