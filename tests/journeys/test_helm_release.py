"""Claims that a chart makes: Helm has to let go of them at release, and a person has to change that."""

import pytest

from migrations_app.actions import gates, running
from migrations_app.models import Migration
from migrations_app.problems import Refused
from migrations_app.states import State
from tests.journeys.apps import App, apply, claim_manifest, deployment, fill, make_app, ready
from tests.journeys.driving import Driver
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def helm_release(app: App, *, makes: bool, suspend: bool = False) -> None:
    """As Git states it. What it no longer makes leaves the release with the next upgrade."""
    claim = claim_manifest(app.source, "data")
    manifests = [claim, deployment(app.source, "data")] if makes else []
    spec = {"interval": "1h", "suspend": suspend, "values": {"manifests": manifests}}
    body = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease"}
    apply(app.driver, {**body, "metadata": {"name": "shop", "namespace": app.source}, "spec": spec})


def make_chart_app(driver: Driver) -> App:
    app = App(driver, *_namespaces(driver))
    helm_release(app, makes=True)
    until(lambda: ready(driver, app.source), timeout_s=60, what="the application")
    fill(app.directory(), 10)
    return app


def _namespaces(driver: Driver) -> tuple[str, str]:
    import uuid

    tag = uuid.uuid4().hex[:6]
    for name in (f"from-{tag}", f"to-{tag}"):
        apply(driver, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return f"from-{tag}", f"to-{tag}"


def to_release(app: App, migration: Migration) -> Migration:
    migration = app.driver.until(migration, State.WAITING, step="deploy")
    app.deploy_in_destination()
    return app.driver.approve(app.driver.confirm_test(migration))


def released(app: App, migration: Migration, tree: dict[bytes, object]) -> None:
    transfer = migration.transfers.get()
    assert app.driver.adapter.get_claim(app.source, "data") is None
    volume = app.driver.adapter.get_volume(transfer.source_volume)
    assert volume is not None and (volume.phase, volume.reclaim_policy) == ("Released", "Retain")
    assert picture(app.driver.volume_directory(volume.name)) == tree


def test_a_helm_release_lets_go_of_its_claim_before_it_is_deleted(shared: Driver) -> None:
    app = make_chart_app(shared)
    tree = picture(app.directory())
    migration = to_release(app, app.started())
    waits = shared.until(migration, State.WAITING, step="release")
    assert "HelmRelease" in waits.waiting_for and "Do not uninstall it" in waits.waiting_for
    claim = shared.adapter.get_claim(app.source, "data")
    assert claim is not None and claim.annotations["helm.sh/resource-policy"] == "keep"
    # Its inventory says it; a person who only says so is not believed.
    gates.go_on(by=shared.operator, migration=waits)
    waits = shared.until(waits, State.WAITING, step="release")
    assert not waits.intents.filter(verb="claim.delete", step="release").exists()

    # The change in Git keeps it suspended: that is not what Holdfast left, so a person resumes it.
    helm_release(app, makes=False, suspend=True)
    waits = until(
        lambda: _says(shared, waits, "Resume HelmRelease"), timeout_s=60, what="the request to resume"
    )
    helm_release(app, makes=False)
    migration = shared.until(waits, State.RETAINED, timeout_s=120)
    assert migration.evidence.filter(kind="helm-let-go").exists()
    released(app, migration, tree)
    release = shared.adapter.get_helm_release(app.source, "shop")
    assert release is not None and not release.suspended

    running.undo(by=shared.operator, migration=migration)
    shared.until(migration, State.UNDONE)
    assert picture(app.directory()) == tree


def _says(driver: Driver, migration: Migration, words: str) -> Migration | None:
    now = driver.tick(migration)
    return now if words in now.waiting_for else None


def test_a_helm_release_that_is_removed_or_uninstalled(shared: Driver) -> None:
    app = make_chart_app(shared)
    tree = picture(app.directory())
    migration = to_release(app, app.started())
    waits = shared.until(migration, State.WAITING, step="release")
    # Uninstalled against the advice: the stored release does not keep the claim. The volume is kept, and it is said.
    helm_release(app, makes=True)
    shared.kubectl("delete", "helmrelease", "-n", app.source, "shop", "--wait=true")
    until(lambda: shared.adapter.get_claim(app.source, "data") is None, timeout_s=60, what="the claim to go")
    stopped = shared.until(waits, State.FAILED)
    assert stopped.problem is not None and stopped.problem["code"] == "claim-vanished"
    running.undo(by=shared.operator, migration=stopped)
    shared.until(stopped, State.UNDONE)
    assert picture(app.directory()) == tree


def test_a_release_of_helm_alone_is_believed_to_a_person(shared: Driver) -> None:
    app = make_app(shared, files=5)
    notes = ["meta.helm.sh/release-name=shop", f"meta.helm.sh/release-namespace={app.source}"]
    for kind in ("pvc/data", "deployment/app"):
        shared.kubectl("label", "-n", app.source, kind, "app.kubernetes.io/managed-by=Helm")
        shared.kubectl("annotate", "-n", app.source, kind, *notes)
    tree = picture(app.directory())
    migration = to_release(app, app.started())
    assert any("of Helm made it" in check["text"] for check in migration.plan["checks"])
    with pytest.raises(Refused):
        gates.go_on(by=shared.operator, migration=migration)
    waits = shared.until(migration, State.WAITING, step="release")
    assert "Then continue" in waits.waiting_for
    gates.go_on(by=shared.operator, migration=waits)
    released(app, shared.until(waits, State.RETAINED), tree)
