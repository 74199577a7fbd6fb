"""A copy that is not equal is never handed over, and the page says which paths differ."""

import os
from pathlib import Path

import pytest

from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.states import State
from tests.journeys.apps import apply, claim_manifest, make_app
from tests.journeys.driving import Driver
from tests.mover.walker import picture
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def flip_a_byte(staging: Path) -> str:
    path = staging / "deep" / "file 3\n.bin"
    before = path.stat()
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return "content"


def lose_a_file(staging: Path) -> str:
    (staging / "deep" / "file 4\n.bin").unlink()
    return "missing"


def change_a_mode(staging: Path) -> str:
    (staging / ".dot").chmod(0o777)
    return "mode"


@pytest.mark.parametrize("spoil", [flip_a_byte, lose_a_file, change_a_mode])
def test_a_spoiled_copy_stops_at_verify_and_a_retry_repairs_it(shared: Driver, spoil) -> None:  # type: ignore[no-untyped-def]
    app = make_app(shared)
    migration = shared.at(app.started(), "verify")
    transfer = migration.transfers.get()
    staging = shared.volume_directory(transfer.staging_volume or _staging_volume(shared, migration))
    expected = spoil(staging)

    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and migration.problem["code"] == "differences"
    found = migration.evidence.get(kind="differences").data
    assert expected in {difference["class"] for difference in found["differences"]}
    assert shared.adapter.get_claim(app.destination, "data") is None

    running.retry(by=shared.operator, migration=migration)
    migration = shared.at(migration, "hand-over")
    assert picture(staging) == picture(shared.volume_directory(transfer.source_volume))


def test_a_retry_copies_again_what_was_proven_beside_the_spoiled_claim(shared: Driver) -> None:
    app = make_app(shared)
    apply(shared, claim_manifest(app.source, "more"))
    migration = shared.at(app.started(claims=["data", "more"]), "verify")
    data, more = migration.transfers.order_by("source_name")
    damaged = shared.volume_directory(data.staging_volume)
    flip_a_byte(damaged)

    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and migration.problem["code"] == "differences"
    proven = shared.volume_directory(more.staging_volume)
    until(
        lambda: not (proven / ".holdfast-mover").exists(), timeout_s=30, what="the proof of the other claim"
    )

    running.retry(by=shared.operator, migration=migration)
    migration = shared.at(migration, "hand-over")
    assert picture(damaged) == picture(shared.volume_directory(data.source_volume))
    assert picture(proven) == picture(shared.volume_directory(more.source_volume))


def _staging_volume(driver: Driver, migration: Migration) -> str:
    claim = driver.adapter.get_claim(migration.source_namespace, migration.transfers.get().staging_name)
    assert claim is not None
    return claim.volume_name
