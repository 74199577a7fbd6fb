"""Roll back restores what was recorded and removes what the migration created, wherever it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dashboard.models import GitRepository
from dashboard.states import PushPolicy
from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.rules.going_back import roll_back_plan
from migrations_app.states import State
from tests.journeys.apps import App, claim_manifest, make_app
from tests.journeys.driving import Driver
from tests.journeys.dying import Moment, deaths
from tests.journeys.git_apps import PRUNE, GitApp, listing, make_git_app, write
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def traces(app: App) -> dict[str, object]:
    """What a migration could leave behind in both namespaces."""
    adapter = app.driver.adapter
    workload = adapter.get_workload("Deployment", app.source, "app")
    return {
        "replicas": workload.replicas if workload else None,
        "source": sorted(c.name for c in adapter.list_claims(app.source)),
        "destination": sorted(c.name for c in adapter.list_claims(app.destination)),
        "jobs": [j.name for j in adapter.list_jobs(app.source)],
        "volumes": sorted(
            v.name
            for v in adapter.list_volumes()
            if v.claim_ref and v.claim_ref.namespace in {app.source, app.destination}
        ),
        "policy": sorted(
            v.reclaim_policy
            for v in adapter.list_volumes()
            if v.claim_ref and v.claim_ref.namespace == app.source
        ),
    }


@pytest.mark.parametrize("step", ["warm-copy", "verify", "hand-over", "deploy"])
def test_it_puts_everything_back(shared: Driver, step: str) -> None:
    app = make_app(shared)
    before, tree = traces(app), picture(app.directory())
    migration = shared.at(app.started(warm_passes=1), step)
    # In the middle of the step, not before it.
    for _ in range(3):
        migration = shared.tick(migration)
    assert roll_back_plan(migration)
    running.roll_back(by=shared.operator, migration=migration, reason="changed our mind")
    migration = shared.until(migration, State.ROLLED_BACK)
    kept = migration.evidence.get(kind="rolled-back").data["kept_volumes"]
    after = until(lambda: _settled(app, before, kept), timeout_s=30, what=f"the state before, kept {kept}")
    assert after
    assert picture(app.directory()) == tree


def _settled(app: App, before: dict[str, object], kept: list[str]) -> bool:
    now = traces(app)
    now["volumes"] = [name for name in now["volumes"] if name not in kept]  # type: ignore[attr-defined]
    assert now == before, (now, before)
    return True


def test_what_somebody_else_scaled_meanwhile_is_left_alone_and_said(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), "copy")
    shared.kubectl("scale", "-n", app.source, "deployment/app", "--replicas=2")
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK)
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 2
    left = f"Left as somebody else scaled it: Deployment {app.source}/app at 2 (was 1). Everything else is"
    assert left in migration.message


def test_a_workload_that_is_gone_is_said_even_after_a_retry(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), "copy")
    shared.kubectl("delete", "deployment", "-n", app.source, "app", "--wait=true")
    running.roll_back(by=shared.operator, migration=migration)

    def noted() -> bool:
        return bool(shared.tick(migration).runs.get(step="roll-back").memory.get("not_scaled"))

    until(noted, timeout_s=60, what="the workload to be missed", every_s=0.05)
    migration.runs.filter(step="roll-back").update(state="failed")  # and a new attempt begins
    migration = shared.until(migration, State.ROLLED_BACK)
    assert f"Not found any more, so not scaled: Deployment {app.source}/app." in migration.message
    assert migration.evidence.get(kind="rolled-back").data["not_scaled"] == [f"Deployment {app.source}/app"]


def test_flux_is_not_let_go_while_git_does_not_declare_the_source(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    write(app.work / app.source / "claim.yaml", claim_manifest(app.source, "data"))  # without a mark
    app.push("Not protected")
    app.settle()
    migration = shared.at(app.started(), "hand-over")
    transfer = migration.transfers.get()
    # Somebody is early: the removal is in Git before the release.
    app.git("rm", "-q", f"{app.source}/claim.yaml", f"{app.source}/app.yaml")
    write(app.work / app.source / "kustomization.yaml", listing("note.yaml"))
    app.push("Remove the source")
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and migration.problem["code"] == "source-undeclared"
    assert "PersistentVolumeClaim data" in migration.problem["happened"]
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1, "the application runs again meanwhile"
    assert shared.adapter.get_volume(transfer.staging_volume) is not None, "the copy is there"
    assert picture(app.directory()) == tree
    app.revert_last()
    running.retry(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK)
    app.settle()
    assert picture(app.directory()) == tree
    owner = shared.adapter.get_kustomization("flux-system", app.source)
    assert owner is not None and not owner.suspended


def test_where_git_cannot_be_read_a_person_lets_flux_go(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.at(app.started(), "hand-over")
    transfer = migration.transfers.get()
    app.git("rm", "-q", f"{app.source}/claim.yaml")
    elsewhere = "https://git.example.com/bases//storage?ref=v1"
    write(app.work / app.source / "kustomization.yaml", listing("app.yaml", "note.yaml", elsewhere))
    app.push("The claim comes from a base elsewhere")
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and migration.problem["code"] == "source-unclear"
    assert migration.problem["command"] == f"flux resume kustomization -n flux-system {app.source}"
    assert shared.adapter.get_volume(transfer.staging_volume) is not None, "the copy is there"
    body = '{"spec":{"suspend":false}}'
    shared.kubectl("patch", "kustomization", "-n", "flux-system", app.source, "--type=merge", "-p", body)
    running.retry(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK)


def test_git_that_holds_nothing_of_deploy_and_does_not_answer_keeps_nobody_down(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.at(app.started(), "deploy")
    with git_away(app):
        until(
            lambda: "127.0.0.1" in shared.tick(migration).message, timeout_s=30, what="the outage on the page"
        )
        running.roll_back(by=shared.operator, migration=migration)
        until(lambda: _replicas(app) == 1, timeout_s=60, what="the application", every_s=0.1)
        assert not migration.intents.filter(verb="claim.remove").exists(), "that waits for Git"
    migration = shared.until(migration, State.ROLLED_BACK)
    assert "Holdfast put nothing there" in migration.message


def test_git_that_may_hold_deploy_is_waited_for_while_the_destination_runs(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.until(app.started(), State.WAITING, step="test")
    with git_away(app):
        running.roll_back(by=shared.operator, migration=migration)
        for _ in range(6):
            assert shared.tick(migration).state == State.ROLLING_BACK
        workload = shared.adapter.get_workload("Deployment", app.source, "app")
        assert workload is not None and workload.replicas == 0, "it still runs in the destination"
    shared.until(migration, State.ROLLED_BACK, timeout_s=120)


def test_git_that_holds_deploy_and_does_not_answer_keeps_nobody_down_before_flux_has_it(
    shared: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    migration = _pushed_at_deploy(app)
    # The worker dies at each act of the roll back, too.
    with git_away(app), deaths(monkeypatch, shared, Moment.BETWEEN):
        running.roll_back(by=shared.operator, migration=migration)
        until(lambda: _suspended(app), timeout_s=60, what="the destination to rest", every_s=0.1)
        app.request()  # and Flux, which still reaches Git, fetches what was pushed
        until(lambda: _replicas(app) == 1, timeout_s=60, what="the application", every_s=0.1)
        app.request()
        app.settle()
        for _ in range(5):
            assert shared.tick(migration).state == State.ROLLING_BACK
        assert shared.adapter.get_workload("Deployment", app.destination, "app") is None
        assert not migration.intents.filter(verb="claim.remove").exists(), "that waits for Git"
    with deaths(monkeypatch, shared, Moment.BEFORE) as reaper:
        migration = shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    assert {"rollback/git.push", "roll-back/claim.remove"} <= {_prefix(key) for key in reaper.deaths}
    app.settle()
    assert _owners_run(app)
    assert shared.adapter.get_workload("Deployment", app.destination, "app") is None
    assert picture(app.directory()) == tree


def test_git_that_holdfast_may_not_change_any_more_keeps_nobody_down_before_flux_has_it(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    migration = _pushed_at_deploy(app)
    GitRepository.objects.filter(source_name=f"fleet-{app.tag}").update(push_policy=PushPolicy.DOWNLOAD)
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and "suspended until" in migration.problem["safe"]
    assert _replicas(app) == 1, "the application runs again meanwhile"
    app.request()
    app.settle()
    assert shared.adapter.get_workload("Deployment", app.destination, "app") is None
    assert not migration.intents.filter(verb="claim.remove").exists(), "that waits for Git"
    app.revert_last()
    running.retry(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    app.settle()
    assert _owners_run(app)
    assert picture(app.directory()) == tree


def _pushed_at_deploy(app: GitApp) -> Migration:
    """The Deploy change is in Git, and Flux has not applied it."""
    migration = app.driver.at(app.started(), "deploy")
    until(
        lambda: app.driver.tick(migration).intents.filter(key="deploy/git.push", state="done").exists(),
        timeout_s=30,
        what="the push",
    )
    return migration


def _owners_run(app: GitApp) -> bool:
    """Neither Kustomization is suspended."""
    names = (app.source, app.destination)
    owners = [app.driver.adapter.get_kustomization("flux-system", name) for name in names]
    return all(owner is not None and not owner.suspended for owner in owners)


def _prefix(key: str) -> str:
    return "/".join(key.split("/")[:2])


@contextmanager
def git_away(app: GitApp) -> Iterator[None]:
    """Holdfast does not reach the Git server; Flux does."""
    rows = GitRepository.objects.filter(source_name=f"fleet-{app.tag}")
    url = rows.get().url
    rows.update(url="http://127.0.0.1:9/fleet.git")
    yield
    rows.update(url=url)


def _suspended(app: GitApp) -> bool:
    for migration in Migration.objects.filter(source_namespace=app.source):
        app.driver.tick(migration)
    found = app.driver.adapter.get_kustomization("flux-system", app.destination)
    return found is not None and found.suspended


def _replicas(app: GitApp) -> int | None:
    for migration in Migration.objects.filter(source_namespace=app.source):
        app.driver.tick(migration)
    found = app.driver.adapter.get_workload("Deployment", app.source, "app")
    return found.replicas if found else None


def test_what_the_users_wrote_outlives_a_destination_that_lost_its_mark(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.until(app.started(), State.WAITING, step="test")
    transfer = migration.transfers.get()
    written = shared.volume_directory(transfer.staging_volume) / "written-by-users"
    written.write_text("days of work")
    app.git("pull", "-q", "--ff-only", "origin", "main")
    for path in (app.work / app.destination).rglob("*.yaml"):
        path.write_text(path.read_text().replace("prune: disabled", "prune: enabled"))
    app.push("Not protected any more")
    app.request()

    def unmarked() -> bool:
        claim = shared.adapter.get_claim(app.destination, "data")
        return claim is not None and claim.annotations.get(next(iter(PRUNE))) == "enabled"

    until(unmarked, timeout_s=40, what="the mark to be gone")
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    volume = shared.adapter.get_volume(transfer.staging_volume)
    assert volume is not None and volume.reclaim_policy == "Retain"
    assert written.read_text() == "days of work"
    assert transfer.staging_volume in migration.message


def test_a_destination_kustomization_that_is_gone_keeps_nobody_down(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.until(app.started(), State.WAITING, step="test")
    shared.kubectl("delete", "kustomization", "-n", "flux-system", app.destination, "--timeout=20s")
    running.roll_back(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1


def test_a_policy_that_marks_each_claim_again_is_not_fought_for_ever(
    shared: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), "deploy")
    annotate = type(shared.adapter).annotate

    def marking(self, ref, values, **more):  # type: ignore[no-untyped-def]
        answer = annotate(self, ref, values, **more)
        if any(value is None and key in PRUNE for key, value in values.items()):
            annotate(self, ref, dict.fromkeys(values, "disabled"))
        return answer

    monkeypatch.setattr(type(shared.adapter), "annotate", marking)
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and migration.problem["code"] == "denied"
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1, "the application runs again meanwhile"
    monkeypatch.undo()
    running.retry(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK)


def test_a_release_that_was_refused_for_certain_can_be_rolled_back(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.approve(shared.confirm_test(app.started()))
    migration = shared.at(migration, "release")
    app.git("pull", "-q", "--ff-only", "origin", "main")
    manifest = app.work / app.source / "app.yaml"
    manifest.write_text(manifest.read_text().replace("replicas: 1", "replicas: 2"))
    app.push("More of it")
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and "Nothing was pushed" in migration.problem["safe"]
    running.roll_back(by=shared.operator, migration=migration)
    shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas
