"""Each thing that people do to a migration leaves its event, or does not happen."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from dashboard.models import Cluster
from migrations_app.actions import drafting, gates, running
from migrations_app.models import GitMode, Migration
from migrations_app.problems import Refused, Stale
from migrations_app.states import TRANSITIONS, State
from tests.migrations_app.making import at_sign_off
from tests.support.audit import assert_audited
from tests.support.people import person

pytestmark = pytest.mark.django_db


def a_draft(operator: User) -> Migration:
    cluster, _ = Cluster.objects.get_or_create(name="demo-east")
    return drafting.create_draft(
        by=operator, cluster=cluster, namespace="media", application="photos", claims=["library"]
    )


def fresh(migration: Migration) -> Migration:
    """As a request loads it."""
    return Migration.objects.get(pk=migration.pk)


def draft(operator: User) -> Callable[[], object]:
    Cluster.objects.get_or_create(name="demo-east")
    return lambda: a_draft(operator)


def source(operator: User) -> Callable[[], object]:
    migration = a_draft(operator)
    return lambda: drafting.set_source(
        by=operator, migration=fresh(migration), application="photos", claims=["library", "cache"]
    )


def destination(operator: User) -> Callable[[], object]:
    migration = a_draft(operator)
    claims = {"library": ("library", "", 0)}
    return lambda: drafting.set_destination(
        by=operator, migration=fresh(migration), namespace="photos", claims=claims, owner={}
    )


def options(operator: User) -> Callable[[], object]:
    migration = a_draft(operator)
    return lambda: drafting.set_options(
        by=operator,
        migration=fresh(migration),
        warm_passes=2,
        retention_days=3,
        pause_before_quiesce=True,
        git_mode=GitMode.NONE,
        test_note="",
        limits={},
    )


def checks(operator: User) -> Callable[[], object]:
    migration = a_draft(operator)
    drafting.set_destination(
        by=operator, migration=migration, namespace="photos", claims={"library": ("library", "", 0)}, owner={}
    )
    return lambda: drafting.request_checks(by=operator, migration=fresh(migration))


def discard(operator: User) -> Callable[[], object]:
    migration = a_draft(operator)
    return lambda: drafting.discard(by=operator, migration=fresh(migration))


def start(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator, state=State.READY, current_step="plan", started_at=None)
    return lambda: running.start(by=operator, migration=fresh(migration), plan_digest="sha256:plan")


def pause(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator)
    return lambda: running.pause(by=operator, migration=fresh(migration))


def resume(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator, state=State.PAUSED)
    return lambda: running.resume(by=operator, migration=fresh(migration))


def retry(operator: User) -> Callable[[], object]:
    migration = at_sign_off(
        operator, state=State.FAILED, current_step="verify", problem={"code": "differences"}
    )
    return lambda: running.retry(by=operator, migration=fresh(migration))


def abort(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator)
    return lambda: running.abort(by=operator, migration=fresh(migration))


def roll_back(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator)
    return lambda: running.roll_back(by=operator, migration=fresh(migration))


def undo(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator, state=State.RETAINED, current_step="retain")
    return lambda: running.undo(by=operator, migration=fresh(migration))


def purge(operator: User) -> Callable[[], object]:
    migration = at_sign_off(
        operator, state=State.RETAINED, current_step="retain", retain_until=timezone.now()
    )
    return lambda: running.purge(by=operator, migration=fresh(migration), typed="photos")


def go_on(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator, current_step="deploy")
    migration.runs.create(step="deploy", attempt=1, state="waiting")
    return lambda: gates.go_on(by=operator, migration=fresh(migration))


def confirm(operator: User) -> Callable[[], object]:
    migration = at_sign_off(operator, current_step="test")
    migration.runs.create(step="test", attempt=1, state="waiting")
    return lambda: gates.confirm_test(by=operator, migration=fresh(migration), note="It works.")


ACTIONS = [
    draft,
    source,
    destination,
    options,
    checks,
    discard,
    start,
    pause,
    resume,
    retry,
    abort,
    roll_back,
    undo,
    purge,
    go_on,
    confirm,
]


@pytest.mark.parametrize("prepare", ACTIONS)
def test_without_its_event_nothing_changes(prepare) -> None:  # type: ignore[no-untyped-def]
    action = prepare(person("operator"))
    assert_audited(action)
    action()


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


def test_every_state_is_in_the_table_and_ends_somewhere() -> None:
    assert set(TRANSITIONS) == set(State)
    reachable = {State.DRAFT}
    while True:
        more = {to for state in reachable for to in TRANSITIONS[state]} - reachable
        if not more:
            break
        reachable |= more  # type: ignore[arg-type]
    assert reachable == set(State)
