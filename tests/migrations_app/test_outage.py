"""What the pages say of the outage: since when, for how long as a guess, and up to now while it lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from cluster.errors import Invalid, Unavailable
from cluster.values import Ref
from migrations_app.models import Migration
from migrations_app.rules.going_back import roll_back_plan
from migrations_app.states import State
from migrations_app.views import live
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.context import Context
from worker.lease import lease
from worker.outcomes import Again, Done, Wait
from worker.steps import quiesce
from worker.steps.plan import predicted_outage

pytestmark = pytest.mark.django_db
GIB = 1024**3
LOST = Unavailable("No answer.", safe="", next="", maybe_done=True)


class Refusing:
    """A cluster with one Deployment that answers a scaling with `error`, or does it."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.replicas = 2

    def get_workload(self, kind: str, namespace: str, name: str) -> Any:
        ref = Ref("apps/v1", kind, namespace, name)
        return SimpleNamespace(
            kind=kind,
            namespace=namespace,
            name=name,
            ref=ref,
            replicas=self.replicas,
            when_scaled="",
            resource_version="7",
        )

    def scale(self, *_: Any, **__: Any) -> None:
        if self.error:
            raise self.error


@contextmanager
def quiescing(cluster: Refusing) -> Iterator[Context]:
    """A migration at Quiesce whose application is one Deployment."""
    made = at_sign_off(person("operator"), state=State.RUNNING, current_step="quiesce")
    workload = {"kind": "Deployment", "namespace": "media", "name": "app", "replicas": 2}
    made.transfers.update(facts={"workloads": [workload]})
    with lease(made.pk) as migration:
        assert migration is not None
        run = migration.runs.create(step="quiesce", attempt=1)
        yield Context(migration, run, cluster)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "began"),
    [
        (Invalid("It is refused.", safe="", next="", causes=()), False),
        (LOST, True),
        (None, True),
    ],
    ids=["refused", "no answer", "done"],
)
def test_an_outage_begins_with_a_scaling_that_may_have_happened(error: Exception | None, began: bool) -> None:
    with quiescing(Refusing(error)) as context:
        try:
            quiesce._scale_down(context)
        except (Invalid, Unavailable):
            assert error is not None
    assert (Migration.objects.get().outage is not None) is began


def test_an_outage_that_began_is_not_forgotten_when_a_later_scaling_is_refused() -> None:
    cluster = Refusing(None)
    with quiescing(cluster) as context:
        quiesce._scale_down(context)
        began = Migration.objects.get().outage_began_at
        cluster.error = Invalid("It is refused.", safe="", next="", causes=())  # something had scaled it up
        with pytest.raises(Invalid):
            quiesce._scale_down(context)
    assert began is not None and Migration.objects.get().outage_began_at == began


def test_an_outage_that_may_have_begun_and_did_not_is_none() -> None:
    """No answer to the scaling, and when it is asked again it is refused: the application was never down."""
    cluster = Refusing(LOST)
    with quiescing(cluster) as context:
        with pytest.raises(Unavailable):
            quiesce._scale_down(context)
        assert Migration.objects.get().is_down
        cluster.error = Invalid("It is refused.", safe="", next="", causes=())
        with pytest.raises(Invalid):
            quiesce._scale_down(context)
    assert not Migration.objects.get().is_down


def test_what_somebody_scaled_up_is_another_change_when_it_is_scaled_down_again() -> None:
    first, again = "quiesce/scale/Deployment/media/app", "quiesce/scaled-again/Deployment/media/app/"
    cluster = Refusing(None)
    with quiescing(cluster) as context:
        migration = context.migration
        said = quiesce._scale_down(context)
        assert isinstance(said, Again) and said.message == "Scaled Deployment app from 2 to 0."
        # A person scales it to 5: what is refused for certain, or gets no answer, is one change with what comes of it.
        cluster.replicas = 5
        for error in (Invalid("It is refused.", safe="", next="", causes=()), LOST):
            cluster.error = error
            with pytest.raises(type(error)):
                quiesce._scale_down(context)
        cluster.error = None
        for attempt in (2, 3):  # retries
            context = Context(migration, migration.runs.create(step="quiesce", attempt=attempt), cluster)  # type: ignore[arg-type]
            said = quiesce._scale_down(context)
            assert isinstance(said, Again) and "somebody had scaled it up" in said.message
        rows = list(migration.intents.order_by("id").values_list("key", "before__replicas", "state"))
        ended = quiesce._finish(context)
    assert rows == [(first, 2, "done"), (f"{again}1", 5, "done"), (f"{again}2", 5, "done")]
    # Roll back reads the first one alone.
    plan = [line for line in roll_back_plan(migration) if line.startswith("Scale ")]
    assert plan == ["Scale Deployment media/app back to 2, if it is still at 0."]
    assert ended == Done(
        "Nothing uses the source. Deployment media/app was scaled up by somebody meanwhile; it was scaled down again."
    )


@pytest.mark.parametrize(
    ("began", "ended", "asks"),
    [(False, False, True), (True, False, False), (True, True, True)],
    ids=["still to begin", "lasts", "ended"],
)
def test_a_retry_does_not_ask_for_an_outage_that_lasts(
    monkeypatch: pytest.MonkeyPatch, began: bool, ended: bool, asks: bool
) -> None:
    made = at_sign_off(
        person("operator"),
        state=State.RUNNING,
        current_step="quiesce",
        pause_before_quiesce=True,
        outage_began_at=timezone.now() if began else None,
        outage_ended_at=timezone.now() if ended else None,
    )
    worked = Again("At work.")
    monkeypatch.setattr(quiesce.movers, "remove_every", lambda _: worked)
    with lease(made.pk) as migration:
        assert migration is not None
        context = Context(migration, migration.runs.create(step="quiesce", attempt=2), Refusing(None))  # type: ignore[arg-type]
        outcome = quiesce.tick(context)
    assert isinstance(outcome, Wait) if asks else outcome is worked


def test_the_page_of_an_aborted_migration_goes_on_counting_the_outage() -> None:
    migration = at_sign_off(
        person("operator"), state=State.ABORTED, current_step="copy", outage_began_at=timezone.now()
    )
    assert live.poll_s(migration) == live.SLOW_POLL_S
    migration.state = State.ROLLED_BACK
    assert live.poll_s(migration) == 0


@pytest.mark.parametrize(
    ("limits", "least_s"),
    [
        ({"bandwidth": 10 * 1024**2}, 100 * GIB / (10 * 1024**2)),
        ({"iops": 20}, 100 * GIB / (10 * 1024**2)),
        ({"iops": 20, "bandwidth": 1024**2}, 100 * GIB / 1024**2),
    ],
    ids=str,
)
def test_the_limits_of_the_movers_are_in_the_predicted_outage(limits: dict[str, int], least_s: float) -> None:
    migration = at_sign_off(person("operator"))
    migration.transfers.update(source_bytes=100 * GIB)
    transfers = list(migration.transfers.all())
    free = predicted_outage(migration, transfers)
    migration.limits = limits
    found = predicted_outage(migration, transfers)
    assert found["most_s"] > least_s > free["most_s"] and "by its limits" in found["basis"]
    migration.limits = {"bandwidth": 500 * 1024**2}
    assert predicted_outage(migration, transfers)["most_s"] == free["most_s"]
