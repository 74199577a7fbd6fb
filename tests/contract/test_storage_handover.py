"""Giving a volume to a claim of another namespace, and every way in which that loses data."""

import pytest

from sandbox.answers import ApiError
from sandbox.kinds import JOBS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from tests.contract.place import BLOCK, PATIENCE_S, Place
from tests.support.waiting import until

pytestmark = pytest.mark.contract


def retain(place: Place, volume: str) -> None:
    place.client.patch(PERSISTENT_VOLUMES, volume, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})


def released(place: Place, *, policy_retain: bool = True) -> tuple[dict, dict]:
    """A claim with bytes in it, deleted; its volume, Released."""
    claim, volume = place.bound_claim()
    place.run("echo precious > /data/file", {"/data": "data"})
    name = volume["metadata"]["name"]
    if policy_retain:
        retain(place, name)
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace, uid=claim["metadata"]["uid"])
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")
    return claim, place.wait_phase(PERSISTENT_VOLUMES, name, "Released")


def reserve(place: Place, volume: dict, namespace: str, name: str) -> None:
    """Replaces the whole claimRef, if its uid is still the old claim's."""
    fresh = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
    operations = [
        {"op": "test", "path": "/spec/claimRef/uid", "value": volume["spec"]["claimRef"]["uid"]},
        {"op": "replace", "path": "/spec/claimRef", "value": fresh},
    ]
    place.client.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], operations, type="json")


def test_a_retained_volume_keeps_its_bytes_through_a_hand_over(place: Place) -> None:
    _, volume = released(place)
    destination = place.another()
    reserve(place, volume, destination.namespace, "moved")
    place.wait_phase(PERSISTENT_VOLUMES, volume["metadata"]["name"], "Available")
    destination.claim("moved", volumeName=volume["metadata"]["name"])
    claim, bound = destination.wait_bound("moved")
    assert bound["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert destination.run("cat /data/file", {"/data": "moved"}) == "precious\n"


def test_a_released_volume_is_not_given_to_a_new_claim_of_the_same_name(place: Place) -> None:
    _, volume = released(place)
    place.claim()
    _, other = place.wait_bound("data")
    assert other["metadata"]["name"] != volume["metadata"]["name"]


def test_a_merge_patched_reference_keeps_the_stale_uid_and_is_released_again(place: Place) -> None:
    _, volume = released(place)
    name = volume["metadata"]["name"]
    destination = place.another()
    place.client.patch(
        PERSISTENT_VOLUMES,
        name,
        {"spec": {"claimRef": {"namespace": destination.namespace, "name": "moved"}}},
    )
    destination.claim("moved", volumeName=name)
    destination.wait_events("moved", "FailedBinding")
    patched = place.wait_phase(PERSISTENT_VOLUMES, name, "Released")
    assert patched["spec"]["claimRef"]["uid"] == volume["spec"]["claimRef"]["uid"]


def test_a_released_volume_under_delete_is_destroyed(place: Place) -> None:
    _, volume = place.bound_claim()
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    place.wait_gone(PERSISTENT_VOLUMES, volume["metadata"]["name"])


def test_a_retained_volume_survives_the_deletion_of_its_namespace(place: Place) -> None:
    other = place.another()
    _, volume = other.bound_claim()
    place.volumes.append(volume["metadata"]["name"])
    retain(place, volume["metadata"]["name"])
    other.remove_namespace()
    place.wait_phase(PERSISTENT_VOLUMES, volume["metadata"]["name"], "Released")


def test_a_finished_pod_still_holds_its_claim(place: Place) -> None:
    place.bound_claim()
    place.run("true", {"/data": "data"}, keep=True)
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    held = place.wait(
        PERSISTENT_VOLUME_CLAIMS, "data", lambda item: item["metadata"].get("deletionTimestamp")
    )
    assert held["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    for pod in place.client.list(PODS, place.namespace):
        assert pod["status"]["phase"] == "Succeeded"
    for job in place.client.list(JOBS, place.namespace):
        place.delete_job(job["metadata"]["name"])
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")


def test_a_bound_volume_that_is_deleted_waits_for_its_claim(place: Place) -> None:
    claim, volume = place.bound_claim()
    name = volume["metadata"]["name"]
    place.client.delete(PERSISTENT_VOLUMES, name)
    held = place.get(PERSISTENT_VOLUMES, name)
    assert held is not None
    assert "kubernetes.io/pv-protection" in held["metadata"]["finalizers"]
    assert (
        place.wait_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Bound")["metadata"]["uid"]
        == claim["metadata"]["uid"]
    )
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    place.wait_gone(PERSISTENT_VOLUMES, name)


def test_a_deletion_with_the_uid_of_an_earlier_claim_is_refused(place: Place) -> None:
    claim = place.claim()
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")
    place.claim()
    with pytest.raises(ApiError) as refused:
        place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace, uid=claim["metadata"]["uid"])
    assert refused.value.status == 409


def test_an_undo_finds_the_bytes_in_the_retained_volume(place: Place) -> None:
    _, volume = released(place)
    reserve(place, volume, place.namespace, "data")
    place.claim("data", storageClassName=BLOCK)
    _, again = place.wait_bound("data")
    assert again["metadata"]["name"] == volume["metadata"]["name"]
    assert place.run("cat /data/file", {"/data": "data"}) == "precious\n"


def test_an_attachment_ends_a_moment_after_its_last_pod(place: Place) -> None:
    _, volume = place.bound_claim()

    def attachments() -> list[dict]:
        return [
            item
            for item in place.client.list(VOLUME_ATTACHMENTS)
            if item["spec"]["source"].get("persistentVolumeName") == volume["metadata"]["name"]
        ]

    place.create(PODS, "user", spec=place.pod_spec("sleep 60", {"/data": "data"}))
    place.wait_phase(PODS, "user", "Running")
    assert [item["status"]["attached"] for item in attachments()] == [True]
    place.client.delete(PODS, "user", place.namespace, grace_period_s=1)
    until(lambda: not attachments(), timeout_s=PATIENCE_S, what="no attachment")


def test_a_volume_made_anew_under_another_name_shows_the_same_bytes(place: Place) -> None:
    _, volume = released(place)
    name = f"{place.namespace}-again"
    kept = ("accessModes", "capacity", "csi", "storageClassName", "volumeMode", "nodeAffinity")
    spec = {key: value for key, value in volume["spec"].items() if key in kept}
    spec["persistentVolumeReclaimPolicy"] = "Retain"
    place.client.delete(PERSISTENT_VOLUMES, volume["metadata"]["name"])
    place.wait_gone(PERSISTENT_VOLUMES, volume["metadata"]["name"])
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": place.namespace,
        "name": "data",
    }
    place.create(PERSISTENT_VOLUMES, name, spec={**spec, "claimRef": reference})
    place.volumes.append(name)
    place.claim("data", volumeName=name)
    place.wait_bound("data")
    assert place.run("cat /data/file", {"/data": "data"}) == "precious\n"
