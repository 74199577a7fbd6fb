"""A node is drained or cordoned, or a pod finds none, while a warm mover copies beside the application."""

import json
import os
from datetime import timedelta

import pytest

from cluster.values import Pod
from migrations_app.models import Migration
from migrations_app.states import State
from tests.journeys.apps import make_app
from tests.journeys.driving import Driver
from tests.support.waiting import until
from worker import beside

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def running(driver: Driver, namespace: str, prefix: str) -> Pod | None:
    pods = driver.adapter.list_pods(namespace)
    return next((p for p in pods if p.name.startswith(prefix) and p.phase == "Running"), None)


def test_the_mover_makes_way_and_goes_on_beside_the_application(driver: Driver) -> None:
    app = make_app(driver)
    (app.directory() / "big.bin").write_bytes(os.urandom(4_000_000))
    migration = driver.at(app.started(warm_passes=1, limits={"bandwidth": 50 * 1024}), "warm-copy")
    mover = until(
        lambda: driver.tick(migration) and running(driver, app.source, "hf-"), timeout_s=60, what="the mover"
    )
    before = running(driver, app.source, "app")
    assert mover is not None and before is not None and mover.node == before.node
    driver.kubectl("cordon", before.node)
    driver.kubectl("delete", "pod", "-n", app.source, before.name, "--wait=false")

    def up_again() -> Pod | None:
        found = driver.tick(migration)
        assert found.state == State.RUNNING, found.problem
        pod = running(driver, app.source, "app")
        return pod if pod is not None and pod.ready and pod.node != before.node else None

    after = until(up_again, timeout_s=60, what="the application on the other node", every_s=0.1)
    assert after is not None
    again = until(
        lambda: driver.tick(migration) and running(driver, app.source, "hf-"), timeout_s=60, what="a mover"
    )
    assert again is not None and (again.node, again.name != mover.name) == (after.node, True)
    assert migration.runs.get(step="warm-copy").memory["moves"] == 1


def test_a_node_that_is_cordoned_and_not_drained_is_copied_on(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(driver)
    monkeypatch.setattr(beside, "PATIENCE", timedelta(seconds=2))
    migration = driver.at(app.started(warm_passes=1), "warm-copy")
    before = running(driver, app.source, "app")
    assert before is not None
    driver.kubectl("cordon", before.node)
    migration = until(lambda: _after_warm_copy(driver, migration), timeout_s=60, what="the end of the pass")
    run = migration.runs.get(step="warm-copy")
    assert run.memory["cordoned"] == [before.node]
    assert run.memory.get("moves", 0) == 0


@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_a_pod_that_finds_no_node_keeps_nobody_from_copying(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    app = make_app(driver)
    monkeypatch.setattr(beside, "PATIENCE", timedelta(seconds=2))
    migration = driver.at(app.started(warm_passes=2), "warm-copy")
    template = {"spec": {"nodeSelector": {"disk": "none has this"}}}
    patch = {"spec": {"strategy": {"type": strategy, "rollingUpdate": None}, "template": template}}
    driver.kubectl("patch", "deployment", "-n", app.source, "app", "--type=merge", "-p", json.dumps(patch))
    until(lambda: _stuck(driver, app.source), timeout_s=30, what="a pod that finds no node")
    migration = until(lambda: _after_warm_copy(driver, migration), timeout_s=60, what="the end of the passes")
    assert migration.runs.get(step="warm-copy").memory.get("moves", 0) <= 1


def _after_warm_copy(driver: Driver, migration: Migration) -> Migration | None:
    found = driver.tick(migration)
    assert found.state == State.RUNNING, found.problem
    return found if found.current_step != "warm-copy" else None


def _stuck(driver: Driver, namespace: str) -> bool:
    return any(not pod.node and pod.conditions for pod in driver.adapter.list_pods(namespace))
