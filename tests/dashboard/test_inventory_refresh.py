"""Rows follow readings: upserted by UID, marked gone, left alone when nothing changed."""

from dataclasses import replace

import pytest

from cluster.base import Ref
from cluster.values import OwnerReference, Pod, Snapshot, Workload
from dashboard import models
from dashboard.inventory import Reading, refresh, refresh_claims
from dashboard.states import Enforcement, Owner, Protection
from tests.dashboard import making as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def row():
    return models.Cluster.objects.create(name="c")


def reading(*claims, **fields):
    return Reading(claims=claims or (make.claim(),), around=make.around(), **fields)


def test_a_reading_becomes_rows(row):
    refresh(row, reading(server_version="v1.33.1"))
    claim = row.claims.get()
    assert (claim.namespace, claim.name, claim.uid) == ("media", "data", "uid-1")
    assert (claim.owner, claim.owner_name, claim.reclaim_policy) == (Owner.KUSTOMIZATION, "apps", "Delete")
    assert [state for _, _, state, _ in claim.protection()] == [
        Protection.PROTECTED,
        Protection.PROTECTED,
        Protection.PARTIAL,
        Protection.UNPROTECTED,
    ]
    assert [layer["path"] for layer in claim.facts["layers"]] == [path for path, *_ in claim.protection()]
    row.refresh_from_db()
    assert (row.enforcement, row.server_version) == (Enforcement.ENFORCED, "v1.33.1")
    fact = row.gitops.get()
    assert (fact.kind, fact.prune, fact.inventory_size) == ("Kustomization", True, 1)
    assert row.namespaces.get().name == "media"


def test_an_equal_reading_writes_no_claim(row):
    assert refresh(row, reading()).changed == 1
    assert refresh(row, reading()).changed == 0
    assert refresh(row, reading(make.claim(annotations={}))).changed == 1
    assert models.Claim.objects.at_risk().count() == 1


def test_a_claim_that_is_no_longer_listed_is_gone_and_stays_in_history(row):
    refresh(row, reading())
    again = make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", "data", "uid-2"))
    written = refresh(row, reading(again))
    assert (written.changed, written.gone) == (1, 1)
    assert row.claims.count() == 2
    assert [claim.uid for claim in row.claims.present()] == ["uid-2"]


def test_a_claim_that_was_made_again_between_two_lists_takes_the_place_of_the_old(row):
    refresh(row, reading())
    again = make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", "data", "uid-2"))
    written = refresh_claims(row, reading(again), [again], [])
    assert (written.changed, written.gone) == (1, 1)
    assert refresh_claims(row, reading(), [], ["uid-2"]).gone == 1
    assert not row.claims.present().exists()


def test_a_claim_seen_again_is_present_again(row):
    refresh(row, reading())
    refresh_claims(row, reading(), [], ["uid-1"])
    refresh_claims(row, reading(), [make.claim()], [])
    assert row.claims.present().count() == 1


def test_consumers_are_shown_by_their_top_controller_with_their_pods(row):
    deployment = Workload(
        ref=Ref("apps/v1", "Deployment", "media", "web", "uid-d"), replicas=2, claims=("data",)
    )
    replica_set = Workload(
        ref=Ref("apps/v1", "ReplicaSet", "media", "web-1", "uid-r"),
        replicas=2,
        claims=("data",),
        owner_references=(OwnerReference("apps/v1", "Deployment", "web", "uid-d", True),),
    )
    pods = tuple(
        Pod(
            ref=Ref("v1", "Pod", "media", f"web-1-{n}", f"uid-{n}"),
            claims=("data",),
            owner_references=(OwnerReference("apps/v1", "ReplicaSet", "web-1", "uid-r", True),),
        )
        for n in range(2)
    )
    bare = Pod(ref=Ref("v1", "Pod", "media", "shell", "uid-b"), claims=("data",))
    around = make.around(workloads=(deployment, replica_set))
    refresh(row, replace(reading(pods=(*pods, bare)), around=around))
    consumers = {(c["kind"], c["name"]): (c["replicas"], c["pods"]) for c in row.claims.get().consumers}
    assert consumers == {("Deployment", "web"): (2, 2), ("Pod", "shell"): (None, 1)}


def test_only_a_ready_snapshot_counts(row):
    def snapshot(name, ready, taken_at):
        return Snapshot(
            ref=Ref("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "media", name, name),
            claim_name="data",
            ready=ready,
            taken_at=taken_at,
        )

    later = make.NOW.replace(hour=5)
    refresh(row, reading(snapshots=(snapshot("a", True, make.NOW), snapshot("b", False, later))))
    assert row.claims.get().snapshot_at == make.NOW


def test_two_thousand_claims_are_written_with_few_queries(row, django_assert_max_num_queries):
    claims = tuple(
        make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", f"data-{n}", f"uid-{n}"))
        for n in range(2000)
    )
    with django_assert_max_num_queries(30):
        assert refresh(row, reading(*claims)).changed == 2000
