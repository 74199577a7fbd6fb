"""Roll back restores what was recorded and removes what the migration created, wherever it stands."""

import pytest

from migrations_app.actions import running
from migrations_app.rules.going_back import roll_back_plan
from migrations_app.states import State
from tests.journeys.apps import App, make_app
from tests.journeys.driving import Driver
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def traces(app: App) -> dict[str, object]:
    """What a migration could leave behind in both namespaces."""
    adapter = app.driver.adapter
    workload = adapter.get_workload("Deployment", app.source, "app")
    return {
        "replicas": workload.replicas if workload else None,
        "source": sorted(c.name for c in adapter.list_claims(app.source)),
        "destination": sorted(c.name for c in adapter.list_claims(app.destination)),
        "jobs": [j.name for j in adapter.list_jobs(app.source)],
        "volumes": sorted(
            v.name
            for v in adapter.list_volumes()
            if v.claim_ref and v.claim_ref.namespace in {app.source, app.destination}
        ),
        "policy": sorted(
            v.reclaim_policy
            for v in adapter.list_volumes()
            if v.claim_ref and v.claim_ref.namespace == app.source
        ),
    }


@pytest.mark.parametrize("step", ["warm-copy", "verify", "hand-over", "deploy"])
def test_it_puts_everything_back(shared: Driver, step: str) -> None:
    app = make_app(shared)
    before, tree = traces(app), picture(app.directory())
    migration = shared.at(app.started(warm_passes=1), step)
    # In the middle of the step, not before it.
    for _ in range(3):
        migration = shared.tick(migration)
    assert roll_back_plan(migration)
    running.roll_back(by=shared.operator, migration=migration, reason="changed our mind")
    migration = shared.until(migration, State.ROLLED_BACK)
    kept = migration.evidence.get(kind="rolled-back").data["kept_volumes"]
    after = until(lambda: _settled(app, before, kept), timeout_s=30, what=f"the state before, kept {kept}")
    assert after
    assert picture(app.directory()) == tree


def _settled(app: App, before: dict[str, object], kept: list[str]) -> bool:
    now = traces(app)
    now["volumes"] = [name for name in now["volumes"] if name not in kept]  # type: ignore[attr-defined]
    assert now == before, (now, before)
    return True


def test_what_somebody_else_scaled_meanwhile_is_left_alone(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), "copy")
    shared.kubectl("scale", "-n", app.source, "deployment/app", "--replicas=2")
    running.roll_back(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK)
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 2
