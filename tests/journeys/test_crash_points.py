"""The worker dies at every single act of a migration, of its undo, and of a roll back. It ends as if nothing had happened."""

import pytest

from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.states import State
from tests.journeys.apps import App, make_app
from tests.journeys.driving import Driver
from tests.journeys.dying import Moment, deaths
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# What a migration of one claim outside of Git does to the cluster, each under a key of its own.
ACTS = {
    "stage/claim.create", "warm-copy/job.create", "warm-copy/job.delete", "quiesce/scale", "copy/job.create",
    "copy/job.delete", "verify/job.create", "verify/job.delete", "hand-over/retain", "hand-over/claim.delete",
    "hand-over/reserve", "hand-over/claim.create", "hand-over/restore-policy", "release/job.create",
    "release/job.delete", "release/retain", "release/claim.delete",
}  # fmt: skip
UNDOING = {"undo/reserve", "undo/claim.create", "undo/restore-policy"}


def prefixes(keys: list[str]) -> set[str]:
    return {"/".join(key.split("/")[:2]) for key in keys}


def volumes(app: App) -> set[str]:
    """Every volume that belongs, or belonged, to one of the two namespaces."""
    spaces = {app.source, app.destination}
    return {
        v.name for v in app.driver.adapter.list_volumes() if v.claim_ref and v.claim_ref.namespace in spaces
    }


def claims(app: App) -> dict[str, str]:
    adapter = app.driver.adapter
    found = [*adapter.list_claims(app.source), *adapter.list_claims(app.destination)]
    return {f"{claim.namespace}/{claim.name}": claim.volume_name for claim in found}


def to_sign_off(app: App, migration: Migration) -> Migration:
    app.driver.at(migration, "deploy", timeout_s=180)
    app.deploy_in_destination()
    return app.driver.confirm_test(migration)


@pytest.mark.parametrize("moment", list(Moment))
def test_a_migration_and_its_undo_survive_a_death_at_every_act(
    shared: Driver, monkeypatch: pytest.MonkeyPatch, moment: Moment
) -> None:
    app = make_app(shared)
    source = app.directory()
    tree = picture(source)
    with deaths(monkeypatch, shared, moment) as reaper:
        migration = app.started(warm_passes=1)
        migration = to_sign_off(app, migration)
        migration = shared.approve(migration)
        migration = shared.until(migration, State.RETAINED, timeout_s=180)
        transfer = migration.transfers.get()
        assert prefixes(reaper.deaths) >= ACTS
        assert claims(app) == {f"{app.destination}/data": transfer.staging_volume}
        assert volumes(app) == {transfer.source_volume, transfer.staging_volume}
        destination = shared.volume_directory(transfer.staging_volume)
        assert picture(destination) == tree == picture(source)
        kept = shared.adapter.get_volume(transfer.source_volume)
        assert kept is not None and (kept.phase, kept.reclaim_policy) == ("Released", "Retain")
        assert _policy(shared, transfer.staging_volume) == "Delete"
        assert not shared.adapter.list_jobs(app.source)

        running.undo(by=shared.operator, migration=migration)
        migration = shared.until(migration, State.UNDONE, timeout_s=120)
        assert prefixes(reaper.deaths) >= UNDOING
    assert claims(app) == {
        f"{app.source}/data": transfer.source_volume,
        f"{app.destination}/data": transfer.staging_volume,
    }
    assert picture(source) == tree
    assert _policy(shared, transfer.source_volume) == "Delete"


@pytest.mark.parametrize(("moment", "step"), [(Moment.BETWEEN, "verify"), (Moment.BEFORE, "deploy")])
def test_a_roll_back_survives_a_death_at_every_act(
    shared: Driver, monkeypatch: pytest.MonkeyPatch, moment: Moment, step: str
) -> None:
    app = make_app(shared)
    source, before = app.directory(), (claims(app), volumes(app))
    tree = picture(source)
    migration = shared.at(app.started(), step)
    with deaths(monkeypatch, shared, moment) as reaper:
        migration = shared.tick(migration)
        running.roll_back(by=shared.operator, migration=migration)
        migration = shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    assert {"roll-back/claim.remove", "roll-back/scale"} <= prefixes(reaper.deaths)
    kept = set(migration.evidence.get(kind="rolled-back").data["kept_volumes"])
    assert bool(kept) == (step == "deploy")
    until(lambda: (claims(app), volumes(app) - kept) == before, timeout_s=60, what="the state before")
    for volume in kept:
        assert picture(shared.volume_directory(volume)) == tree
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1
    assert picture(source) == tree


def _policy(driver: Driver, volume: str) -> str:
    found = driver.adapter.get_volume(volume)
    assert found is not None
    return found.reclaim_policy
