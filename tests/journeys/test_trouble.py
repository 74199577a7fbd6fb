"""Somebody writes to the source, a disk fills up, people pause, abort, purge and change their minds: nothing is lost."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from cluster.errors import ClusterError, Denied, EngineDown
from cluster.values import Ref
from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.problems import Refused
from migrations_app.states import State
from tests.journeys.apps import App, apply, claim_manifest, deployment, make_app
from tests.journeys.driving import Driver
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def signed(app: App, **changes: Any) -> Migration:
    """At release, approved, before it did anything."""
    driver = app.driver
    migration = driver.at(app.started(**changes), "deploy")
    app.deploy_in_destination()
    migration = driver.approve(driver.confirm_test(migration))
    return driver.at(migration, "release")


def stopped(driver: Driver, migration: Migration, code: str) -> Migration:
    found = driver.until(migration, State.FAILED)
    assert found.problem is not None and found.problem["code"] == code, found.problem
    assert found.problem["safe"] and found.problem["next"]
    return found


def pod_on(app: App, claim: str, namespace: str = "") -> dict[str, Any]:
    template = deployment(app.source, claim)["spec"]["template"]
    name = {"name": "late", "namespace": namespace or app.source}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": name, "spec": template["spec"]}


def test_a_source_that_was_written_to_after_its_proof_is_not_released(shared: Driver) -> None:
    app = make_app(shared)
    migration = signed(app)
    source = shared.volume_directory(migration.transfers.get().source_volume)
    tree = picture(source)
    (source / "late.txt").write_text("written after the proof\n")

    migration = stopped(shared, migration, "source-written")
    request = migration.sign_off_requests.get()
    assert request.state == "void" and "written to" in request.void_reason
    assert app.directory() == source
    # A new signature alone changes nothing: the source is still not what was proven.
    running.retry(by=shared.operator, migration=migration)
    migration = stopped(shared, shared.approve(migration), "source-written")
    assert not migration.intents.filter(verb__in=["claim.delete", "git.push"]).exists()
    (source / "late.txt").unlink()
    assert set(picture(source)) == set(tree)


def test_a_pod_that_came_wrote_and_ended_between_two_looks_is_not_overlooked(shared: Driver) -> None:
    app = make_app(shared)
    migration = signed(app)

    def hashed() -> bool:
        return bool(shared.tick(migration).runs.get(step="release").memory.get("hashed_at"))

    until(hashed, timeout_s=60, what="the source to be hashed", every_s=0.05)
    apply(shared, job_that_ends(app))
    until(lambda: _has_ended(app), timeout_s=60, what="a pod on the source that ended")
    (app.directory() / "late.txt").write_text("written by it\n")
    stopped(shared, migration, "source-written")
    assert not migration.intents.filter(verb="claim.delete").exists()


def refusing(monkeypatch: pytest.MonkeyPatch, driver: Driver, error: ClusterError) -> list[str]:
    """From now on the cluster refuses each deletion of a claim; the names that were tried."""
    tried: list[str] = []
    delete = type(driver.adapter).delete

    def refuse(self: Any, ref: Ref, **more: Any) -> Any:
        if ref.kind != "PersistentVolumeClaim":
            return delete(self, ref, **more)
        tried.append(ref.name)
        raise error

    monkeypatch.setattr(type(driver.adapter), "delete", refuse)
    return tried


def test_what_is_written_while_a_deletion_is_held_up_for_hours_is_not_deleted(
    shared: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(shared)
    migration = signed(app)
    down = EngineDown("The webhook of the policies did not answer.", safe="", next="", webhook="kyverno")
    tried = refusing(monkeypatch, shared, down)
    until(lambda: shared.tick(migration) and tried, timeout_s=90, what="a deletion that is held up")
    run = migration.runs.get(step="release")
    run.memory["hashed_at"] = (timezone.now() - timedelta(hours=2)).isoformat()
    run.save(update_fields=["memory"])
    (app.directory() / "late.txt").write_text("written meanwhile\n")
    monkeypatch.undo()
    stopped(shared, migration, "source-written")
    claim = shared.adapter.get_claim(app.source, "data")
    assert claim is not None and not claim.deleting


def test_a_claim_that_somebody_deletes_after_a_refusal_was_not_deleted_by_holdfast(
    shared: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(shared)
    migration = signed(app)
    rule: Any = {"by": "kyverno-cluster-policy", "policy": "keep", "message": "", "status": 400}
    refusing(monkeypatch, shared, Denied("Policy keep refuses it.", safe="Nothing.", next="Ask.", **rule))
    migration = stopped(shared, migration, "denied")
    monkeypatch.undo()
    shared.kubectl("delete", "pvc", "data", "-n", app.source, "--timeout=30s")
    running.retry(by=shared.operator, migration=migration)
    migration = stopped(shared, migration, "claim-vanished")
    assert "not by Holdfast" in (migration.problem or {})["happened"]
    assert migration.evidence.filter(kind="claim-vanished").exists()


def job_that_ends(app: App) -> dict[str, Any]:
    spec = pod_on(app, "data")["spec"]
    container = {**spec["containers"][0], "image": "alpine", "command": ["true"]}
    template = {"spec": {**spec, "containers": [container], "restartPolicy": "Never"}}
    name = {"name": "nightly-1", "namespace": app.source}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": name, "spec": {"template": template}}


def _has_ended(app: App) -> bool:
    pods = app.driver.adapter.list_pods(app.source)
    return any(pod.finished and pod.name.startswith("nightly-1") for pod in pods)


def test_a_pod_on_the_source_during_the_copy_has_the_whole_pass_made_again(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(limits={"bandwidth": 100 * 1024}), "copy")
    until(
        lambda: shared.tick(migration) and shared.adapter.list_jobs(app.source),
        timeout_s=30,
        what="the mover",
    )
    shared.kubectl("scale", "-n", app.source, "deployment/app", "--replicas=1")
    until(lambda: _uses(app), timeout_s=30, what="a pod on the source")
    migration = stopped(shared, migration, "source-in-use")
    old = shared.adapter.list_jobs(app.source)[0].name

    running.retry(by=shared.operator, migration=migration)
    assert Migration.objects.get(pk=migration.pk).current_step == "quiesce"
    Migration.objects.filter(pk=migration.pk).update(limits={})

    def one_mover_at_most() -> bool:
        found = shared.tick(migration)
        movers = [
            p for p in shared.adapter.list_pods(app.source) if p.name.startswith("hf-") and not p.finished
        ]
        assert found.state in {State.RUNNING, State.WAITING}, found.problem
        jobs = shared.adapter.list_jobs(app.source)
        if found.current_step == "copy" and any(job.name == old for job in jobs):
            raise RuntimeError(f"{old} held the source while it was to come to rest")
        if len(movers) > 1:
            raise RuntimeError(f"two movers at once: {[p.name for p in movers]}")
        return found.current_step == "hand-over"

    until(one_mover_at_most, timeout_s=120, what="hand over", every_s=0.1)
    transfer = migration.transfers.get()
    staging = shared.adapter.get_claim(app.source, transfer.staging_name)
    assert staging is not None
    assert picture(shared.volume_directory(staging.volume_name)) == picture(app.directory())
    assert migration.intents.get(key__startswith="quiesce/scale/").before == {"replicas": 1}


def _uses(app: App) -> bool:
    return any(
        "data" in pod.claims and pod.name.startswith("app")
        for pod in app.driver.adapter.list_pods(app.source)
    )


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    """A file system of that size in place of the directory."""
    mode = oct(directory.stat().st_mode & 0o7777)[2:]
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "none", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_full_disk_stops_the_copy_and_names_the_path(shared: Driver) -> None:
    app = make_app(shared)
    (app.directory() / "big.bin").write_bytes(os.urandom(3_000_000))
    migration = shared.at(app.started(), "copy")
    staging = shared.volume_directory(migration.transfers.get().staging_volume)
    with small_disk(staging, "1m"):
        migration = stopped(shared, migration, "mover-failed")
        assert migration.problem is not None
        assert "ENOSPC" in migration.problem["happened"]
        assert ".bin" in migration.problem["happened"] or "sparse" in migration.problem["happened"]
        assert shared.adapter.get_claim(app.destination, "data") is None
        until(lambda: _no_mover(shared, migration), timeout_s=60, what="no mover on the small disk")
    running.retry(by=shared.operator, migration=migration)
    migration = shared.at(migration, "hand-over")
    assert picture(staging) == picture(app.directory())


def _no_mover(driver: Driver, migration: Migration) -> bool:
    pods = driver.adapter.list_pods(migration.source_namespace)
    return all(pod.finished for pod in pods if pod.name.startswith("hf-"))


def test_pause_resume_abort_and_then_roll_back(shared: Driver) -> None:
    app = make_app(shared)
    tree = picture(app.directory())
    migration = shared.at(app.started(), "copy")
    migration = shared.tick(migration)
    running.pause(by=shared.operator, migration=migration)
    version = Migration.objects.get(pk=migration.pk).version
    for _ in range(3):
        migration = shared.tick(migration)
    assert (migration.state, migration.version) == (State.PAUSED, version)
    running.resume(by=shared.operator, migration=migration)
    migration = shared.at(migration, "verify")
    running.abort(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ABORTED)
    assert not shared.adapter.list_jobs(app.source)
    assert shared.adapter.get_claim(app.source, migration.transfers.get().staging_name) is not None
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK)
    workload = shared.adapter.get_workload("Deployment", app.source, "app")
    assert workload is not None and workload.replicas == 1
    assert [claim.name for claim in shared.adapter.list_claims(app.source)] == ["data"]
    assert picture(app.directory()) == tree


def test_a_purge_needs_the_deadline_the_name_and_another_copy(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.until(signed(app), State.RETAINED)
    transfer = migration.transfers.get()
    tree = picture(shared.volume_directory(transfer.staging_volume))
    with pytest.raises(Refused, match="kept until"):
        running.purge(by=shared.operator, migration=migration, typed="app")
    migration = shared.end_retention(migration)
    with pytest.raises(Refused, match="Type app"):
        running.purge(by=shared.operator, migration=migration, typed="data")

    # The destination's volume is not the one that was proven any more: the kept one may be the last copy.
    proven = transfer.staging_volume_uid
    migration.transfers.update(staging_volume_uid="another")
    running.purge(by=shared.operator, migration=migration, typed="app")
    migration = stopped(shared, migration, "last-copy")
    assert shared.adapter.get_volume(transfer.source_volume) is not None
    migration.transfers.update(staging_volume_uid=proven)

    running.retry(by=shared.operator, migration=migration)
    shared.until(migration, State.COMPLETED)
    assert shared.adapter.get_volume(transfer.source_volume) is None
    assert not shared.volume_directory(transfer.source_volume).exists()
    assert picture(shared.volume_directory(transfer.staging_volume)) == tree


def test_undo_after_a_release_that_stopped_half_way(shared: Driver) -> None:
    app = make_app(shared)
    apply(shared, claim_manifest(app.source, "second"))
    until(lambda: _bound(app, "second"), timeout_s=30, what="the second claim")
    (app.directory("second") / "also.txt").write_text("kept\n")
    trees = {name: picture(app.directory(name)) for name in ("data", "second")}
    migration = signed(app, claims=["data", "second"])
    volumes = {t.source_name: t.source_volume for t in migration.transfers.all()}

    def first_deleted() -> bool:
        shared.tick(migration)
        return migration.intents.filter(key="release/claim.delete/data").exists()

    until(first_deleted, timeout_s=90, what="the first deletion", every_s=0.05)
    apply(shared, pod_on(app, "second"))
    migration = stopped(shared, migration, "source-in-use-again")
    with pytest.raises(Refused, match="release has begun"):
        running.roll_back(by=shared.operator, migration=migration)
    running.undo(by=shared.operator, migration=migration)

    def rebuilt() -> bool:
        shared.tick(migration)
        claim = shared.adapter.get_claim(app.source, "data")
        return claim is not None and claim.phase == "Bound"

    # Somebody deletes the claim that Undo has just made again, mark and all.
    until(rebuilt, timeout_s=60, what="the first claim")
    shared.kubectl("annotate", "pvc", "data", "-n", app.source, "kustomize.toolkit.fluxcd.io/prune-")
    shared.kubectl("delete", "pvc", "data", "-n", app.source, "--timeout=30s")
    migration = shared.until(migration, State.UNDONE)
    for name, volume in volumes.items():
        claim = shared.adapter.get_claim(app.source, name)
        assert claim is not None and (claim.phase, claim.volume_name) == ("Bound", volume)
        assert claim.annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
        assert picture(shared.volume_directory(volume)) == trees[name]
        found = shared.adapter.get_volume(volume)
        assert found is not None and found.reclaim_policy == "Delete"


def _bound(app: App, name: str) -> bool:
    claim = app.driver.adapter.get_claim(app.source, name)
    return claim is not None and claim.phase == "Bound"
