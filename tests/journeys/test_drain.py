"""A node is drained while a warm mover copies beside the application."""

import os

import pytest

from cluster.values import Pod
from migrations_app.states import State
from tests.journeys.apps import make_app
from tests.journeys.driving import Driver
from tests.support.waiting import until

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
