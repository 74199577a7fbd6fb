"""One application with three claims moves to another namespace; then the source comes back from its kept volumes."""

import pytest

from audit.models import Event
from migrations_app.actions import running
from migrations_app.states import State
from tests.journeys.driving import Driver, durations
from tests.mover.walker import picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_every_byte_and_attribute_arrives_and_the_source_is_released_and_brought_back(driver: Driver) -> None:
    migration = driver.checked()
    stops = [c for c in migration.plan["checks"] if c["verdict"] == "stop"]
    assert not stops, stops
    volumes = {t.source_name: t.source_volume for t in migration.transfers.all()}

    running.start(by=driver.operator, migration=migration, plan_digest=migration.plan_digest)
    migration = driver.at(migration, "verify")
    before = {name: picture(driver.volume_directory(volume)) for name, volume in volumes.items()}
    assert sum(len(tree) for tree in before.values()) > 50
    migration = driver.confirm_test(migration)

    for transfer in migration.transfers.all():
        claim = driver.adapter.get_claim("photos", transfer.destination_name)
        assert claim is not None and claim.volume_name == transfer.staging_volume
        assert claim.annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    migration = driver.approve(migration)
    migration = driver.until(migration, State.RETAINED, timeout_s=120)

    for name, volume in volumes.items():
        assert driver.adapter.get_claim("media", name) is None
        kept = driver.adapter.get_volume(volume)
        assert kept is not None and (kept.phase, kept.reclaim_policy) == ("Released", "Retain")
        assert picture(driver.volume_directory(volume)) == before[name]
    media = driver.adapter.get_kustomization("flux-system", "media-photos")
    assert media is not None and not media.suspended
    assert driver.adapter.get_workload("Deployment", "media", "photos") is None

    # What was put back on the way was in the plan.
    for verb, row in (("volume.policy", "set back from Retain"), ("flux.resume", "resume")):
        promised = [item for item in migration.plan["objects"] if item["verb"] == row]
        assert len(promised) == migration.intents.filter(verb=verb, state="done").count() > 0, verb

    running.undo(by=driver.operator, migration=migration)
    migration = driver.until(migration, State.UNDONE)
    for name, volume in volumes.items():
        claim = driver.adapter.get_claim("media", name)
        assert claim is not None and (claim.phase, claim.volume_name) == ("Bound", volume)
        assert picture(driver.volume_directory(volume)) == before[name]
    print(durations(migration))
    verbs = set(Event.objects.values_list("verb", flat=True))
    assert {
        "migration.start",
        "flux.suspend",
        "workload.scale",
        "git.push",
        "signoff.approve",
        "claim.delete",
    } <= verbs
