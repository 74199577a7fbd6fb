"""Owners that Holdfast cannot steer: they are refused or named before the start, and not fought for ever after it."""

from typing import Any

import pytest

from migrations_app.actions import running
from migrations_app.states import State
from sandbox.flux.crds import definition
from tests.journeys.apps import App, apply, deployment, make_app, make_claim
from tests.journeys.driving import Driver
from tests.journeys.test_refusals import checks
from worker.clusters import adapter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

OWNED = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "fleet"}


def labelled(app: App, labels: dict[str, str]) -> None:
    pairs = [f"{key}={value}" for key, value in labels.items()]
    app.driver.kubectl("label", "deployment", "app", "-n", app.source, *pairs)


def test_a_stateful_set_that_argo_cd_applies_stops_though_its_claims_carry_no_mark(shared: Driver) -> None:
    app = make_claim(shared)
    body = deployment(app.source, "data", replicas=0)
    tracking = {"argocd.argoproj.io/tracking-id": f"shop:apps/StatefulSet:{app.source}/app"}
    spec: dict[str, Any] = {key: body["spec"][key] for key in ("selector", "template", "replicas")}
    metadata = {**body["metadata"], "annotations": tracking}
    apply(
        shared,
        {**body, "kind": "StatefulSet", "metadata": metadata, "spec": {**spec, "serviceName": "app"}},
    )
    migration = app.checked()
    assert "Argo CD application shop applies" in checks(migration, "stop")["gitops-owner"]


def test_a_kustomization_of_another_cluster_is_named(shared: Driver) -> None:
    app = make_app(shared)
    labelled(app, OWNED)
    migration = app.checked()
    said = checks(migration, "warn")["gitops-unseen"]
    assert "Kustomization fleet/apps, which is not in this cluster" in said


def test_a_label_by_which_argo_cd_may_track_is_named_where_argo_cd_is(shared: Driver) -> None:
    app = make_app(shared)
    labelled(app, {"app.kubernetes.io/instance": "shop"})
    name = "applications.argoproj.io"
    if name not in shared.kubectl("get", "crd", "-o", "name"):
        assert "gitops-unseen" not in checks(app.checked(), "warn")
        made = definition("argoproj.io", ("v1alpha1",), "applications", "Application")
        apply(shared, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **made})
        shared.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        adapter.cache_clear()
    said = checks(app.checked(), "warn")["gitops-unseen"]
    assert "app.kubernetes.io/instance names shop" in said


def test_what_scales_up_again_each_time_is_not_fought_for_ever(
    shared: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), "quiesce")
    scale = type(shared.adapter).scale
    times: list[int] = []

    def scaled_up_again(self: Any, *what: Any, **more: Any) -> Any:
        answer = scale(self, *what, **more)
        times.append(what[-1])
        shared.kubectl("scale", "-n", app.source, "deployment/app", "--replicas=1")
        return answer

    monkeypatch.setattr(type(shared.adapter), "scale", scaled_up_again)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and migration.problem["code"] == "scaled-again"
    assert times == [0, 0, 0]
    monkeypatch.undo()
    running.retry(by=shared.operator, migration=migration)
    shared.at(migration, "copy")
