"""Who owns a claim: labels and inventory, else an orphan (A3 of the domain facts)."""

from dataclasses import replace

import pytest

from cluster.base import Ref
from cluster.flux import HelmRelease, InventoryEntry, parse_inventory_id
from dashboard.ownership import application_of, owner_of
from dashboard.protection import assess
from dashboard.states import Owner, Protection
from tests.dashboard import making as make


def release(*inventory: InventoryEntry) -> HelmRelease:
    return HelmRelease(
        ref=Ref("helm.toolkit.fluxcd.io/v2", "HelmRelease", "media", "redis", "u"), inventory=inventory
    )


@pytest.mark.parametrize(
    ("claim", "around", "kind", "name"),
    [
        (make.claim(), make.around(), Owner.KUSTOMIZATION, "apps"),
        (make.claim(), make.around(kustomizations=(make.kustomization(inventory=()),)), Owner.ORPHAN, "apps"),
        # It may live in another cluster, and apply the claim from there.
        (make.claim(), make.around(kustomizations=()), Owner.KUSTOMIZATION, "apps"),
        (
            make.claim(),
            make.around(kustomizations=(make.kustomization(remote=True),)),
            Owner.KUSTOMIZATION,
            "apps",
        ),
        (
            make.claim(),
            make.around(kustomizations=(make.kustomization(remote=True, inventory=()),)),
            Owner.ORPHAN,
            "apps",
        ),
        (make.claim(labels={}), make.around(kustomizations=()), Owner.NOBODY, ""),
        (make.claim(labels=make.HELM_OWNED), make.around(kustomizations=()), Owner.HELM_RELEASE, "redis"),
        (
            make.claim(labels=make.HELM_OWNED),
            make.around(kustomizations=(), helm_releases=(release(),)),
            Owner.HELM_RELEASE,
            "redis",
        ),
        (
            make.claim(labels=make.HELM_OWNED),
            make.around(kustomizations=(), helm_releases=(release(make.ENTRY),)),
            Owner.HELM_RELEASE,
            "redis",
        ),
        (
            make.claim(labels=make.HELM_OWNED),
            make.around(
                kustomizations=(), helm_releases=(release(InventoryEntry("media", "x", "", "Secret")),)
            ),
            Owner.ORPHAN,
            "redis",
        ),
        (
            make.claim(
                labels={"app.kubernetes.io/managed-by": "Helm"},
                annotations={"meta.helm.sh/release-name": "redis"},
            ),
            make.around(kustomizations=()),
            Owner.HELM,
            "redis",
        ),
        (
            make.claim(
                labels={}, owner_references=make.owned_by("Cluster", api_version="postgresql.cnpg.io/v1")
            ),
            make.around(kustomizations=()),
            Owner.OPERATOR,
            "owner",
        ),
        (
            make.claim(owner_references=make.owned_by("Cluster", api_version="postgresql.cnpg.io/v1")),
            make.around(kustomizations=()),
            Owner.OPERATOR,  # the operator copied the owner labels of Flux to its child
            "owner",
        ),
        (
            make.claim(labels={}, owner_references=make.owned_by("Pod")),
            make.around(kustomizations=()),
            Owner.OPERATOR,
            "owner",
        ),
        (
            make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", "data-db-2", "u")),
            make.around(kustomizations=(make.kustomization(inventory=()),), workloads=(make.stateful_set(),)),
            Owner.STATEFUL_SET,  # at an ordinal beyond the present replicas, it is adopted by name
            "db",
        ),
        (
            make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", "data-db-x", "u"), labels={}),
            make.around(kustomizations=(), workloads=(make.stateful_set(),)),
            Owner.NOBODY,
            "",
        ),
        (
            make.claim(
                labels={}, annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:media/web"}
            ),
            make.around(kustomizations=()),
            Owner.NOBODY,  # the tracking annotation was copied from another object
            "",
        ),
    ],
)
def test_the_owner_is_who_would_make_or_delete_it_again(claim, around, kind, name):
    found = owner_of(claim, around)
    assert (found.kind, found.name) == (kind, name), found.detail


@pytest.mark.parametrize("unreadable", [(), ("Kustomization", "HelmRelease")])
@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ({"annotations": {}}, Protection.UNKNOWN),
        ({"annotations": make.DISABLED}, Protection.PARTIAL),
        ({"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}, Protection.PROTECTED),
        ({"labels": make.HELM_OWNED}, Protection.UNKNOWN),
        ({"labels": make.HELM_OWNED, "annotations": {"helm.sh/resource-policy": "keep"}}, Protection.PARTIAL),
    ],
)
def test_an_owner_that_was_not_seen_may_still_delete_the_claim(claim, expected, unreadable):
    around = make.around(kustomizations=(), helm_releases=(), unreadable=unreadable)
    found = assess(make.claim(**claim), around)
    assert found.owner.kind in {Owner.KUSTOMIZATION, Owner.HELM_RELEASE}
    assert found.layer("flux_prune").state == expected, found.layer("flux_prune").fact


def test_a_release_that_applies_to_another_cluster_is_not_known_to_hold_the_claim():
    remote = replace(release(make.ENTRY), remote=True)
    around = make.around(kustomizations=(), helm_releases=(remote,))
    found = assess(make.claim(labels=make.HELM_OWNED), around)
    assert found.layer("flux_prune").state == Protection.UNKNOWN


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        (
            "media_jellyfin-data__PersistentVolumeClaim",
            InventoryEntry("media", "jellyfin-data", "", "PersistentVolumeClaim"),
        ),
        ("_media__Namespace", InventoryEntry("", "media", "", "Namespace")),
        ("media_web_apps_Deployment", InventoryEntry("media", "web", "apps", "Deployment")),
        (
            "_system__kube-scheduler_rbac.authorization.k8s.io_ClusterRole",
            InventoryEntry("", "system:kube-scheduler", "rbac.authorization.k8s.io", "ClusterRole"),
        ),
        ("media_odd_name_v1_ConfigMap", InventoryEntry("media", "odd_name", "v1", "ConfigMap")),
        ("nonsense", None),
        ("", None),
    ],
)
def test_inventory_ids_are_parsed_from_both_ends(text, entry):
    assert parse_inventory_id(text) == entry


APPLIED = InventoryEntry("media", "db", "apps", "StatefulSet", "v1")


@pytest.mark.parametrize(
    ("labels", "annotations", "inventory", "application"),
    [
        (make.OWNED, {}, (APPLIED,), "flux-system/apps"),
        # A copied label: the inventory does not hold the StatefulSet.
        (make.OWNED, {}, (make.ENTRY,), ""),
        (make.HELM_OWNED, {}, (), "media/redis"),
        (
            {"app.kubernetes.io/managed-by": "Helm"},
            {"meta.helm.sh/release-name": "redis", "meta.helm.sh/release-namespace": "media"},
            (),
            "media/redis",
        ),
        ({}, {}, (), ""),
    ],
)
def test_a_claim_of_a_template_belongs_to_who_applies_the_stateful_set(
    labels, annotations, inventory, application
):
    ref = Ref("v1", "PersistentVolumeClaim", "media", "data-db-0", "uid-1")
    around = make.around(
        workloads=(make.stateful_set(labels=labels, annotations=annotations),),
        kustomizations=(make.kustomization(inventory=inventory),),
    )
    claim = make.claim(ref=ref, labels={})
    assert owner_of(claim, around).kind == Owner.STATEFUL_SET
    assert application_of(claim, around) == application
