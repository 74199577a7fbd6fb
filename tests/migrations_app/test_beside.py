"""Where a warm mover goes, and when it makes way. The cluster here is one that lists pods."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

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


def _fields(found: Pod) -> dict[str, Any]:
    names = ("name", "node", "claims", "ephemeral_claims", "phase", "finished", "deleting", "controller")
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
