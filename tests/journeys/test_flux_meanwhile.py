"""Flux reconciles at the worst moments, and people change Git: the source is never lost early, re-protected, or orphaned unseen."""

from pathlib import Path

import pytest
from django.test import Client

from migrations_app.actions import drafting, running
from migrations_app.models import Migration
from migrations_app.states import State
from sandbox.flux.hold import HELD_AT, HOLD
from tests.journeys.apps import apply
from tests.journeys.driving import TROUBLE, Driver
from tests.journeys.git_apps import (
    GitApp,
    flux_kustomization,
    listing,
    make_git_app,
    source_released,
    write,
)
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def guard(app: GitApp, migration: Migration) -> None:
    """What must hold at every moment: the claim is there until Holdfast itself deletes it, and then its volume is kept."""
    transfer = migration.transfers.get()
    volume = app.driver.adapter.get_volume(transfer.source_volume)
    assert volume is not None and volume.uid == transfer.source_volume_uid
    began = migration.intents.filter(verb="claim.delete").exists()
    claim = app.driver.adapter.get_claim(app.source, "data")
    if not began:
        assert claim is not None and claim.uid == transfer.source_uid and not claim.deleting
    else:
        assert volume.reclaim_policy == "Retain"


def tick_and_reconcile(
    app: GitApp, migration: Migration, *, until_step: str = "", state: State | None = None
) -> Migration:
    """Ticks with a pass of Flux requested between every two, until the step or state."""

    def look() -> Migration | None:
        found = app.driver.tick(migration)
        guard(app, found)
        app.request()
        if found.state in TROUBLE:
            raise RuntimeError(f"{found.current_step}: {found.problem}")
        return found if found.state == state or found.current_step == until_step else None

    found = until(look, timeout_s=150, what=until_step or str(state), every_s=0.15)
    assert found is not None
    return found


def test_flux_reconciles_between_every_two_ticks_and_is_held_at_every_point(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    migration = shared.at(app.started(), "quiesce")

    # A pass is in the middle of its work when the owner is suspended: it would scale the application up again.
    app.hold("write")
    app.request()
    app.wait_held("write")
    for _ in range(4):
        migration = shared.tick(migration)
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1
    assert migration.current_step == "quiesce"
    app.hold()
    migration = tick_and_reconcile(app, migration, until_step="copy")

    migration = shared.confirm_test(migration)
    migration = shared.approve(migration)
    migration = shared.at(migration, "release")
    # One point at a time: a pass over a suspended Kustomization stops at status, too.
    app.hold("apply")
    for point, following in (("apply", "prune"), ("prune", "status"), ("status", "")):
        _tick_until_held(app, migration, point)
        for _ in range(3):
            guard(app, shared.tick(migration))
        assert not migration.intents.filter(verb__in=["claim.delete", "claim.unprotect"]).exists(), point
        app.hold(following)
    migration = tick_and_reconcile(app, migration, state=State.RETAINED)
    source_released(app, migration, tree)


def _tick_until_held(app: GitApp, migration: Migration, point: str) -> None:
    """Until a pass of the source's Kustomization stands still there."""

    def look() -> bool:
        now = app.driver.tick(migration)
        guard(app, now)
        found = app.driver.adapter.get_kustomization("flux-system", app.source)
        assert found is not None
        assert found.annotations.get(HELD_AT) == point, f"{now.current_step}: {now.message}"
        return True

    until(look, timeout_s=150, what=f"a pass held at {point}", every_s=0.1)


def test_what_others_change_in_git_and_flux_stops_the_release(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    migration = shared.confirm_test(app.started())
    migration = shared.approve(migration)
    migration = shared.at(migration, "release")

    def moved(path: str) -> None:
        patch = f'{{"spec":{{"path":"./{path}"}}}}'
        shared.kubectl("patch", "kustomization", "-n", "flux-system", app.source, "--type=merge", "-p", patch)

    def stops_with(code: str) -> Migration:
        stopped = shared.until(migration, State.FAILED)
        assert stopped.problem is not None and stopped.problem["code"] == code, stopped.problem
        assert stopped.problem["happened"] and stopped.problem["next"]
        assert not stopped.intents.filter(verb__in=["claim.delete", "claim.unprotect"]).exists()
        guard(app, stopped)
        return stopped

    # The Kustomization looks at another directory: that the old one declares nothing would prove nothing.
    moved(app.destination)
    migration = stops_with("owner-moved")
    moved(app.source)
    # Somebody takes the destination out of Git.
    app.revert_last()
    running.retry(by=shared.operator, migration=migration)
    migration = stops_with("destination-undeclared")
    app.revert_last()
    running.retry(by=shared.operator, migration=migration)

    # Somebody declares the source again, right after its removal has arrived.
    def arrived() -> bool:
        guard(app, shared.tick(migration))
        return migration.evidence.filter(kind="git-arrived").exists()

    until(arrived, timeout_s=90, what="the removal in Git", every_s=0.1)
    app.revert_last()
    migration = stops_with("source-readded")
    app.revert_last()
    running.retry(by=shared.operator, migration=migration)
    # It was changed since Holdfast suspended it, so it is not Holdfast's to resume.
    migration = shared.until(migration, State.WAITING)
    assert "Resume Kustomization" in migration.waiting_for
    body = '{"spec":{"suspend":false}}'
    shared.kubectl("patch", "kustomization", "-n", "flux-system", app.source, "--type=merge", "-p", body)
    migration = shared.until(migration, State.RETAINED, timeout_s=120)
    source_released(app, migration, tree)


def test_checks_wait_for_a_running_pass_and_do_not_take_it_for_a_failure(driver: Driver) -> None:
    migration = driver.draft()
    hold = "sandbox.holdfast.dev/hold"
    driver.kubectl(
        "annotate", "kustomization", "-n", "flux-system", "media-photos", f"{hold}=status", "--overwrite"
    )
    driver.kubectl(
        "annotate",
        "kustomization",
        "-n",
        "flux-system",
        "media-photos",
        "reconcile.fluxcd.io/requestedAt=preflight",
        "--overwrite",
    )

    def passing() -> bool:
        found = driver.adapter.get_kustomization("flux-system", "media-photos")
        return found is not None and found.ready is not None and found.ready.status == "Unknown"

    until(passing, timeout_s=60, what="a pass that is held")
    drafting.request_checks(by=driver.operator, migration=migration)
    driver.tick(migration)
    migration = driver.tick(migration)
    assert migration.current_step == "preflight" and "end its pass" in migration.message
    driver.kubectl("annotate", "kustomization", "-n", "flux-system", "media-photos", f"{hold}-")
    migration = driver.until(migration, State.READY)
    assert not [check for check in migration.plan["checks"] if check["verdict"] == "stop"]


def test_a_parent_that_would_resume_the_owner_rests_first_and_comes_back_last(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    parent = f"parent-{app.tag}"
    owner = f"kustomization/{app.source}"

    def stated(**spec: bool) -> None:
        """Git declares the source's Kustomization, with or without spec.suspend; the parent has applied that."""
        child = flux_kustomization(app.tag, app.source)
        write(app.work / parent / "child.yaml", {**child, "spec": {**child["spec"], **spec}})
        write(app.work / parent / "kustomization.yaml", listing("child.yaml"))
        app.push(f"The Kustomization of the source {spec}")
        app.request()
        apply(shared, flux_kustomization(app.tag, parent))
        head = app.git("rev-parse", "HEAD")
        until(lambda: _applied(shared, parent, head), timeout_s=60, what="the parent's pass")

    def suspended(name: str) -> bool:
        found = shared.adapter.get_kustomization("flux-system", name)
        assert found is not None
        return found.suspended

    def pass_of_parent() -> None:
        token = shared.kubectl(
            "get", "-n", "flux-system", owner, "-o", "jsonpath={.metadata.resourceVersion}"
        )
        shared.adapter.request_reconcile("Kustomization", "flux-system", parent, f"pass-{token}")

        def handled() -> bool:
            found = shared.adapter.get_kustomization("flux-system", parent)
            return found is not None and found.handled_token == f"pass-{token}"

        until(handled, timeout_s=60, what="a pass of the parent")

    # Git does not state the field: the parent leaves a suspension alone, and is left alone.
    stated()
    shared.adapter.suspend("Kustomization", "flux-system", app.source, True)
    pass_of_parent()
    assert suspended(app.source)
    shared.adapter.suspend("Kustomization", "flux-system", app.source, False)
    until(lambda: _ready(shared, app.source), timeout_s=60, what="the owner")
    assert parent not in str(app.checked().plan["objects"])

    stated(suspend=False)
    migration = app.checked()
    rows = [item["name"] for item in migration.plan["objects"] if item["verb"] == "suspend"]
    assert rows == [parent, app.source]
    running.start(by=shared.operator, migration=migration, plan_digest=migration.plan_digest)
    migration = shared.at(migration, "copy")
    order = migration.intents.filter(verb="flux.suspend").order_by("id").values_list("name", flat=True)
    assert list(order) == [parent, app.source]
    pass_of_parent()
    assert suspended(parent) and suspended(app.source)

    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    back = migration.intents.filter(verb="flux.resume").order_by("id").values_list("name", flat=True)
    assert list(back) == [app.source, parent]
    pass_of_parent()
    assert not suspended(parent) and not suspended(app.source)
    for name in (parent, app.source):
        found = shared.adapter.get_kustomization("flux-system", name)
        assert found is not None and "holdfast.dev/suspended-by" not in found.annotations


def _applied(driver: Driver, name: str, commit: str) -> bool:
    found = driver.adapter.get_kustomization("flux-system", name)
    return found is not None and found.applied_revision.endswith(commit)


def _ready(driver: Driver, name: str) -> bool:
    found = driver.adapter.get_kustomization("flux-system", name)
    return found is not None and found.ready is not None and found.ready.status == "True"


def test_git_that_changed_since_the_review_is_not_pushed_to_and_the_page_shows_what_it_would_be(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.at(app.started(), "deploy")
    manifest = app.work / app.source / "app.yaml"
    manifest.write_text(manifest.read_text().replace("replicas: 1", "replicas: 2"))
    app.push("More of it")
    before = app.git("rev-parse", "origin/main")
    stopped = shared.until(migration, State.FAILED)
    assert stopped.problem is not None
    assert "another one than was reviewed" in stopped.problem["happened"]
    app.git("fetch", "-q", "origin")
    assert app.git("rev-parse", "origin/main") == before
    client = Client()
    client.force_login(shared.operator)
    page = client.get(f"/migrations/{stopped.reference}/").content.decode()
    assert "another one than was reviewed" in page
    assert "+  replicas: 2" in page
    assert "Take the other change in Git back, retry" in page
    app.git("revert", "--no-edit", "HEAD")
    app.git("push", "-q", "origin", "HEAD:main")
    running.retry(by=shared.operator, migration=stopped)
    shared.at(stopped, "test", timeout_s=120)


def test_where_nothing_ran_deploy_waits_for_flux_and_says_that_it_awaits_no_pod(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    manifest = app.work / app.source / "app.yaml"
    manifest.write_text(manifest.read_text().replace("replicas: 1", "replicas: 0"))
    app.push("Nobody needs it at night")
    app.settle()
    until(lambda: not shared.adapter.list_pods(app.source), timeout_s=60, what="no pod of the application")
    migration = shared.at(app.started(), "deploy")
    app.annotate(app.destination, HOLD, "apply")

    def in_git() -> bool:
        return bool(shared.tick(migration).runs.get(step="deploy").memory.get("in_git"))

    until(in_git, timeout_s=60, what="the change in Git")
    for _ in range(5):
        assert shared.tick(migration).current_step == "deploy", "Flux has applied nothing yet"
    app.annotate(app.destination, HOLD, "")
    migration = shared.at(migration, "test")
    assert "none is awaited" in migration.runs.get(step="deploy").message
    assert shared.adapter.get_workload("Deployment", app.destination, "app") is not None
