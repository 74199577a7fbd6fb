"""The paths of release on which Flux deletes: it reconciles at the worst moments, the worker dies at every act, people meddle."""

from collections.abc import Callable
from pathlib import Path

import pytest

from migrations_app.actions import gates, running, signing
from migrations_app.models import Decision, GitMode, Migration, ReleasePath
from migrations_app.states import State
from sandbox.flux.hold import HELD_AT
from tests.journeys.apps import deployment
from tests.journeys.driving import TROUBLE, Driver
from tests.journeys.dying import Moment, deaths
from tests.journeys.git_apps import GitApp, make_git_app, source_released, write
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

FINAL = ["claim.delete", "claim.leave"]


def guard(app: GitApp, migration: Migration) -> None:
    """What must hold at every moment: the claim is there until it was left to Flux, and from then on its volume is kept."""
    transfer = migration.transfers.get()
    volume = app.driver.adapter.get_volume(transfer.source_volume)
    assert volume is not None and volume.uid == transfer.source_volume_uid
    claim = app.driver.adapter.get_claim(app.source, "data")
    if migration.intents.filter(verb__in=FINAL, step="release").exists():
        assert volume.reclaim_policy == "Retain"
    else:
        assert claim is not None and claim.uid == transfer.source_uid and not claim.deleting


def at_release(driver: Driver, apps: list[GitApp], **changes: object) -> list[Migration]:
    """All of them signed and about to be released. They go side by side: most of it is waiting."""
    migrations = [app.started(**changes) for app in apps]

    def look() -> bool:
        for migration in migrations:
            now = Migration.objects.get(pk=migration.pk)
            if now.current_step == "release":
                continue
            if now.state in TROUBLE:
                raise RuntimeError(f"{now.current_step}: {now.problem}")
            now = driver.tick(now)
            if now.state == State.WAITING and now.current_step == "test":
                gates.confirm_test(by=driver.operator, migration=now, note="Pictures open.")
            if now.state == State.WAITING and now.current_step == "sign-off":
                _approve(driver, now)
            if now.state == State.WAITING and now.current_step == "deploy":
                for app in apps:
                    app.merge(now)
        found = Migration.objects.filter(pk__in=[m.pk for m in migrations])
        return all(m.current_step == "release" for m in found)

    until(look, timeout_s=240, what="all at release", every_s=0.1)
    return [Migration.objects.get(pk=migration.pk) for migration in migrations]


def _approve(driver: Driver, migration: Migration) -> None:
    request = migration.sign_off_requests.filter(state="open").first()
    if request is None:
        return  # approved already: the step looks again
    kind = Decision.Kind.APPROVE
    signing.decide(
        by=driver.approver, request=request, kind=kind, text="", covers_digest=request.covers_digest
    )


def ticked(
    app: GitApp, migration: Migration, done: Callable[[Migration], object], *, reconcile: bool = True
) -> Migration:
    """Ticks, with the guard after each and a pass of Flux requested between every two, until `done`."""

    def look() -> Migration | None:
        now = app.driver.tick(migration)
        guard(app, now)
        if reconcile:
            app.request()
        if done(now):
            return now
        if now.state in TROUBLE:
            raise RuntimeError(f"{now.current_step}: {now.problem}")
        return None

    found = until(look, timeout_s=150, what=f"{migration.application}", every_s=0.15)
    assert found is not None
    return found


def retained(migration: Migration) -> bool:
    return migration.state == State.RETAINED


def held(app: GitApp, point: str) -> Callable[[Migration], bool]:
    """Whether a pass of the source's Kustomization stands still there."""

    def look(now: Migration) -> bool:
        found = app.driver.adapter.get_kustomization("flux-system", app.source)
        return found is not None and found.annotations.get(HELD_AT) == point

    return look


def released(app: GitApp, migration: Migration, tree: dict[bytes, object]) -> dict[str, object]:
    """Nothing of the source is left but its volume, kept; the evidence of the release."""
    source_released(app, migration, tree)
    assert signing_used(migration) == 1
    data: dict[str, object] = migration.evidence.get(kind="released").data
    return data


def signing_used(migration: Migration) -> int:
    return migration.sign_off_requests.filter(state="used").count()


def undone(app: GitApp, migration: Migration, tree: dict[bytes, object]) -> Migration:
    """Undo from here: the claim is back on its volume, with every byte, and a pass of Flux does not take it away."""
    running.undo(by=app.driver.operator, migration=migration)
    migration = app.driver.until(migration, State.UNDONE, timeout_s=120)
    transfer = migration.transfers.get()
    app.settle()
    claim = app.driver.adapter.get_claim(app.source, "data")
    assert claim is not None and (claim.phase, claim.volume_name) == ("Bound", transfer.source_volume)
    assert not claim.deleting
    assert picture(app.directory()) == tree
    return migration


def mark(app: GitApp, value: str) -> None:
    """Somebody sets the mark on the live claim."""
    key = f"kustomize.toolkit.fluxcd.io/prune={value}"
    app.driver.kubectl("annotate", "--overwrite", "pvc", "-n", app.source, "data", key)


def suspend(app: GitApp, value: bool) -> None:
    """Somebody suspends or resumes the source's Kustomization."""
    body = f'{{"spec":{{"suspend":{str(value).lower()}}}}}'
    command = ("patch", "kustomization", "-n", "flux-system", app.source, "--type=merge", "-p", body)
    app.driver.kubectl(*command)


def survives(
    shared: Driver, monkeypatch: pytest.MonkeyPatch, app: GitApp, migration: Migration, moment: Moment
) -> set[str]:
    """Release with a pass of Flux between every two ticks, held in the middle again and again, and a death at every act."""
    tree = picture(app.directory())
    with deaths(monkeypatch, shared, moment) as reaper:
        for point in ("apply", "prune", "delete", "status"):
            app.hold(point)
            migration = ticked(
                app, migration, lambda now, point=point: held(app, point)(now) or retained(now)
            )
            for _ in range(3):
                if not retained(migration):
                    migration = shared.tick(migration)
                    guard(app, migration)
        app.hold()
        migration = ticked(app, migration, retained)
    evidence = released(app, migration, tree)
    assert evidence["deleted_by"] == {"data": f"Kustomization flux-system/{app.source}"}
    undone(app, migration, tree)
    return {"/".join(key.split("/")[:2]) for key in reaper.deaths}


def test_two_commits(shared: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = [make_git_app(shared, tmp_path) for _ in range(2)]
    first, second = at_release(shared, apps, release_path=ReleasePath.COMMITS)
    assert [item["key"] for item in first.plan["git"]] == ["deploy", "exempt", "release"]
    died = survives(shared, monkeypatch, apps[0], first, Moment.BETWEEN)
    assert died >= {"exempt/git.push", "release/claim.leave", "release/git.push", "release/resume"}

    app, tree = apps[1], picture(apps[1].directory())
    migration = ticked(app, second, lambda now: now.intents.filter(key="exempt/git.push", state="done"))
    # Somebody takes the first commit back: the claim is protected again, and that is not overlooked.
    ticked(app, migration, lambda now: now.evidence.filter(kind="git-arrived").exists())
    app.revert_last()
    stopped = ticked(app, migration, lambda now: now.state == State.FAILED)
    assert stopped.problem is not None and stopped.problem["code"] == "exemption-taken-back"
    assert not stopped.intents.filter(verb__in=FINAL, step="release").exists()
    app.revert_last()
    # Flux had started the application on the source again, as Git said.
    app.settle()
    # A ReplicaSet that is about to go may still make one pod more.
    running_in = ("get", "deployments,replicasets,pods", "-n", app.source, "-o", "name")
    until(
        lambda: not shared.kubectl(*running_in).strip(), timeout_s=60, what="nothing that runs in the source"
    )
    running.retry(by=shared.operator, migration=stopped)

    # Somebody protects the claim while the pass that would delete it is about to: Flux forgets the claim.
    migration = ticked(app, migration, lambda now: now.intents.filter(verb="claim.leave").exists())
    app.hold("prune")
    migration = ticked(app, migration, held(app, "prune"))
    mark(app, "disabled")
    app.hold()
    migration = ticked(app, migration, retained)
    assert released(app, migration, tree)["deleted_by"] == {"data": "Holdfast"}


def test_two_commits_for_review_and_an_undo_between_them(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    (migration,) = at_release(shared, [app], release_path=ReleasePath.COMMITS, git_mode=GitMode.BRANCH)
    waits = ticked(app, migration, lambda now: "exempt" in now.waiting_for)
    assert not waits.intents.filter(verb__in=FINAL, step="release").exists()
    app.merge(waits)
    waits = ticked(app, migration, lambda now: now.waiting_for.endswith("-release."))
    # The claim may go as soon as somebody merges. It is not protected any more, and its volume is kept.
    claim = shared.adapter.get_claim(app.source, "data")
    assert claim is not None and claim.annotations["kustomize.toolkit.fluxcd.io/prune"] == "enabled"
    running.abort(by=shared.operator, migration=waits)
    migration = undone(app, shared.until(waits, State.ABORTED), tree)
    assert "stay on Retain" in migration.message
    volume = shared.adapter.get_volume(migration.transfers.get().source_volume)
    assert volume is not None and volume.reclaim_policy == "Retain"
    # The branch is merged all the same: Flux deletes the claim, and the data is still there.
    app.merge(migration)
    app.settle()
    until(lambda: shared.adapter.get_claim(app.source, "data") is None, timeout_s=60, what="the claim to go")
    assert picture(shared.volume_directory(volume.name)) == tree


def test_resumed_on_the_removal(shared: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = [make_git_app(shared, tmp_path) for _ in range(3)]
    first, second, third = at_release(shared, apps, release_path=ReleasePath.SUSPEND)
    died = survives(shared, monkeypatch, apps[0], first, Moment.AFTER)
    assert died >= {"release/git.push", "release/claim.leave", "release/unprotect", "release/resume"}

    # Somebody resumes it when the removal is there and the claim still protected: Flux forgets it, Holdfast does not.
    app, tree = apps[1], picture(apps[1].directory())
    migration = ticked(app, second, lambda now: now.intents.filter(verb="claim.leave").exists())
    suspend(app, False)
    app.settle()
    owner = shared.adapter.get_kustomization("flux-system", app.source)
    assert owner is not None and not owner.holds("PersistentVolumeClaim", app.source, "data")
    migration = ticked(app, migration, retained)
    assert released(app, migration, tree)["deleted_by"] == {"data": "Holdfast"}
    assert migration.evidence.filter(kind="dropped-by-flux").count() == 1

    # Somebody resumes it before the removal is there: Flux starts the application again, and that stops the release.
    app = apps[2]
    suspend(app, False)
    stopped = ticked(app, third, lambda now: now.state == State.FAILED)
    assert stopped.problem is not None and stopped.problem["code"] == "source-in-use-again"
    assert not stopped.intents.filter(verb__in=[*FINAL, "claim.unprotect"], step="release").exists()


def test_within_one_namespace_only_the_claim_leaves_git(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    tree = picture(app.directory())
    wanted = {"destination": app.source, "names": {"data": "data-new"}, "owner": {}}
    migration = app.started(**wanted, release_path=ReleasePath.SUSPEND)
    migration = shared.until(migration, State.WAITING, step="deploy")
    # The workload is the destination's from now on: it stays in Git, and its owner is suspended once more at Release.
    write(app.work / app.source / "app.yaml", deployment(app.source, "data-new"))
    app.push("Use the new claim")
    app.request()
    gates.go_on(by=shared.operator, migration=migration)
    migration = shared.approve(shared.confirm_test(migration))
    migration = shared.until(migration, State.RETAINED, timeout_s=120)
    app.settle()
    transfer = migration.transfers.get()
    assert [claim.name for claim in shared.adapter.list_claims(app.source)] == ["data-new"]
    assert (
        picture(shared.volume_directory(transfer.source_volume)) == picture(app.directory("data-new")) == tree
    )
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1
    owner = shared.adapter.get_kustomization("flux-system", app.source)
    assert owner is not None and not owner.suspended and owner.holds("Deployment", app.source, "app", "apps")
    assert migration.evidence.get(kind="released").data["deleted_by"] == {
        "data": f"Kustomization flux-system/{app.source}"
    }
