"""Where a warm mover goes, and when it makes way. The cluster here is one that lists pods."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from cluster.values import Condition, OwnerReference, Pod, Ref
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker import beside, manifests
from worker.context import LABEL, Context
from worker.outcomes import Again

pytestmark = pytest.mark.django_db
TOLERATED = '[{"key":"disk","operator":"Exists"}]'
UNSCHEDULABLE = (Condition("PodScheduled", "False", "Unschedulable"),)
NO_ROOM = (
    Condition("PodScheduled", "False", "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."),
)
CORDONED = (Condition("PodScheduled", "False", "Unschedulable", "0/1: 1 node(s) were unschedulable."),)
BESIDE = {"1": {"node": "a", "tolerations": TOLERATED}}


def pod(name: str, node: str, **fields: Any) -> Pod:
    return Pod(ref=Ref("v1", "Pod", "media", name, f"uid-{name}"), node=node, claims=("library",), **fields)


def mover(node: str, **fields: Any) -> Pod:
    job = OwnerReference("batch/v1", "Job", "hf-warm", "uid-job", controller=True)
    return pod("hf-warm-x", node, owner_references=(job,), **{"phase": "Running", **fields})


@pytest.fixture
def context() -> Context:
    migration = at_sign_off(person("operator"), state=State.RUNNING, current_step="warm-copy")
    migration.transfers.update(access_modes=["ReadWriteOnce"])
    run = migration.runs.create(step="warm-copy", attempt=1)
    return Context(migration, run, SimpleNamespace())  # type: ignore[arg-type]


def holding(context: Context, *pods: Pod) -> Context:
    labelled = [
        SimpleNamespace(**{**_fields(p), "labels": {LABEL: context.migration.reference}})
        if p.name.startswith("hf-")
        else p
        for p in pods
    ]
    context.cluster.list_pods = lambda _: labelled  # type: ignore[method-assign, assignment, return-value]
    return context


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the worker takes for the time."""
    found = SimpleNamespace(at=timezone.now())
    monkeypatch.setattr(beside, "timezone", SimpleNamespace(now=lambda: found.at))
    return found


def _fields(found: Pod) -> dict[str, Any]:
    names = (
        "name",
        "node",
        "claims",
        "ephemeral_claims",
        "phase",
        "finished",
        "deleting",
        "controller",
        "conditions",
    )
    return {name: getattr(found, name) for name in names}


def test_a_mover_goes_beside_the_application_and_tolerates_what_that_does(context: Context) -> None:
    found = beside.places(holding(context, pod("app-1", "a", tolerations_json=TOLERATED, phase="Running")))
    assert found == BESIDE
    transfer = context.migration.transfers.get()
    place = {"node": "a", "tolerations": TOLERATED}
    job = manifests.mover_job(
        context.migration, transfer, purpose="warm", attempt=1, final=False, place=place
    )
    assert job.data["spec"]["template"]["spec"]["tolerations"] == json.loads(TOLERATED)
    bare = manifests.mover_job(context.migration, transfer, purpose="warm", attempt=1, place={"node": "a"})
    assert "tolerations" not in bare.data["spec"]["template"]["spec"]


@pytest.mark.parametrize("coming_or_going", [{"node": ""}, {"node": "a", "deleting_at": "now"}])
def test_no_mover_goes_anywhere_while_the_application_moves(
    context: Context, coming_or_going: dict[str, Any]
) -> None:
    assert isinstance(beside.places(holding(context, pod("app-1", **coming_or_going))), Again)


def test_a_mover_makes_way_for_a_pod_on_another_node_and_for_one_that_finds_none(context: Context) -> None:
    elsewhere = holding(context, pod("app-2", "b"), mover("a"))
    assert "on another node" in beside.in_the_way(elsewhere, BESIDE)
    stuck = holding(context, pod("app-2", "", conditions=UNSCHEDULABLE), mover("a"))
    assert "finds no node" in beside.in_the_way(stuck, BESIDE)
    # It has no node itself: the one that it is meant for is being drained.
    waiting = holding(context, pod("app-2", "b"), mover("", phase="Pending"))
    assert "on another node" in beside.in_the_way(waiting, BESIDE)


@pytest.mark.parametrize(
    "pods",
    [
        [pod("app-1", "a"), mover("a")],
        [pod("app-1", "a"), pod("app-2", "b"), mover("a")],
        [pod("app-2", "b"), mover("a", phase="Succeeded")],
        [pod("app-2", "b", phase="Succeeded"), mover("a")],
        [mover("a")],
        [pod("app-2", "")],
    ],
    ids=["beside", "on both", "mover ended", "pod ended", "alone", "no mover"],
)
def test_a_mover_in_nobodys_way_stays(context: Context, pods: list[Pod]) -> None:
    assert beside.in_the_way(holding(context, *pods), BESIDE) == ""


def test_a_volume_that_many_nodes_mount_binds_the_mover_to_none(context: Context) -> None:
    context.migration.transfers.update(access_modes=["ReadWriteMany"])
    app = pod("app-1", "b")
    assert beside.places(holding(context, app)) == {"1": {}}
    assert beside.in_the_way(holding(context, app, mover("a")), {"1": {}}) == ""


def test_a_rollout_that_is_stuck_keeps_no_mover_from_the_pod_that_runs(context: Context) -> None:
    stuck = pod("app-2", "", conditions=UNSCHEDULABLE)
    running = pod("app-1", "a", tolerations_json=TOLERATED)
    assert beside.places(holding(context, running, stuck)) == BESIDE
    # Turning up during the pass it changes nothing either: no mover is what keeps it from starting.
    assert beside.in_the_way(holding(context, running, stuck, mover("a")), BESIDE) == ""


@pytest.mark.parametrize("ahead", [1, -1], ids=["clock goes on", "clock set back"])
def test_a_pod_that_never_gets_a_node_is_waited_for_once(
    context: Context, clock: SimpleNamespace, ahead: int
) -> None:
    alone = holding(context, pod("app-1", "", conditions=UNSCHEDULABLE))
    assert isinstance(beside.places(alone), Again)
    clock.at += ahead * beside.PATIENCE / 2
    assert isinstance(beside.places(alone), Again)
    clock.at += ahead * beside.PATIENCE / 2
    assert beside.places(alone) == {"1": {}}, "wherever the application may run"
    copying = holding(context, pod("app-1", "", conditions=UNSCHEDULABLE), mover("c"))
    assert beside.in_the_way(copying, {"1": {}}) == "", "it found no node without a mover either"
    assert beside.places(alone) == {"1": {}}, "nor before the next pass"
    # Another pod may find a node once the mover is gone.
    assert beside.in_the_way(
        holding(context, pod("app-2", "", conditions=UNSCHEDULABLE), mover("c")), {"1": {}}
    )


def test_a_pod_that_came_when_the_wait_was_over_is_made_way_for(
    context: Context, clock: SimpleNamespace
) -> None:
    assert isinstance(beside.places(holding(context, pod("app-1", "a", deleting_at="now"))), Again)
    clock.at += beside.PATIENCE
    late = pod("app-2", "", conditions=UNSCHEDULABLE)
    assert beside.places(holding(context, late)) == {"1": {}}
    assert "finds no node" in beside.in_the_way(holding(context, late, mover("c")), {"1": {}})


def test_a_pod_on_a_node_that_is_lost_is_not_waited_for_for_ever(
    context: Context, clock: SimpleNamespace
) -> None:
    lost = pod("app-1", "a", deleting_at="now", tolerations_json=TOLERATED)
    assert isinstance(beside.places(holding(context, lost)), Again)
    clock.at += beside.PATIENCE
    assert beside.places(holding(context, lost)) == BESIDE


def test_a_mover_that_may_take_the_room_of_a_second_pod_makes_way_once(
    context: Context, clock: SimpleNamespace
) -> None:
    running = pod("app-1", "a", tolerations_json=TOLERATED)
    second = pod("app-2", "", conditions=NO_ROOM)
    assert "finds no node" in beside.in_the_way(holding(context, running, second, mover("a")), BESIDE)
    assert isinstance(beside.places(holding(context, running, second)), Again)
    clock.at += beside.PATIENCE
    assert beside.places(holding(context, running, second)) == BESIDE
    assert beside.in_the_way(holding(context, running, second, mover("a")), BESIDE) == ""
    # Alone now: it may be the mover after all.
    assert "finds no node" in beside.in_the_way(holding(context, second, mover("a")), BESIDE)


def test_a_mover_tolerates_a_node_that_is_cordoned_and_not_drained(
    context: Context, clock: SimpleNamespace
) -> None:
    running = pod("app-1", "a", tolerations_json=TOLERATED)
    off = holding(context, running, mover("", phase="Pending", conditions=CORDONED))
    assert beside.kept_off(off, BESIDE) == "", "it may be drained in a moment"
    clock.at += beside.PATIENCE - timedelta(seconds=1)
    assert beside.kept_off(off, BESIDE) == ""
    clock.at += timedelta(seconds=1)
    assert "takes no new pods" in beside.kept_off(off, BESIDE)
    found = beside.places(holding(context, running))
    assert isinstance(found, dict)
    keys = [one["key"] for one in json.loads(found["1"]["tolerations"])]
    assert keys == ["disk", "node.kubernetes.io/unschedulable"]
    assert beside.kept_off(off, found) == "", "once is enough"
    assert beside.in_the_way(holding(context, running, mover("a")), found) == ""
    # Drained after all: it goes with the application, or it would come back as often as it is evicted.
    leaving = pod("app-1", "a", deleting_at="now")
    assert "takes no new pods" in beside.in_the_way(holding(context, leaving, mover("a")), found)
    assert beside.in_the_way(holding(context, leaving, mover("a")), BESIDE) == "", "no other mover does"


def test_a_mover_stays_off_a_node_that_is_being_drained(context: Context, clock: SimpleNamespace) -> None:
    evicted = mover("", phase="Pending", conditions=CORDONED)
    for going in (pod("app-1", "a", deleting_at="now"), pod("app-2", "b")):
        beside.kept_off(holding(context, going, evicted), BESIDE)
        clock.at += beside.PATIENCE
        assert beside.kept_off(holding(context, going, evicted), BESIDE) == ""
