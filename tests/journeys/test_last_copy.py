"""The cluster loses something at the worst moment: what is left of the data is never given away with it."""

import json

import pytest

from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.states import State
from tests.journeys.apps import App, apply, claim_manifest, make_app
from tests.journeys.driving import Driver
from tests.journeys.test_trouble import pod_on, signed, stopped
from tests.mover.walker import picture
from tests.support.waiting import until
from worker import manifests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def lose_source(app: App) -> None:
    """Somebody deletes the source claim while nothing of it was released."""
    app.driver.kubectl("delete", "pvc", "-n", app.source, "data", "--wait=false")
    until(
        lambda: app.driver.adapter.get_claim(app.source, "data") is None,
        timeout_s=30,
        what="the source claim to be gone",
    )


def delete_destination(app: App) -> None:
    """Somebody lifts the protection and deletes the destination claim; the pod that uses it still holds it."""
    at = ("pvc", "-n", app.destination, "data")
    app.driver.kubectl("annotate", *at, "kustomize.toolkit.fluxcd.io/prune-")
    app.driver.kubectl("delete", *at, "--wait=false")


def rolled_back_in_spite_of_it(driver: Driver, migration: Migration) -> Migration:
    """Roll back says once what is lost, and goes on when somebody wants it all the same."""
    running.roll_back(by=driver.operator, migration=migration)
    migration = stopped(driver, migration, "source-gone")
    running.retry(by=driver.operator, migration=migration)
    return driver.until(migration, State.ROLLED_BACK)


def test_roll_back_does_not_destroy_a_source_volume_whose_claim_somebody_deleted(shared: Driver) -> None:
    app = make_app(shared)
    tree = picture(app.directory())
    migration = signed(app)
    transfer = migration.transfers.get()

    def kept() -> bool:
        shared.tick(migration)
        return migration.intents.filter(key__startswith="release/retain/", state="done").exists()

    until(kept, timeout_s=90, what="the source volume on Retain", every_s=0.05)
    lose_source(app)
    # Before the worker has looked again, and would have said that the claim vanished.
    migration = Migration.objects.get(pk=migration.pk)
    shared.kubectl("scale", "-n", app.destination, "deployment/app", "--replicas=0")

    migration = rolled_back_in_spite_of_it(shared, migration)
    volume = shared.adapter.get_volume(transfer.source_volume)
    assert volume is not None and (volume.phase, volume.reclaim_policy) == ("Released", "Retain")
    assert picture(shared.volume_directory(transfer.source_volume)) == tree
    assert transfer.source_volume in migration.evidence.get(kind="rolled-back").data["kept_volumes"]


def test_roll_back_keeps_a_proven_copy_when_the_source_is_gone(shared: Driver) -> None:
    app = make_app(shared)
    tree = picture(app.directory())
    migration = shared.at(app.started(), "hand-over")
    lose_source(app)
    transfer = migration.transfers.get()
    until(
        lambda: shared.adapter.get_volume(transfer.source_volume) is None,
        timeout_s=30,
        what="the source volume to be destroyed by its policy",
    )
    migration = rolled_back_in_spite_of_it(shared, migration)
    volume = shared.adapter.get_volume(transfer.staging_volume)
    assert volume is not None and volume.reclaim_policy == "Retain"
    assert picture(shared.volume_directory(volume.name)) == tree
    assert volume.name in migration.message, "it is said where the last copy is"


def test_roll_back_gives_away_no_volume_that_was_there_before_its_claim(shared: Driver) -> None:
    """A class with volumes made by hand: the staging claim got one that holds somebody's data."""
    app = make_app(shared)
    migration = shared.at(app.started(storage_class="ceph-block-retain"), "copy")
    volume = migration.transfers.get().staging_volume
    shared.kubectl("annotate", "pv", volume, "pv.kubernetes.io/provisioned-by-")
    (shared.volume_directory(volume) / "precious.txt").write_text("of somebody else\n")

    migration = stopped(shared, migration, "mover-failed")
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK)
    found = shared.adapter.get_volume(volume)
    assert found is not None and found.reclaim_policy == "Retain"
    assert (shared.volume_directory(volume) / "precious.txt").read_text() == "of somebody else\n"
    assert migration.evidence.get(kind="rolled-back").data["kept_volumes"] == [volume]


def test_a_purge_waits_while_what_it_would_destroy_may_be_the_last_copy_or_in_use(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.end_retention(shared.until(signed(app), State.RETAINED))
    kept = shared.adapter.get_volume(migration.transfers.get().source_volume)
    assert kept is not None
    # Somebody reaches the kept data through a volume of their own.
    source = {"csi": {"driver": kept.driver, "volumeHandle": kept.volume_handle}}
    body = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": "by-hand"}
    apply(
        shared,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"rescue-{app.source}"},
            "spec": {**body, **source, "persistentVolumeReclaimPolicy": "Retain"},
        },
    )
    running.purge(by=shared.operator, migration=migration, typed="app")
    migration = stopped(shared, migration, "volume-strange")
    shared.kubectl("delete", "pv", f"rescue-{app.source}", "--wait=false")
    until(
        lambda: shared.adapter.get_volume(f"rescue-{app.source}") is None,
        timeout_s=30,
        what="the rescue volume to be gone",
    )

    # The destination's pod still holds its claim; when that ends, the volume goes with it.
    delete_destination(app)
    running.retry(by=shared.operator, migration=migration)
    stopped(shared, migration, "last-copy")
    volume = shared.adapter.get_volume(kept.name)
    assert volume is not None and volume.reclaim_policy == "Retain"

    # Nobody needs the data: a person deletes the volume, as they were told, and the purge ends.
    shared.kubectl("delete", "pv", kept.name, "--wait=false")
    until(
        lambda: shared.adapter.get_volume(kept.name) is None, timeout_s=30, what="the kept volume to be gone"
    )
    running.retry(by=shared.operator, migration=Migration.objects.get(pk=migration.pk))
    shared.until(migration, State.COMPLETED)


def test_an_undo_whose_kept_volume_is_gone_rebuilds_the_others_and_can_be_closed(shared: Driver) -> None:
    app = make_app(shared)
    apply(shared, claim_manifest(app.source, "second"))
    until(
        lambda: (claim := shared.adapter.get_claim(app.source, "second")) and claim.phase == "Bound",
        timeout_s=30,
        what="the second claim",
    )
    tree = picture(app.directory("second"))
    migration = shared.until(signed(app, claims=["data", "second"]), State.RETAINED)
    gone = migration.transfers.get(source_name="data").source_volume
    shared.kubectl("delete", "pv", gone, "--wait=false")
    until(lambda: shared.adapter.get_volume(gone) is None, timeout_s=30, what="the kept volume to be gone")

    running.undo(by=shared.operator, migration=migration)
    migration = stopped(shared, migration, "volume-lost")
    assert migration.problem is not None and gone in migration.problem["happened"]
    assert [claim.name for claim in shared.adapter.list_claims(app.source)] == ["second"]
    assert picture(app.directory("second")) == tree

    before = shared.kubectl("get", "pv,pvc,deploy", "-A", "-o", "name")
    running.close(by=shared.operator, migration=migration, typed="app", reason="The copy is enough.")
    migration = Migration.objects.get(pk=migration.pk)
    assert migration.state == State.UNDONE and gone in migration.message and not migration.holds_claims
    assert shared.kubectl("get", "pv,pvc,deploy", "-A", "-o", "name") == before
    assert migration.evidence.get(kind="closed").data["reason"] == "The copy is enough."


def test_a_destination_claim_that_somebody_deletes_does_not_take_the_copy_along(shared: Driver) -> None:
    app = make_app(shared)
    tree = picture(app.directory())
    migration = shared.at(app.started(), "hand-over")
    until(
        lambda: shared.tick(migration) and shared.adapter.get_claim(app.destination, "data"),
        timeout_s=60,
        what="the destination claim",
    )
    apply(shared, pod_on(app, "data", app.destination))
    until(
        lambda: (claim := shared.adapter.get_claim(app.destination, "data")) and claim.phase == "Bound",
        timeout_s=30,
        what="the destination claim to be bound",
    )
    delete_destination(app)
    for _ in range(5):
        migration = shared.tick(migration)
    transfer = migration.transfers.get()
    volume = shared.adapter.get_volume(transfer.staging_volume)
    assert volume is not None and volume.reclaim_policy == "Retain"
    shared.kubectl("delete", "pod", "-n", app.destination, "late", "--grace-period=1", "--wait=false")
    migration = shared.at(migration, "deploy")
    assert picture(app.directory(namespace=app.destination)) == tree


def test_a_job_that_holdfast_did_not_make_proves_nothing(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), "verify")
    transfer = migration.transfers.get()
    forged = manifests.mover_job(migration, transfer, purpose="verify", attempt=1).data
    side = {"content_digest": "blake3:forged", "metadata_digest": "blake3:forged"}
    result = {"t": "result", "program": "holdfast-mover", "outcome": "equal", "differences_total": 0}
    text = json.dumps({**result, **side, "source": side, "destination": side})
    forged["spec"]["template"]["spec"]["containers"][0]["command"] = ["echo", text]
    apply(shared, forged)
    migration = stopped(shared, migration, "alreadyexists")
    assert not migration.transfers.get().content_digest
