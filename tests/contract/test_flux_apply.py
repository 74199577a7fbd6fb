"""Drift, field managers, ownership and inventory: facts A2 and A3."""

import pytest

from sandbox.flux.inventory import parse
from sandbox.kinds import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS
from tests.contract.fleet import PRUNE, Fleet, condition_of, inventory
from tests.contract.flux_fixtures import fleet, needs_sandbox

pytestmark = [pytest.mark.contract, needs_sandbox]
__all__ = ["fleet"]

GROUP = "kustomize.toolkit.fluxcd.io"


def annotations(item: dict | None) -> dict:
    assert item is not None
    return dict(item["metadata"].get("annotations") or {})


def test_what_kubectl_added_is_taken_away(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(annotations={"kept": "yes"}))
    fleet.annotate("disabled")
    fleet.reconcile()
    assert PRUNE not in annotations(fleet.live())
    assert annotations(fleet.live())["kept"] == "yes"


def test_what_kubectl_removed_is_put_back(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(annotations={PRUNE: "disabled"}))
    fleet.annotate(None)
    fleet.reconcile()
    assert annotations(fleet.live())[PRUNE] == "disabled"


def test_what_another_manager_removed_is_put_back_too(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(annotations={PRUNE: "disabled"}))
    fleet.annotate(None, manager="holdfast")
    fleet.reconcile()
    assert annotations(fleet.live())[PRUNE] == "disabled"


def test_what_another_manager_added_stays(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim())
    fleet.annotate("disabled", manager="holdfast")
    fleet.reconcile()
    assert annotations(fleet.live())[PRUNE] == "disabled"


def test_a_key_that_left_git_goes_unless_another_manager_owns_it_too(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("shared", annotations={"one": "1", "two": "2"}))
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shared", "namespace": fleet.place.namespace, "annotations": {"two": "2"}},
    }
    fleet.place.client.apply(CONFIG_MAPS, body, field_manager="holdfast")
    fleet.apply(fleet.config("shared"))
    assert annotations(fleet.live_config("shared")) == {"two": "2"}


def test_a_changed_field_of_the_spec_is_put_back(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("settings", {"mode": "git"}))
    body = {"data": {"mode": "live", "extra": "kept"}}
    fleet.place.client.patch(CONFIG_MAPS, "settings", body, fleet.place.namespace, field_manager="holdfast")
    fleet.reconcile()
    live = fleet.live_config("settings")
    assert live is not None
    assert live["data"] == {"mode": "git", "extra": "kept"}


def test_merge_keeps_what_kubectl_added_and_still_enforces_what_git_declares(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(annotations={f"{GROUP}/ssa": "Merge", "declared": "git"}))
    fleet.edit(PERSISTENT_VOLUME_CLAIMS, "data", {"annotations": {"added": "live", "declared": "live"}})
    fleet.reconcile()
    found = annotations(fleet.live())
    assert found["added"] == "live"
    assert found["declared"] == "git"


def test_if_not_present_is_made_once_and_never_touched_again(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(annotations={f"{GROUP}/ssa": "IfNotPresent", PRUNE: "disabled"}))
    fleet.annotate(None)
    item = fleet.reconcile()
    assert PRUNE not in annotations(fleet.live())
    assert len(inventory(item)) == 1


@pytest.mark.parametrize(("key", "value"), [("reconcile", "disabled"), ("ssa", "Ignore")])
def test_a_live_object_that_says_so_is_not_applied_but_stays_in_the_inventory(
    fleet: Fleet, key: str, value: str
) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("settings", {"mode": "one"}))
    fleet.edit(CONFIG_MAPS, "settings", {"annotations": {f"{GROUP}/{key}": value}})
    item = fleet.apply(fleet.config("settings", {"mode": "two"}))
    live = fleet.live_config("settings")
    assert live is not None
    assert live["data"] == {"mode": "one"}
    assert inventory(item) == {f"{fleet.place.namespace}_settings__ConfigMap"}


def test_ignored_paths_keep_their_live_values(fleet: Fleet) -> None:
    pointer = "/metadata/annotations/kustomize.toolkit.fluxcd.io~1prune"
    rule = {"paths": [pointer], "target": {"kind": "PersistentVolumeClaim"}}
    fleet.kustomization(ignore=[rule])
    fleet.apply(fleet.claim(annotations={PRUNE: "disabled"}))
    fleet.annotate("enabled")
    fleet.reconcile()
    assert annotations(fleet.live())[PRUNE] == "enabled"


def test_everything_is_labelled_with_its_owner(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim())
    live = fleet.live()
    assert live is not None
    assert live["metadata"]["labels"] == {
        f"{GROUP}/name": "apps",
        f"{GROUP}/namespace": fleet.place.namespace,
    }
    managers = {(one["manager"], one["operation"]) for one in live["metadata"]["managedFields"]}
    assert ("kustomize-controller", "Apply") in managers


def test_inventory_ids_name_namespace_name_group_and_kind(fleet: Fleet) -> None:
    fleet.kustomization()
    own = fleet.place.namespace
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{own}:view"},
        "rules": [],
    }
    item = fleet.apply(fleet.claim(), role)
    assert item["status"]["inventory"]["entries"] == [
        {"id": f"_{own}__view_rbac.authorization.k8s.io_ClusterRole", "v": "v1"},
        {"id": f"{own}_data__PersistentVolumeClaim", "v": "v1"},
    ]
    read = parse(f"_{own}__view_rbac.authorization.k8s.io_ClusterRole", "v1")
    assert (read.namespace, read.name, read.kind) == ("", f"{own}:view", "ClusterRole")


def test_a_kustomization_in_git_is_applied_by_its_parent_and_then_applies_its_own(fleet: Fleet) -> None:
    own = fleet.place.namespace
    child = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Kustomization",
        "metadata": {"name": "child", "namespace": own},
        "spec": {
            "interval": "1h",
            "path": "./child",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
        },
    }
    fleet.write("child/config.yaml", fleet.config("of-the-child"))
    fleet.kustomization()
    item = fleet.apply(child)
    assert inventory(item) == {f"{own}_child_{GROUP}_Kustomization"}
    fleet.place.wait(CONFIG_MAPS, "of-the-child", bool)
    # The child is pruned with its parent's next pass, and takes its own along.
    fleet.apply()
    fleet.place.wait_gone(CONFIG_MAPS, "of-the-child")


def test_a_failed_dry_run_writes_nothing_of_its_stage(fleet: Fleet) -> None:
    fleet.kustomization()
    item = fleet.apply(fleet.config("fine"), fleet.config("Not A Name"))
    assert condition_of(item)["reason"] == "ReconciliationFailed"
    assert fleet.live_config("fine") is None
