"""What Flux deletes, and what it leaves: facts A1."""

import pytest

from sandbox.kinds import (
    CONFIG_MAPS,
    KUSTOMIZATIONS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
)
from tests.contract.fleet import PRUNE, Fleet, condition_of, inventory
from tests.contract.flux_fixtures import fleet, needs_sandbox
from tests.support.waiting import until

pytestmark = [pytest.mark.contract, needs_sandbox]
__all__ = ["fleet"]

GROUP = "kustomize.toolkit.fluxcd.io"


def applied_then_removed(fleet: Fleet, **metadata: object) -> dict:
    """Applies a claim with this metadata, then removes it from Git. The Kustomization afterwards."""
    fleet.kustomization()
    fleet.apply(fleet.claim(**metadata), fleet.config("other"))
    assert fleet.live() is not None
    return fleet.apply(fleet.config("other"))


def test_a_claim_that_left_git_is_deleted(fleet: Fleet) -> None:
    item = applied_then_removed(fleet)
    assert fleet.live() is None
    assert inventory(item) == {f"{fleet.place.namespace}_other__ConfigMap"}


@pytest.mark.parametrize("kept_in", ["labels", "annotations"])
@pytest.mark.parametrize(
    ("key", "value"),
    [("prune", "disabled"), ("prune", "DisAbled"), ("reconcile", "Disabled"), ("ssa", "ignore")],
)
def test_a_protected_claim_is_left_and_forgotten(fleet: Fleet, kept_in: str, key: str, value: str) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(), fleet.config("other"))
    fleet.edit(PERSISTENT_VOLUME_CLAIMS, "data", {kept_in: {f"{GROUP}/{key}": value}}, manager="someone")
    item = fleet.apply(fleet.config("other"))
    assert fleet.live() is not None
    assert condition_of(item)["status"] == "True"
    assert not any("data" in entry for entry in inventory(item))


def test_a_claim_that_was_skipped_once_is_never_pruned_again(fleet: Fleet) -> None:
    applied_then_removed(fleet, annotations={PRUNE: "disabled"})
    fleet.annotate(None)
    fleet.reconcile()
    fleet.reconcile()
    assert fleet.live() is not None


@pytest.mark.parametrize("value", ["enabled", "", "true", "disabled "])
def test_any_other_value_protects_nothing(fleet: Fleet, value: str) -> None:
    applied_then_removed(fleet, annotations={PRUNE: value})
    assert fleet.live() is None


def test_the_key_is_case_sensitive(fleet: Fleet) -> None:
    applied_then_removed(fleet, annotations={f"{GROUP}/Prune": "disabled"})
    assert fleet.live() is None


def test_a_claim_with_another_owner_label_is_left_and_forgotten(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(), fleet.config("other"))
    fleet.edit(PERSISTENT_VOLUME_CLAIMS, "data", {"labels": {f"{GROUP}/name": "else"}}, manager="someone")
    item = fleet.apply(fleet.config("other"))
    assert fleet.live() is not None
    assert not any("data" in entry for entry in inventory(item))


def test_one_broken_object_stops_all_pruning(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(), fleet.config("other"))
    broken = {**fleet.config("Not A Name"), "data": {"key": "value"}}
    item = fleet.apply(fleet.config("other"), broken)
    assert condition_of(item)["reason"] == "ReconciliationFailed"
    assert fleet.live() is not None
    assert f"{fleet.place.namespace}_data__PersistentVolumeClaim" in inventory(item)
    fleet.apply(fleet.config("other"))
    assert fleet.live() is None


def test_with_prune_off_the_inventory_moves_on_and_nothing_is_cleaned_up_later(fleet: Fleet) -> None:
    fleet.kustomization(prune=False)
    fleet.apply(fleet.claim(), fleet.config("other"))
    item = fleet.apply(fleet.config("other"))
    assert not any("data" in entry for entry in inventory(item))
    fleet.place.client.patch(KUSTOMIZATIONS, "apps", {"spec": {"prune": True}}, fleet.place.namespace)
    fleet.reconcile()
    assert fleet.live() is not None


def test_what_refused_to_go_stays_in_the_inventory_and_is_tried_again(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("kept"), fleet.config("other"), fleet.config("third"))
    binding = deny_deletion(fleet, "kept")
    try:
        item = fleet.apply(fleet.config("other"))
        assert condition_of(item)["reason"] == "PruneFailed"
        kept, third = (f"{fleet.place.namespace}_{name}__ConfigMap" for name in ("kept", "third"))
        assert kept in inventory(item)
        # The others went all the same.
        assert third not in inventory(item)
        assert fleet.live_config("third") is None
    finally:
        for resource, name in binding:
            fleet.place.client.delete(resource, name)

    def gone() -> bool:
        fleet.reconcile()
        return fleet.live_config("kept") is None

    until(gone, timeout_s=20, what="the survivor pruned")


def deny_deletion(fleet: Fleet, name: str) -> list:
    """A native policy that refuses to delete one ConfigMap; what to remove again."""
    client, own = fleet.place.client, f"deny-{fleet.place.namespace}"
    version = "admissionregistration.k8s.io/v1"
    policies = client.mapping(version, "ValidatingAdmissionPolicy")
    bindings = client.mapping(version, "ValidatingAdmissionPolicyBinding")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    test = f"oldObject.metadata.name != '{name}' || oldObject.metadata.namespace != '{fleet.place.namespace}'"
    client.create(
        policies,
        {
            "metadata": {"name": own},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": test, "message": "not this one"}],
            },
        },
    )
    client.create(
        bindings, {"metadata": {"name": own}, "spec": {"policyName": own, "validationActions": ["Deny"]}}
    )
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}

    def refused() -> bool:
        try:
            client.delete(CONFIG_MAPS, name, fleet.place.namespace, dry_run=True)
        except Exception as error:  # noqa: BLE001 - any refusal will do
            return "not this one" in str(error)
        return False

    until(refused, timeout_s=20, what=f"the policy for {body['metadata']['name']} at work")
    return [(bindings, own), (policies, own)]


def test_a_deleted_kustomization_takes_what_it_applied(fleet: Fleet) -> None:
    delete_kustomization(fleet)
    assert fleet.live_config("plain") is None
    assert fleet.live_config("protected") is not None


def test_a_deleted_suspended_kustomization_takes_nothing(fleet: Fleet) -> None:
    delete_kustomization(fleet, suspend=True)
    assert fleet.live_config("plain") is not None


def test_a_deleted_kustomization_with_policy_orphan_takes_nothing(fleet: Fleet) -> None:
    delete_kustomization(fleet, deletionPolicy="Orphan")
    assert fleet.live_config("plain") is not None


def test_a_deleted_kustomization_without_prune_takes_nothing_unless_it_says_delete(fleet: Fleet) -> None:
    delete_kustomization(fleet, prune=False)
    assert fleet.live_config("plain") is not None
    delete_kustomization(fleet, prune=False, deletionPolicy="Delete")
    assert fleet.live_config("plain") is None


def delete_kustomization(fleet: Fleet, **spec: object) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("plain"), fleet.config("protected", annotations={PRUNE: "disabled"}))
    client, namespace = fleet.place.client, fleet.place.namespace
    client.patch(KUSTOMIZATIONS, "apps", {"spec": spec}, namespace)
    client.delete(KUSTOMIZATIONS, "apps", namespace)
    fleet.place.wait_gone(KUSTOMIZATIONS, "apps")


def test_a_pruned_namespace_takes_protected_claims_with_it(fleet: Fleet) -> None:
    fleet.kustomization()
    other = f"{fleet.place.namespace}-inner"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}
    claim = fleet.claim(annotations={f"{GROUP}/prune": "disabled"})
    claim["metadata"]["namespace"] = other
    fleet.apply(namespace, claim, fleet.config("other"))
    fleet.place.others.append(other)
    assert fleet.place.client.find(PERSISTENT_VOLUME_CLAIMS, "data", other) is not None
    fleet.apply(fleet.config("other"))
    going = fleet.place.client.find(NAMESPACES, other)
    assert going is None or going["metadata"].get("deletionTimestamp")
    until(
        lambda: fleet.place.client.find(PERSISTENT_VOLUME_CLAIMS, "data", other) is None,
        timeout_s=30,
        what="the claim gone with its namespace",
    )


def test_force_deletes_and_makes_a_claim_again_when_an_immutable_field_changes(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim())
    before = fleet.live()
    item = fleet.apply(fleet.claim(storage_class="another"))
    assert condition_of(item)["reason"] == "ReconciliationFailed"
    assert "dry-run failed (Invalid)" in condition_of(item)["message"]
    same = fleet.live()
    assert before is not None
    assert same is not None
    # Its binding goes on meanwhile: what is asked is whether it is the same claim, of the same class.
    assert same["metadata"]["uid"] == before["metadata"]["uid"]
    assert same["spec"]["storageClassName"] == before["spec"]["storageClassName"]
    fleet.place.client.patch(KUSTOMIZATIONS, "apps", {"spec": {"force": True}}, fleet.place.namespace)
    fleet.reconcile()
    after = fleet.live()
    assert after is not None
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
