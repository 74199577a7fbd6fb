"""What cannot work, or would lose data, is refused before anything starts, with the reason and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrations_app.actions import drafting, running
from migrations_app.models import Migration, ReleasePath
from migrations_app.problems import Refused
from migrations_app.states import State
from sandbox.flux.crds import definition
from tests.journeys.apps import App, apply, claim_manifest, deployment, make_claim
from tests.journeys.driving import Driver
from tests.journeys.git_apps import PRUNE, make_git_app
from tests.support.waiting import until
from worker.clusters import adapter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def checks(migration: Migration, verdict: str) -> dict[str, str]:
    """The texts of all checks with that verdict, by key."""
    found: dict[str, str] = {}
    for check in migration.plan["checks"]:
        if check["verdict"] == verdict:
            found[check["key"]] = f"{found.get(check['key'], '')} {check['text']}".strip()
    return found


def pod(app: App, name: str, **owner: Any) -> dict[str, Any]:
    template = deployment(app.source, "data")["spec"]["template"]
    return {
        **owner,
        "metadata": {"name": name, "namespace": app.source, **template["metadata"]},
        "spec": template["spec"],
    }


def owned(app: App) -> None:
    apply(
        app.driver,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": app.source}},
    )
    uid = app.driver.kubectl("get", "configmap", "owner", "-n", app.source, "-o", "jsonpath={.metadata.uid}")
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    _patch(app, {"metadata": {"ownerReferences": references}})


def resizing(app: App) -> None:
    _patch(app, {"status": {"conditions": [{"type": "Resizing", "status": "True"}]}}, "--subresource=status")


def _patch(app: App, body: dict[str, Any], *more: str) -> None:
    app.driver.kubectl(
        "patch", "pvc", "data", "-n", app.source, "--type=merge", "-p", json.dumps(body), *more
    )


def taken(app: App) -> None:
    apply(app.driver, claim_manifest(app.destination, "data"))


def shared_storage(app: App) -> None:
    """A volume made by hand for the same storage, which a claim of another namespace holds."""
    claim = app.driver.adapter.get_claim(app.source, "data")
    volume = app.driver.adapter.get_volume(claim.volume_name) if claim else None
    assert volume is not None
    name = f"twin-{app.source}"
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "storageClassName": name,
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": volume.driver, "volumeHandle": volume.volume_handle},
    }
    body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    apply(app.driver, body)
    apply(app.driver, claim_manifest(app.destination, "twin", storage_class=name))

    def held() -> bool:
        twin = app.driver.adapter.get_volume(name)
        return twin is not None and twin.phase == "Bound"

    until(held, timeout_s=30, what="the twin to be bound")


def quota(namespace: str) -> Callable[[App], None]:
    def make(app: App) -> None:
        name = getattr(app, namespace)
        body = {
            "metadata": {"name": "small", "namespace": name},
            "spec": {"hard": {"requests.storage": "1536Mi"}},
        }
        apply(app.driver, {"apiVersion": "v1", "kind": "ResourceQuota", **body})
        if namespace == "destination":
            apply(app.driver, claim_manifest(name, "other"))

        def counted() -> bool:
            found = app.driver.adapter.list_quotas(name)
            return bool(found and found[0].used.get("requests.storage"))

        until(counted, timeout_s=30, what="the quota to be counted")

    return make


def restricted(app: App) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    app.driver.kubectl("label", "namespace", app.source, label)


def daemon_set(app: App) -> None:
    body = deployment(app.source, "data")
    spec = {key: body["spec"][key] for key in ("selector", "template")}
    apply(app.driver, {**body, "kind": "DaemonSet", "spec": spec})


def bare_pod(app: App) -> None:
    apply(app.driver, pod(app, "lonely", apiVersion="v1", kind="Pod"))


def operated(app: App) -> None:
    """A pod that a custom resource controls, as an operator of databases makes them."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "database", "namespace": app.source},
    }
    apply(app.driver, body)
    uid = app.driver.kubectl(
        "get", "configmap", "database", "-n", app.source, "-o", "jsonpath={.metadata.uid}"
    )
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "database", "uid": uid, "controller": True}
    made = pod(app, "database-1", apiVersion="v1", kind="Pod")
    made["metadata"]["ownerReferences"] = [owner]
    apply(app.driver, made)


def scaled_by_keda(app: App) -> None:
    deployed(app)
    name = "scaledobjects.keda.sh"
    if name not in app.driver.kubectl("get", "crd", "-o", "name"):
        made = definition("keda.sh", ("v1alpha1",), "scaledobjects", "ScaledObject")
        apply(
            app.driver, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **made}
        )
        app.driver.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    spec = {"scaleTargetRef": {"name": "app"}}
    meta = {"name": "by-load", "namespace": app.source}
    apply(
        app.driver, {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": meta, "spec": spec}
    )
    adapter.cache_clear()


def deployed(app: App) -> None:
    apply(app.driver, deployment(app.source, "data"))


def deleting_set(app: App) -> None:
    body = deployment(app.source, "data")
    policy = {"whenScaled": "Delete", "whenDeleted": "Retain"}
    spec = {key: body["spec"][key] for key in ("selector", "template", "replicas")}
    spec |= {"serviceName": "app", "persistentVolumeClaimRetentionPolicy": policy}
    apply(app.driver, {**body, "kind": "StatefulSet", "spec": spec})


def applied_by_argo(app: App) -> None:
    about = f"argocd.argoproj.io/tracking-id=shop:/PersistentVolumeClaim:{app.source}/data"
    app.driver.kubectl("annotate", "pvc", "data", "-n", app.source, about)


@pytest.mark.parametrize(
    ("spoil", "key", "says"),
    [
        (applied_by_argo, "gitops-owner", "Argo CD application shop applies the claims"),
        (owned, "claim-ordinary", "owned by ConfigMap owner"),
        (resizing, "claim-ordinary", "being resized"),
        (taken, "destination-empty", "exists already"),
        (shared_storage, "claim-alone", "could write unseen"),
        (quota("source"), "quota", "requests.storage"),
        (quota("destination"), "quota", "requests.storage"),
        (restricted, "mover", "does not admit the mover"),
        (daemon_set, "stoppable", "DaemonSet app cannot be scaled"),
        (bare_pod, "stoppable", "Pod lonely uses data"),
        (deleting_set, "when-scaled", "whenScaled: Delete"),
        (operated, "stoppable", "runs the pods that use data"),
        (scaled_by_keda, "autoscaler", "ScaledObject/by-load scales up from 0"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_refused(shared: Driver, spoil: Callable[[App], None], key: str, says: str) -> None:
    app = make_claim(shared)
    spoil(app)
    migration = app.checked()
    assert says in checks(migration, "stop")[key]
    with pytest.raises(Refused):
        running.start(by=shared.operator, migration=migration, plan_digest=migration.plan_digest)
    assert not migration.intents.exists()


def test_an_autoscaler_that_rests_at_zero_is_no_reason_to_stop(shared: Driver) -> None:
    app = make_claim(shared)
    scaled_by_keda(app)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}
    meta = {"name": "by-cpu", "namespace": app.source}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2}
    body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec}
    apply(shared, body)

    def paused(at: str) -> Migration:
        key = f"autoscaling.keda.sh/paused-replicas={at}"
        shared.kubectl("annotate", "--overwrite", "scaledobject", "-n", app.source, "by-load", key)
        return app.checked()

    assert "scales up from 0" in checks(paused("1"), "stop")["autoscaler"]
    found = paused("0")
    assert not checks(found, "stop")
    assert "HorizontalPodAutoscaler/by-cpu rests" in checks(found, "warn")["autoscaler"]


def test_sizes_classes_and_namespaces_that_do_not_fit_are_refused(shared: Driver) -> None:
    app = make_claim(shared)
    migration = app.draft(destination="not-there", storage_class="no-such-class")
    migration.transfers.update(destination_bytes=1024**2)
    drafting.request_checks(by=shared.operator, migration=migration)
    found = checks(shared.until(migration, State.READY), "stop")
    assert "not-there does not exist" in found["destination-namespace"]
    assert "no storage class no-such-class" in found["storage-class"]
    assert "would have 1Mi" in found["destination-size"]


@pytest.mark.parametrize(
    ("spec", "phase"), [({"storageClassName": "local-ssd"}, "Pending"), ({"volumeMode": "Block"}, "Bound")]
)
def test_a_claim_without_files_is_refused(shared: Driver, spec: dict[str, str], phase: str) -> None:
    app = make_claim(shared)
    body = claim_manifest(app.source, "odd")
    apply(shared, {**body, "spec": {**body["spec"], **spec}})

    def settled() -> bool:
        claim = shared.adapter.get_claim(app.source, "odd")
        return claim is not None and claim.phase == phase

    until(settled, timeout_s=30, what=phase)
    migration = app.draft(claims=["odd"])
    drafting.request_checks(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.READY, State.DRAFT)
    if phase == "Pending":
        assert migration.problem is not None and migration.problem["code"] == "claim-not-bound"
        assert migration.state == State.DRAFT
    else:
        assert "block volume" in checks(migration, "stop")["claim-ordinary"]


def test_each_missing_rule_is_printed(shared: Driver, settings) -> None:  # type: ignore[no-untyped-def]
    app = make_claim(shared)
    settings.HOLDFAST_WORKER_CONTEXT = "holdfast-watcher"
    adapter.cache_clear()
    stops = [c for c in app.checked().plan["checks"] if c["verdict"] == "stop" and c["key"] == "access"]
    missing = {check["command"] for check in stops}
    wanted = {
        f"kubectl auth can-i create jobs.batch -n {app.source}",
        f"kubectl auth can-i create persistentvolumeclaims -n {app.destination}",
        f"kubectl auth can-i delete persistentvolumeclaims -n {app.source}",
        "kubectl auth can-i patch persistentvolumes",
    }
    assert wanted <= missing
    # What the watcher reads as well is not missing; the mover's log is the worker's alone.
    reads = {command for command in missing if " get " in command}
    assert reads == {f"kubectl auth can-i get pods/log -n {app.source}"}


def test_a_claim_that_a_migration_holds_is_refused_to_another_one(shared: Driver) -> None:
    app = make_claim(shared)
    first, second = app.checked(), app.checked(names={"data": "data-2"})
    running.start(by=shared.operator, migration=first, plan_digest=first.plan_digest)
    with pytest.raises(Refused, match=first.reference):
        running.start(by=shared.operator, migration=second, plan_digest=second.plan_digest)
    drafting.request_checks(by=shared.operator, migration=second)
    second = shared.until(second, State.READY)
    assert first.reference in checks(second, "stop")["claim-free"]


def test_what_is_missing_for_the_end_is_said_at_the_beginning(shared: Driver) -> None:
    app = make_claim(shared)
    shared.approver.delete()
    assert "nobody could give one" in checks(app.checked(), "warn")["approver"]


def test_a_suspended_owner_stops_and_what_stays_behind_in_git_is_named(
    shared: Driver, tmp_path: Path
) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "app"},
        "spec": {"ports": [{"port": 80}]},
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "app-settings"},
        "data": {"a": "b"},
    }
    app = make_git_app(shared, tmp_path, more=(service, config))
    migration = app.checked()
    assert not checks(migration, "stop")
    warned = checks(migration, "warn")["git-left-behind"]
    assert "Service app" in warned and "ConfigMap app-settings" in warned and "Deployment" not in warned

    # Suspended by a person: not ours to lift, neither now nor when it happens between the checks and quiesce.
    shared.kubectl(
        "patch",
        "kustomization",
        "-n",
        "flux-system",
        app.source,
        "--type=merge",
        "-p",
        '{"spec":{"suspend":true}}',
    )
    drafting.request_checks(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.READY)
    assert "suspended already" in checks(migration, "stop")["gitops-owner"]


def test_a_suspension_by_somebody_else_is_never_lifted(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.at(app.started(), "copy")
    for value in ("false", "true"):
        # Somebody resumes it, then suspends it for a reason of their own: the mark of ours is still on it.
        body = f'{{"spec":{{"suspend":{value}}}}}'
        shared.kubectl("patch", "kustomization", "-n", "flux-system", app.source, "--type=merge", "-p", body)
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    found = shared.adapter.get_kustomization("flux-system", app.source)
    assert found is not None and found.suspended
    assert app.source in migration.message
    assert migration.evidence.get(kind="rolled-back").data["left_suspended"] == [
        f"Kustomization flux-system/{app.source}"
    ]


def test_a_path_of_release_that_cannot_work_is_refused(shared: Driver, tmp_path: Path) -> None:
    outside = make_claim(shared).checked(release_path=ReleasePath.COMMITS)
    assert "needs a Kustomization" in checks(outside, "stop")["release-path"]

    app = make_git_app(shared, tmp_path)

    def owner(spec: dict[str, Any]) -> None:
        body = json.dumps({"spec": spec})
        place = ("-n", "flux-system", app.source)
        shared.kubectl("patch", "kustomization", *place, "--type=merge", "-p", body)
        app.settle()

    # Nothing in the directory comes after what the Kustomization itself sets: there is no exemption for one claim.
    owner({"commonMetadata": {"annotations": PRUNE}})
    found = checks(app.checked(release_path=ReleasePath.COMMITS), "stop")
    assert "itself sets kustomize.toolkit.fluxcd.io/prune" in found["git-changes"]
    assert not checks(app.checked(release_path=ReleasePath.SUSPEND), "stop")

    owner({"prune": False})
    for path in (ReleasePath.COMMITS, ReleasePath.SUSPEND):
        assert "does not prune" in checks(app.checked(release_path=path), "stop")["release-path"]
    assert not checks(app.checked(), "stop")


def test_a_destination_from_another_repository_is_refused(shared: Driver, tmp_path: Path) -> None:
    app, other = make_git_app(shared, tmp_path), make_git_app(shared, tmp_path)
    owner = {"namespace": "flux-system", "name": other.destination}
    found = checks(app.checked(owner=owner), "stop")["gitops-destination"]
    assert f"applies GitRepository fleet-{other.tag}" in found
    assert f"the source comes from GitRepository fleet-{app.tag}" in found
    assert not checks(app.checked(), "stop")


def test_a_source_that_follows_a_tag_or_another_branch_is_refused(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    app.git("push", "-q", "origin", "HEAD:refs/tags/v1", "HEAD:refs/heads/next")
    for reference, says in (
        ({"tag": "v1"}, "follows v1 and no branch"),
        ({"branch": "next"}, "follows the branch next, Holdfast reads main"),
    ):
        body = json.dumps([{"op": "replace", "path": "/spec/ref", "value": reference}])
        place = ("-n", "flux-system", f"fleet-{app.tag}")
        shared.kubectl("patch", "gitrepository", *place, "--type=json", "-p", body)
        app.settle()
        assert says in checks(app.checked(), "stop")["git-changes"]
