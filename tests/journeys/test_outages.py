"""The worker is killed, Redis forgets everything, the cluster's API goes away: the migration goes on where it was."""

import os
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection

from embedded.processes import end, kill_group
from migrations_app.models import Migration
from migrations_app.states import State
from tests.journeys.apps import App, make_app
from tests.journeys.driving import Driver
from tests.mover.walker import picture
from tests.support.celery_process import running_worker
from tests.support.cluster_process import running_sandbox
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def watched(migration: Migration, step: str, *states: State) -> Migration:
    """Waits while the worker does it all."""

    def look() -> Migration | None:
        found = Migration.objects.get(pk=migration.pk)
        if found.state == State.FAILED:
            raise RuntimeError(str(found.problem))
        return found if found.current_step == step and (not states or found.state in states) else None

    found = until(look, timeout_s=150, what=f"{step} {states}", every_s=0.1)
    assert found is not None
    return found


def test_a_worker_killed_in_the_middle_of_the_copy_and_an_empty_redis(
    shared: Driver,
    redis_url: str,
    settings,  # type: ignore[no-untyped-def]
    tmp_path: Path,
) -> None:
    app = make_app(shared)
    (app.directory() / "big.bin").write_bytes(os.urandom(4_000_000))
    tree = picture(app.directory())
    settings.HOLDFAST_REDIS_PREFIX = "journeys:"
    environment = {
        "HOLDFAST_KUBECONFIG": str(shared.sandbox.kubeconfig),
        "HOLDFAST_WORKER_CONTEXT": "holdfast-worker",
        "HOLDFAST_DATA": str(tmp_path / "holdfast"),
        "HOLDFAST_REDIS_PREFIX": "journeys:",
    }
    database = connection.settings_dict["NAME"]
    migration = app.started(limits={"bandwidth": 1024**2})
    with running_worker(database, tmp_path / "first.log", **environment) as worker:
        with worker.sweeping():
            watched(migration, "copy")
            until(lambda: _copying(app), timeout_s=60, what="the copy")
            kill_group(worker.process)
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
    assert Migration.objects.get(pk=migration.pk).current_step == "copy"
    with running_worker(database, tmp_path / "second.log", **environment) as worker, worker.sweeping():
        migration = watched(migration, "deploy", State.WAITING)
    assert migration.runs.get(step="copy").attempt == 1
    assert migration.intents.filter(verb="job.create", step="copy").count() == 1
    assert picture(app.directory("data", app.destination)) == tree
    assert django_settings.HOLDFAST_REDIS_PREFIX == "journeys:"


def _copying(app: App) -> bool:
    return any(
        pod.phase == "Running" for pod in app.driver.adapter.list_pods(app.source) if "copy" in pod.name
    )


def test_the_clusters_api_goes_away_during_copy_and_release(driver: Driver, tmp_path: Path) -> None:
    app = make_app(driver)
    (app.directory() / "big.bin").write_bytes(os.urandom(3_000_000))
    tree = picture(app.directory())
    migration = driver.at(app.started(limits={"bandwidth": 1024**2}), "copy")
    until(lambda: driver.tick(migration) and _copying(app), timeout_s=60, what="the copy")
    end(driver.sandbox.process, patience_s=10)
    _waits(driver, migration, State.RUNNING)

    with running_sandbox(tmp_path / "sandbox") as again:
        migration = driver.at(migration, "deploy", timeout_s=150)
        app.deploy_in_destination()
        migration = driver.confirm_test(migration)
        migration = driver.until(migration, State.WAITING, step="sign-off")
        migration = driver.approve(migration)
        migration = driver.at(migration, "release")
        driver.tick(migration)
        end(again.process, patience_s=10)
        _waits(driver, migration, State.RUNNING)
    with running_sandbox(tmp_path / "sandbox"):
        migration = driver.until(migration, State.RETAINED, timeout_s=150)
        transfer = migration.transfers.get()
        assert picture(driver.volume_directory(transfer.staging_volume)) == tree
        assert picture(driver.volume_directory(transfer.source_volume)) == tree


def _waits(driver: Driver, migration: Migration, state: State) -> None:
    """It says since when, and goes on asking; nothing has failed."""

    def says() -> bool:
        found = driver.tick(migration)
        assert found.state == state, found.problem
        return found.message.startswith("Since ") and "did not answer" in found.message

    until(says, timeout_s=30, what="the outage on the page", every_s=0.3)
    since = driver.tick(migration).message.split(": ")[0]
    Migration.objects.filter(pk=migration.pk).update(next_tick_at=migration.created_at)
    assert driver.tick(migration).message.split(": ")[0] == since
