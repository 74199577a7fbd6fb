"""Within one namespace; a class that binds late; a StatefulSet with a CronJob beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from migrations_app.actions import gates, running
from migrations_app.states import State
from tests.journeys.apps import App, apply, deployment, make_app
from tests.journeys.driving import Driver
from tests.journeys.git_apps import make_git_app, write
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_within_one_namespace_to_a_class_that_binds_late(shared: Driver) -> None:
    app = make_app(shared)
    tree = picture(app.directory())
    wanted = {"destination": app.source, "names": {"data": "data-new"}, "storage_class": "local-ssd"}
    migration = shared.until(app.started(**wanted), State.WAITING, step="deploy")
    apply(shared, deployment(app.source, "data-new"))
    migration = shared.approve(shared.confirm_test(migration))
    migration = shared.until(migration, State.RETAINED, timeout_s=120)
    transfer = migration.transfers.get()
    assert [claim.name for claim in shared.adapter.list_claims(app.source)] == ["data-new"]
    assert (
        picture(app.directory("data-new")) == picture(shared.volume_directory(transfer.source_volume)) == tree
    )


def test_a_roll_back_within_one_namespace_leaves_the_workload_alone(shared: Driver) -> None:
    app = make_app(shared)
    tree = picture(app.directory())
    migration = shared.at(app.started(destination=app.source, names={"data": "data-new"}), "deploy")
    running.roll_back(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK)
    assert [claim.name for claim in shared.adapter.list_claims(app.source)] == ["data"]
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1
    assert picture(app.directory()) == tree


def stateful(namespace: str) -> dict[str, Any]:
    body = deployment(namespace, "data")
    spec = {key: body["spec"][key] for key in ("selector", "template", "replicas")}
    return {**body, "kind": "StatefulSet", "spec": {**spec, "serviceName": "app"}}


def cron_job(namespace: str) -> dict[str, Any]:
    pod = deployment(namespace, "data")["spec"]["template"]
    container = {**pod["spec"]["containers"][0], "image": "alpine", "command": ["true"]}
    spec = {**pod["spec"], "containers": [container], "restartPolicy": "Never"}
    template = {"spec": {"template": {"spec": spec}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": namespace},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": template},
    }


def test_a_stateful_set_and_a_cron_job_rest_and_come_back(shared: Driver) -> None:
    app = make_app(shared, storage_class="local-ssd")
    shared.kubectl("delete", "deployment", "-n", app.source, "app", "--wait=true")
    for item in (stateful(app.source), cron_job(app.source)):
        apply(shared, item)
    until(lambda: _is_ready(app), timeout_s=60, what="the StatefulSet")
    # A run of last night: its pod is finished, still names the claim, and must not be waited for.
    shared.kubectl("create", "job", "last-night", "--from=cronjob/nightly", "-n", app.source)
    until(lambda: _has_finished(app), timeout_s=60, what="the run of the CronJob")
    tree = picture(app.directory())
    migration = shared.at(app.started(warm_passes=1), "hand-over")
    assert _replicas(app) == 0 and _suspended(app)
    migration = shared.at(migration, "deploy")
    assert picture(app.directory("data", app.destination)) == tree

    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK)
    assert _replicas(app) == 1 and not _suspended(app)
    assert picture(app.directory()) == tree


def _has_finished(app: App) -> bool:
    return any(
        p.phase == "Succeeded" and "data" in p.claims for p in app.driver.adapter.list_pods(app.source)
    )


def _is_ready(app: App) -> bool:
    found = app.driver.adapter.get_workload("StatefulSet", app.source, "app")
    return found is not None and found.ready_replicas == 1


def _replicas(app: App) -> int | None:
    found = app.driver.adapter.get_workload("StatefulSet", app.source, "app")
    return found.replicas if found else None


def _suspended(app: App) -> bool:
    text = app.driver.kubectl("get", "cronjob", "nightly", "-n", app.source, "-o", "json")
    return bool(json.loads(text)["spec"]["suspend"])


def test_within_one_namespace_flux_is_not_let_go_before_it_has_fetched_the_new_claim(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    migration = app.started(destination=app.source, names={"data": "data-new"}, owner={})
    migration = shared.until(migration, State.WAITING, step="deploy")
    gates.go_on(by=shared.operator, migration=migration)  # too early: Git says nothing of the new claim
    migration = shared.until(migration, State.WAITING, step="deploy")
    assert "still points the workload at a source claim" in migration.waiting_for
    write(app.work / app.source / "app.yaml", deployment(app.source, "data-new"))
    app.push("Use the new claim")  # and Flux fetches once an hour

    def runs() -> bool:
        shared.tick(migration)
        pods = [
            pod
            for pod in shared.adapter.list_pods(app.source)
            if not pod.finished and "mover" not in pod.name
        ]
        assert not any("data" in pod.claims for pod in pods), "it would write where nobody looks"
        return any("data-new" in pod.claims and pod.ready for pod in pods)

    until(runs, timeout_s=90, what="the application on the new claim")
    shared.at(migration, "test")
