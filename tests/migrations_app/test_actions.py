"""What people do to a migration: when it is refused, and what follows what."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Event
from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.problems import Refused, Stale
from migrations_app.states import TRANSITIONS, State
from tests.migrations_app.making import at_sign_off
from tests.support.people import person

pytestmark = pytest.mark.django_db


def test_purge_waits_for_the_deadline_and_the_typed_name() -> None:
    operator = person("operator")
    later = timezone.now() + timedelta(days=1)
    migration = at_sign_off(operator, state=State.RETAINED, current_step="retain", retain_until=later)
    with pytest.raises(Refused, match="kept until"):
        running.purge(by=operator, migration=migration, typed="photos")
    Migration.objects.filter(pk=migration.pk).update(retain_until=timezone.now())
    migration.refresh_from_db()
    with pytest.raises(Refused, match="Type photos"):
        running.purge(by=operator, migration=migration, typed="Photos")


def test_a_page_that_is_out_of_date_changes_nothing() -> None:
    operator = person("operator")
    migration = at_sign_off(operator)
    stale = Migration.objects.get(pk=migration.pk)
    running.pause(by=operator, migration=migration)
    with pytest.raises(Stale):
        running.abort(by=operator, migration=stale)


def test_start_refuses_a_plan_that_was_not_the_one_on_the_page() -> None:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.READY, current_step="plan", started_at=None)
    with pytest.raises(Refused, match="changed since you opened"):
        running.start(by=operator, migration=migration, plan_digest="sha256:older")


def test_a_retry_from_an_earlier_step_is_recorded_as_what_it_was() -> None:
    operator = person("operator")
    migration = at_sign_off(
        operator, state=State.FAILED, current_step="verify", problem={"code": "differences"}
    )
    running.retry(by=operator, migration=migration)
    event = Event.objects.get(verb="migration.retry")
    assert (event.before["step"], event.after["step"]) == ("verify", "copy")
    assert migration.runs.filter(step="copy").exists()


def test_every_state_is_in_the_table_and_ends_somewhere() -> None:
    assert set(TRANSITIONS) == set(State)
    reachable = {State.DRAFT}
    while True:
        more = {to for state in reachable for to in TRANSITIONS[state]} - reachable
        if not more:
            break
        reachable |= more  # type: ignore[arg-type]
    assert reachable == set(State)
