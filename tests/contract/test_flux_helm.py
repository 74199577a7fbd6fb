"""What leaves a release of Helm, and what is kept: facts A7."""

from collections.abc import Callable

import pytest

from sandbox.answers import Object
from sandbox.kinds import HELM_RELEASES, PERSISTENT_VOLUME_CLAIMS
from tests.contract.fleet import Fleet
from tests.contract.flux_fixtures import fleet, needs_sandbox
from tests.support.waiting import until

pytestmark = [pytest.mark.contract, needs_sandbox]
__all__ = ["fleet"]
KEEP = {"helm.sh/resource-policy": "keep"}


def release(fleet: Fleet, *manifests: Object) -> None:
    body = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "shop", "namespace": fleet.place.namespace},
        "spec": {"interval": "1h", "values": {"manifests": list(manifests)}},
    }
    made = fleet.place.client.apply(HELM_RELEASES, body, field_manager="kustomize-controller", force=True)

    def observed() -> bool:
        item = fleet.place.client.get(HELM_RELEASES, "shop", fleet.place.namespace)
        return item.get("status", {}).get("observedGeneration") == made["metadata"]["generation"]

    until(observed, timeout_s=30, what="the release")


def live(fleet: Fleet, name: str) -> Object | None:
    return fleet.place.client.find(PERSISTENT_VOLUME_CLAIMS, name, fleet.place.namespace)


def annotate(fleet: Fleet, name: str) -> None:
    body = {"metadata": {"annotations": KEEP}}
    fleet.place.client.patch(PERSISTENT_VOLUME_CLAIMS, name, body, fleet.place.namespace)


def gone(fleet: Fleet, name: str) -> Callable[[], bool]:
    return lambda: live(fleet, name) is None


def test_an_upgrade_looks_at_the_live_object_and_an_uninstall_at_the_stored_release(fleet: Fleet) -> None:
    bare, marked, stored = (
        fleet.claim("bare"),
        fleet.claim("marked"),
        fleet.claim("stored", annotations=KEEP),
    )
    release(fleet, bare, marked, stored)
    annotate(fleet, "marked")
    release(fleet, stored)
    until(gone(fleet, "bare"), timeout_s=20, what="what nothing keeps")
    kept = live(fleet, "marked")
    assert kept is not None and "deletionTimestamp" not in kept["metadata"]
    item = fleet.place.client.get(HELM_RELEASES, "shop", fleet.place.namespace)
    assert [entry["id"].split("_")[1] for entry in item["status"]["inventory"]["entries"]] == ["stored"]

    release(fleet, stored, fleet.claim("late"))
    annotate(fleet, "late")
    fleet.place.client.delete(HELM_RELEASES, "shop", fleet.place.namespace)
    until(gone(fleet, "late"), timeout_s=20, what="what is kept on the live object alone")
    assert live(fleet, "stored") is not None
    assert fleet.place.client.find(HELM_RELEASES, "shop", fleet.place.namespace) is None
    for name in ("marked", "stored"):
        fleet.place.client.delete(PERSISTENT_VOLUME_CLAIMS, name, fleet.place.namespace)


def test_a_suspended_release_is_not_uninstalled_with_its_object(fleet: Fleet) -> None:
    release(fleet, fleet.claim("data"))
    fleet.place.client.patch(HELM_RELEASES, "shop", {"spec": {"suspend": True}}, fleet.place.namespace)
    fleet.place.client.delete(HELM_RELEASES, "shop", fleet.place.namespace)
    until(
        lambda: fleet.place.client.find(HELM_RELEASES, "shop", fleet.place.namespace) is None,
        timeout_s=20,
        what="the HelmRelease to go",
    )
    claim = live(fleet, "data")
    assert claim is not None and "deletionTimestamp" not in claim["metadata"]
    fleet.place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", fleet.place.namespace)
