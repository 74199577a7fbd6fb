"""Protection a path of deletion, as the controllers compute it (sections A1, A7, B1, B4, C1 of the domain facts)."""

from dataclasses import replace

import pytest

from cluster.base import Ref
from cluster.flux import InventoryEntry
from cluster.policies import ActionOverride, Admission, PolicyException
from dashboard.protection import Declared, assess
from dashboard.states import Drift, Owner, Protection
from tests.dashboard import making as make

GOOD, PART, BAD = Protection.PROTECTED, Protection.PARTIAL, Protection.UNPROTECTED
NONE, UNSURE = Protection.NOT_APPLICABLE, Protection.UNKNOWN
KEY = "kustomize.toolkit.fluxcd.io/"


def state(path, claim, around, declared=None):
    return assess(claim, around, declared).layer(path).state


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        ({}, {KEY + "prune": "disabled"}, GOOD),
        ({}, {KEY + "prune": "Disabled"}, GOOD),
        ({}, {KEY + "prune": "DISABLED"}, GOOD),
        ({KEY + "prune": "disabled"}, {}, GOOD),
        ({}, {KEY + "reconcile": "disabled"}, GOOD),
        ({KEY + "reconcile": "Disabled"}, {}, GOOD),
        ({}, {KEY + "ssa": "Ignore"}, GOOD),
        ({}, {KEY + "ssa": "IfNotPresent"}, BAD),
        ({}, {KEY + "ssa": "Merge"}, BAD),
        ({}, {KEY + "prune": "enabled"}, BAD),
        ({}, {KEY + "prune": "true"}, BAD),
        ({}, {KEY + "prune": ""}, BAD),
        ({}, {KEY + "prune": " disabled"}, BAD),
        ({}, {"Kustomize.toolkit.fluxcd.io/prune": "disabled"}, BAD),
        ({}, {KEY + "Prune": "disabled"}, BAD),
        ({}, {"argocd.argoproj.io/sync-options": "Prune=false"}, BAD),
        ({}, {}, BAD),
    ],
)
def test_flux_prune_reads_three_keys_as_label_or_annotation_in_any_case(labels, annotations, expected):
    claim = make.claim(labels=make.OWNED | labels, annotations=annotations)
    assert state("flux_prune", claim, make.around()) == expected


@pytest.mark.parametrize(
    ("kustomization", "expected"),
    [
        ({"prune": False}, PART),
        ({"suspended": True}, BAD),
        ({"inventory": ()}, NONE),
        ({"remote": True}, UNSURE),
    ],
)
def test_flux_prune_of_an_unannotated_claim_depends_on_its_kustomization(kustomization, expected):
    around = make.around(kustomizations=(make.kustomization(**kustomization),))
    assert state("flux_prune", make.claim(annotations={}), around) == expected


def test_flux_skips_a_claim_in_the_inventory_whose_owner_labels_name_another():
    claim = make.claim(annotations={}, labels={})
    found = assess(claim, make.around())
    assert found.owner.kind == Owner.KUSTOMIZATION
    assert found.layer("flux_prune").state == PART


@pytest.mark.parametrize("key", ["force on the Kustomization", "force on the claim"])
def test_force_deletes_an_annotated_claim_on_an_immutable_change(key):
    on_claim = {KEY + "force": "Enabled"} if key.endswith("claim") else {}
    claim = make.claim(annotations=make.DISABLED | on_claim)
    around = make.around(kustomizations=(make.kustomization(force=key.endswith("Kustomization")),))
    assert state("flux_prune", claim, around) == PART
    ignored = make.claim(annotations={KEY + "reconcile": "disabled"} | on_claim)
    assert state("flux_prune", ignored, around) == GOOD


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("Prune=false,Delete=false", GOOD),
        ("Validate=false, Prune=false, Delete=false", GOOD),
        ("Prune=false", PART),
        ("Prune=confirm,Delete=confirm", PART),
        ("Validate=false", BAD),
    ],
)
def test_argo_cd_needs_both_options(options, expected):
    claim = make.claim(
        labels={},
        annotations={
            "argocd.argoproj.io/tracking-id": "shop:/PersistentVolumeClaim:media/data",
            "argocd.argoproj.io/sync-options": options,
        },
    )
    found = assess(claim, make.around(kustomizations=()))
    assert (found.owner.kind, found.owner.name) == (Owner.ARGO_CD, "shop")
    assert found.layer("flux_prune").state == expected


def test_helm_ignores_the_annotation_of_flux():
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    named = {"meta.helm.sh/release-name": "redis", "meta.helm.sh/release-namespace": "media"}
    claim = make.claim(labels=labels, annotations=make.DISABLED | named)
    around = make.around(kustomizations=())
    assert state("flux_prune", claim, around) == BAD
    kept = replace(claim, annotations=named | {"helm.sh/resource-policy": "keep"})
    assert state("flux_prune", kept, around) == PART


@pytest.mark.parametrize(
    ("admission", "expected", "says"),
    [
        (make.admission(), GOOD, "denies"),
        (Admission(), BAD, "No policy"),
        (Admission(unreadable=("ClusterPolicy",)), UNSURE, "could not be read"),
        (make.admission(webhooks=()), BAD, "engine is absent"),
        (
            make.admission(webhooks=(), unreadable=("ValidatingWebhookConfiguration",)),
            UNSURE,
            "could not be read",
        ),
        (
            make.admission(webhooks=(make.webhook(rules=(("CREATE", "persistentvolumeclaims"),)),)),
            BAD,
            "absent",
        ),
        (
            make.admission(webhooks=(make.webhook(webhook="guard.example.org", ref=Ref("", "", "", "x")),)),
            BAD,
            "absent",
        ),
        (make.admission(webhooks=(make.webhook(failure_policy="Ignore"),)), PART, "fails open"),
        (make.admission(kyverno_ready_replicas=0), PART, "outage"),
        (
            make.admission(webhooks=(make.webhook(failure_policy="Ignore"),), kyverno_ready_replicas=0),
            BAD,
            "lets everything pass",
        ),
        (make.admission(policies=(make.policy(make.rule(enforces=False)),)), BAD, "only audits"),
        (
            make.admission(
                policies=(make.policy(make.rule(overrides=(ActionOverride("Audit", ("med*",)),))),)
            ),
            BAD,
            "only audits",
        ),
        (
            make.admission(
                policies=(
                    make.policy(
                        make.rule(enforces=False, overrides=(ActionOverride("Enforce", ("media",)),))
                    ),
                )
            ),
            GOOD,
            "denies",
        ),
        (make.admission(policies=(make.policy(ready=False, message="no RBAC"),)), BAD, "not ready"),
        (make.admission(policies=(make.policy(admission=False),)), BAD, "switched off"),
        (make.admission(policies=(make.policy(make.rule(namespaces=("other",))),)), BAD, "No policy"),
        (make.admission(policies=(make.policy(make.rule(operations=("CREATE",))),)), BAD, "No policy"),
        (make.admission(policies=(make.policy(make.rule(operations=())),)), GOOD, "denies"),
        (make.admission(policies=(make.policy(make.rule(kinds=("*",))),)), GOOD, "denies"),
        (
            make.admission(policies=(make.policy(make.rule(kinds=("v1/PersistentVolumeClaim",))),)),
            GOOD,
            "denies",
        ),
        (
            make.admission(policies=(make.policy(make.rule(**make.exclude(namespaces=("media",)))),)),
            BAD,
            "excluded",
        ),
        (
            make.admission(
                policies=(
                    make.policy(make.rule(**make.exclude(people_json='{"clusterRoles":["cluster-admin"]}'))),
                )
            ),
            PART,
            "some people",
        ),
        (
            make.admission(
                exceptions=(PolicyException(ref=Ref("", "", "", "once"), policies=(("keep", ()),)),)
            ),
            UNSURE,
            "PolicyException",
        ),
        (make.admission(resource_filters=("[*/*,media,*]",)), BAD, "resource filter"),
        (make.admission(resource_filters=("[PersistentVolumeClaim,*,*]",)), BAD, "resource filter"),
        (make.admission(resource_filters=("[v1/PersistentVolumeClaim,med*,*]",)), BAD, "resource filter"),
        (make.admission(resource_filters=("[PersistentVolumeClaim,media,other]",)), GOOD, "denies"),
        (make.admission(resource_filters=make.DEFAULT_FILTERS), GOOD, "denies"),
        (
            make.admission(
                webhooks=(make.webhook(namespace_selector_json='{"matchLabels":{"guard":"on"}}'),)
            ),
            BAD,
            "out",
        ),
        (
            make.admission(policies=(make.policy(make.rule(condition=make.deny("other || ''"))),)),
            UNSURE,
            "Probe",
        ),
        (make.admission(policies=(make.policy(make.rule(sort="everything")),)), GOOD, "denies"),
        (make.admission(policies=(make.native(),), webhooks=(), kyverno_ready_replicas=0), GOOD, "denies"),
        (make.admission(policies=(make.native(failure_policy="Ignore"),), webhooks=()), PART, "fail open"),
        (make.admission(policies=(make.native(rules=(make.rule(enforces=False),)),)), BAD, "no binding"),
        (make.admission(policies=(make.policy(generated_native=True),), webhooks=()), GOOD, "denies"),
        (make.admission(policies=(make.policy(ready=False), make.native())), GOOD, "denies"),
    ],
)
def test_kubectl_delete_is_denied_only_where_a_policy_is_there_running_enforcing_and_about_it(
    admission, expected, says
):
    layer = assess(make.claim(), make.around(admission=admission)).layer("kubectl_delete")
    assert (layer.state, says in layer.fact) == (expected, True), layer.fact


@pytest.mark.parametrize(
    ("annotations", "labels", "condition", "expected"),
    [
        ({}, {}, make.CONDITION, BAD),
        ({KEY + "prune": "enabled"}, {}, make.CONDITION, BAD),
        ({KEY + "prune": "Disabled"}, {}, make.CONDITION, BAD),
        ({KEY + "prune": "Disabled"}, {}, make.deny(f"to_lower({make.ANNOTATION})"), GOOD),
        ({}, {KEY + "prune": "disabled"}, make.CONDITION, BAD),
        ({}, {KEY + "prune": "disabled"}, make.CONDITION.replace("annotations", "labels"), GOOD),
    ],
)
def test_a_policy_sees_only_the_form_of_the_annotation_that_it_reads(
    annotations, labels, condition, expected
):
    claim = make.claim(annotations=annotations, labels=make.OWNED | labels)
    around = make.around(admission=make.admission(policies=(make.policy(make.rule(condition=condition)),)))
    assert state("kubectl_delete", claim, around) == expected


def test_a_claim_in_deletion_is_unprotected_whatever_the_policy():
    assert state("kubectl_delete", make.claim(deleting_at=make.NOW), make.around()) == BAD


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, PART),
        ({"excluded_groups": ("system:serviceaccounts:kube-system",)}, BAD),
        ({"excluded_groups": ("system:*",)}, BAD),
        ({"excluded_groups": None}, UNSURE),
        ({"policies": (make.native(),), "excluded_groups": None}, PART),
        ({"policies": ()}, BAD),
        (
            {
                "policies": (
                    make.policy(make.rule(kinds=("PersistentVolumeClaim", "Namespace"), sort="everything")),
                )
            },
            GOOD,
        ),
    ],
)
def test_a_namespace_takes_its_claims_along_unless_its_own_deletion_is_denied(fields, expected):
    around = make.around(admission=make.admission(**fields))
    assert state("namespace_delete", make.claim(), around) == expected


def test_a_terminating_namespace_protects_nothing():
    around = make.around(namespaces=(make.namespace(phase="Terminating"),))
    assert state("namespace_delete", make.claim(), around) == BAD


def test_a_namespace_that_flux_would_prune_is_named():
    held = make.kustomization(inventory=(make.ENTRY, InventoryEntry("", "media", "", "Namespace", "v1")))
    around = make.around(kustomizations=(held,))
    assert "deletes it once Git" in assess(make.claim(), around).layer("namespace_delete").fact
    safe = make.around(kustomizations=(held,), namespaces=(make.namespace(annotations=make.DISABLED),))
    assert "deletes it once Git" not in assess(make.claim(), safe).layer("namespace_delete").fact


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        ((make.volume(reclaim_policy="Retain"),), GOOD),
        ((make.volume(reclaim_policy="Delete"),), BAD),
        ((make.volume(reclaim_policy="Recycle"),), BAD),
        ((make.volume(reclaim_policy="Retain", deleting_at=make.NOW),), BAD),
        ((make.volume(reclaim_policy="Retain", claim_ref=None),), UNSURE),
        ((), UNSURE),
    ],
)
def test_the_reclaim_policy_decides_what_remains_of_the_data(volumes, expected):
    assert state("volume_reclaim", make.claim(), make.around(volumes=volumes)) == expected


def test_a_volume_that_names_another_claim_of_the_same_name_is_no_protection():
    claim = make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", "data", "uid-2"))
    assert (
        state("volume_reclaim", claim, make.around(volumes=(make.volume(reclaim_policy="Retain"),))) == UNSURE
    )


def test_an_unbound_claim_has_no_volume_to_lose():
    assert state("volume_reclaim", make.claim(volume_name=""), make.around()) == NONE


@pytest.mark.parametrize("retention", [{"when_scaled": "Delete"}, {"when_deleted": "Delete"}])
def test_a_stateful_set_that_deletes_its_claims_is_named_and_weakens_where_the_engine_lets_it_pass(retention):
    claim = make.claim(ref=Ref("v1", "PersistentVolumeClaim", "media", "data-db-0", "uid-1"), labels={})
    passing = make.admission(excluded_groups=("system:serviceaccounts:kube-system",))
    around = make.around(workloads=(make.stateful_set(**retention),), admission=passing)
    found = assess(claim, around)
    assert found.owner.kind == Owner.STATEFUL_SET
    assert found.layer("kubectl_delete").state == PART
    assert "StatefulSet db" in found.layer("kubectl_delete").fact


@pytest.mark.parametrize(
    ("annotations", "declared", "expected"),
    [
        (make.DISABLED, Declared(True, False, "apps/pvc.yaml"), Drift.CLUSTER_ONLY),
        ({}, Declared(True, True, "apps/pvc.yaml"), Drift.GIT_ONLY),
        (make.DISABLED, Declared(True, True, "apps/pvc.yaml"), Drift.NONE),
        ({}, Declared(True, False, "apps/pvc.yaml"), Drift.NONE),
        (make.DISABLED, Declared(False), Drift.UNKNOWN),
        (make.DISABLED, None, Drift.UNKNOWN),
    ],
)
def test_drift_compares_the_cluster_with_git(annotations, declared, expected):
    assert assess(make.claim(annotations=annotations), make.around(), declared).drift == expected


def test_protection_that_git_will_undo_is_only_partial():
    found = assess(make.claim(), make.around(), Declared(True, False, "apps/pvc.yaml"))
    assert found.layer("flux_prune").state == PART


def test_the_weakest_path_counts_and_a_retained_volume_raises_it_to_partial():
    bare = make.claim(annotations={})
    assert assess(bare, make.around()).weakest == BAD
    assert assess(bare, make.around(volumes=(make.volume(reclaim_policy="Retain"),))).weakest == PART
    assert assess(make.claim(), make.around()).weakest == PART  # the namespace
