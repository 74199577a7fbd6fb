"""Suspension, requests, what done means, and the reasons of failure: facts A4."""

import pytest

from sandbox.kinds import GIT_REPOSITORIES, KUSTOMIZATIONS
from tests.contract.fleet import PRUNE, Fleet, condition_of, inventory
from tests.contract.flux_fixtures import fleet, needs_sandbox

pytestmark = [pytest.mark.contract, needs_sandbox]
__all__ = ["fleet"]


def suspend(fleet: Fleet, value: bool) -> dict:
    body = {"spec": {"suspend": value}}
    return fleet.place.client.patch(
        KUSTOMIZATIONS, "apps", body, fleet.place.namespace, field_manager="holdfast"
    )


def test_the_revision_names_the_branch_and_the_commit(fleet: Fleet) -> None:
    fleet.kustomization()
    item = fleet.apply(fleet.config("one"))
    revision = f"main@sha1:{fleet.git('rev-parse', 'HEAD')}"
    source = fleet.place.client.get(GIT_REPOSITORIES, "fleet", fleet.place.namespace)
    assert source["status"]["artifact"]["revision"] == revision
    assert item["status"]["lastAppliedRevision"] == revision
    assert item["status"]["lastAttemptedRevision"] == revision
    assert condition_of(item) == {
        **condition_of(item),
        "status": "True",
        "reason": "ReconciliationSucceeded",
        "message": f"Applied revision: {revision}",
    }
    assert item["status"]["observedGeneration"] == item["metadata"]["generation"]


def test_a_suspended_kustomization_applies_nothing_but_answers_the_request(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim())
    suspended = suspend(fleet, True)
    item = fleet.apply(fleet.config("late"))
    assert fleet.live_config("late") is None
    assert fleet.live() is not None
    # That is the trap: the request is handled, Ready is True and the generation is observed.
    assert condition_of(item)["status"] == "True"
    assert item["status"]["observedGeneration"] == suspended["metadata"]["generation"]
    suspend(fleet, False)
    fleet.reconcile()
    assert fleet.live_config("late") is not None


def test_a_suspended_source_keeps_its_artifact(fleet: Fleet) -> None:
    fleet.refresh()
    client, namespace = fleet.place.client, fleet.place.namespace
    before = client.get(GIT_REPOSITORIES, "fleet", namespace)["status"]["artifact"]
    client.patch(GIT_REPOSITORIES, "fleet", {"spec": {"suspend": True}}, namespace)
    fleet.push("Unseen")
    token = fleet._request(GIT_REPOSITORIES, "fleet")
    item = fleet.place.wait(
        GIT_REPOSITORIES, "fleet", lambda one: one["status"].get("lastHandledReconcileAt") == token
    )
    assert item["status"]["artifact"] == before


def test_a_failed_run_answers_the_request_but_neither_applies_nor_observes(fleet: Fleet) -> None:
    fleet.kustomization()
    good = fleet.apply(fleet.config("one"))
    changed = fleet.place.client.patch(
        KUSTOMIZATIONS, "apps", {"spec": {"timeout": "4s"}}, fleet.place.namespace
    )
    item = fleet.apply(fleet.config("Not A Name"))
    assert condition_of(item)["status"] == "False"
    assert condition_of(item, "Reconciling")["reason"] == "ProgressingWithRetry"
    assert item["status"]["lastAppliedRevision"] == good["status"]["lastAppliedRevision"]
    assert item["status"]["lastAttemptedRevision"] != good["status"]["lastAttemptedRevision"]
    assert item["status"]["observedGeneration"] < changed["metadata"]["generation"]


def test_while_a_pass_runs_ready_is_unknown(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("one"))
    fleet.hold("prune")
    token = fleet.request()
    fleet.wait_held("prune")
    item = fleet.place.client.get(KUSTOMIZATIONS, "apps", fleet.place.namespace)
    assert condition_of(item)["status"] == "Unknown"
    assert condition_of(item, "Reconciling")["status"] == "True"
    assert item["status"]["lastHandledReconcileAt"] != token
    fleet.hold()
    assert condition_of(fleet.finished(token))["status"] == "True"


def test_a_request_during_a_pass_is_answered_by_the_next_one(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.config("one"))
    fleet.hold("status")
    first = fleet.request()
    fleet.wait_held("status")
    second = fleet.request()
    fleet.hold()
    assert first != second
    fleet.finished(second)


def test_suspending_does_not_stop_a_pass_that_runs(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(), fleet.config("other"))
    fleet.write("apps/all.yaml", fleet.config("other"))
    fleet.push()
    fleet.refresh()
    fleet.hold("prune")
    token = fleet.request()
    fleet.wait_held("prune")
    suspend(fleet, True)
    fleet.hold()
    fleet.finished(token)
    assert fleet.live() is None


def test_waiting_for_a_pending_claim_fails_although_everything_was_applied_and_pruned(fleet: Fleet) -> None:
    fleet.kustomization(wait=True, timeout="1s")
    good = fleet.apply(fleet.config("one"), fleet.config("two"))
    item = fleet.apply(fleet.config("one"), fleet.claim("waiting", storage_class="local-ssd"))
    assert condition_of(item)["reason"] == "HealthCheckFailed"
    assert "PersistentVolumeClaim" in condition_of(item)["message"]
    assert fleet.live_config("two") is None
    assert f"{fleet.place.namespace}_waiting__PersistentVolumeClaim" in inventory(item)
    assert item["status"]["lastAppliedRevision"] == good["status"]["lastAppliedRevision"]


@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        ({"path": "./nowhere"}, "ArtifactFailed", "kustomization path not found"),
        ({"path": "./broken"}, "BuildFailed", "kustomize build failed"),
        ({"dependsOn": [{"name": "absent"}]}, "DependencyNotReady", "not found"),
        ({"sourceRef": {"kind": "GitRepository", "name": "absent"}}, "ArtifactFailed", "not found"),
    ],
)
def test_each_failure_has_its_reason(fleet: Fleet, spec: dict, reason: str, text: str) -> None:
    fleet.write("broken/kustomization.yaml", {"resources": ["absent.yaml"]})
    fleet.push()
    fleet.kustomization(**spec)
    item = fleet.reconcile()
    assert condition_of(item)["reason"] == reason
    assert text in condition_of(item)["message"]


def test_a_dependent_waits_until_its_dependency_is_ready_at_the_same_revision(fleet: Fleet) -> None:
    fleet.write("second/config.yaml", fleet.config("second"))
    fleet.kustomization()
    fleet.kustomization("second", "./second", dependsOn=[{"name": "apps"}])
    fleet.apply(fleet.config("one"))
    fleet.finished(fleet.request("second"), "second")
    assert fleet.live_config("second") is not None
    fleet.push("Something new")
    fleet.refresh()
    item = fleet.finished(fleet.request("second"), "second")
    assert condition_of(item)["reason"] == "DependencyNotReady"


def test_history_keeps_the_last_five_attempts(fleet: Fleet) -> None:
    fleet.kustomization()
    for number in range(6):
        item = fleet.apply(fleet.config("one", {"number": str(number)}))
    assert len(item["status"]["history"]) == 5
    newest = item["status"]["history"][0]
    assert newest["lastReconciledStatus"] == "ReconciliationSucceeded"
    assert newest["metadata"]["revision"] == item["status"]["lastAppliedRevision"]


# -- A6: the orders of cleaning up -------------------------------------------------------------------


def protected_by_git(fleet: Fleet) -> None:
    fleet.kustomization()
    fleet.apply(fleet.claim(annotations={PRUNE: "disabled"}), fleet.config("other"))


def test_the_order_of_the_pattern_races_with_drift_correction_and_orphans_the_claim(fleet: Fleet) -> None:
    protected_by_git(fleet)
    fleet.annotate(None)
    fleet.reconcile()  # any pass before the removal arrives
    item = fleet.apply(fleet.config("other"))
    live = fleet.live()
    assert live is not None
    assert live["metadata"]["annotations"][PRUNE] == "disabled"
    assert not any("data" in entry for entry in inventory(item))


def test_p1_orphan_then_delete(fleet: Fleet) -> None:
    protected_by_git(fleet)
    item = fleet.apply(fleet.config("other"))
    assert fleet.live() is not None
    assert not any("data" in entry for entry in inventory(item))
    fleet.annotate(None, manager="holdfast")
    for _ in range(2):
        fleet.reconcile()
        live = fleet.live()
        assert live is not None
        assert PRUNE not in (live["metadata"].get("annotations") or {})


def test_p2_exempt_then_remove(fleet: Fleet) -> None:
    protected_by_git(fleet)
    item = fleet.apply(fleet.claim(annotations={PRUNE: "enabled"}), fleet.config("other"))
    live = fleet.live()
    assert live is not None
    assert live["metadata"]["annotations"][PRUNE] == "enabled"
    assert any("data" in entry for entry in inventory(item))
    item = fleet.apply(fleet.config("other"))
    assert fleet.live() is None
    assert condition_of(item)["status"] == "True"


def test_p3_suspend_lift_remove_resume(fleet: Fleet) -> None:
    protected_by_git(fleet)
    suspend(fleet, True)
    fleet.annotate(None)
    fleet.apply(fleet.config("other"))
    assert fleet.live() is not None
    suspend(fleet, False)
    fleet.reconcile()
    assert fleet.live() is None


def test_p3_resumed_on_the_old_artifact_puts_the_protection_back(fleet: Fleet) -> None:
    protected_by_git(fleet)
    suspend(fleet, True)
    fleet.annotate(None)
    fleet.write("apps/all.yaml", fleet.config("other"))
    fleet.push()  # not fetched yet
    suspend(fleet, False)
    fleet.finished(fleet.request())
    live = fleet.live()
    assert live is not None
    assert live["metadata"]["annotations"][PRUNE] == "disabled"
