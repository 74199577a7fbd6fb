"""How claims and volumes find each other."""

import pytest

from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from tests.contract.place import BLOCK, Place
from tests.support.waiting import until

pytestmark = pytest.mark.contract


def static_volume(place: Place, name: str, **spec: object) -> dict:
    body = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "csi": {"driver": "static.example", "volumeHandle": name},
        **spec,
    }
    place.volumes.append(name)
    return place.create(PERSISTENT_VOLUMES, name, spec=body)


def remove_volume(place: Place, name: str) -> None:
    place.client.delete(PERSISTENT_VOLUMES, name)


def test_a_claim_gets_a_volume_that_names_it_by_uid(place: Place) -> None:
    claim, volume = place.bound_claim()
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    driver = place.client.get(STORAGE_CLASSES, BLOCK)["provisioner"]
    assert volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == driver


def test_claims_and_volumes_are_protected_by_finalizers(place: Place) -> None:
    claim, volume = place.bound_claim()
    assert "kubernetes.io/pvc-protection" in claim["metadata"]["finalizers"]
    assert "kubernetes.io/pv-protection" in volume["metadata"]["finalizers"]


def test_a_claim_without_its_class_stays_pending(place: Place) -> None:
    place.claim(storageClassName="there-is-no-such-class")
    place.wait_events("data", "ProvisioningFailed")
    claim = place.get(PERSISTENT_VOLUME_CLAIMS, "data")
    assert claim is not None
    assert claim["status"]["phase"] == "Pending"


def test_a_reserved_volume_is_found_by_a_claim_without_volume_name(place: Place) -> None:
    name = f"{place.namespace}-reserved"
    static_volume(
        place,
        name,
        storageClassName=BLOCK,
        claimRef={
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": place.namespace,
            "name": "data",
        },
    )
    place.wait_phase(PERSISTENT_VOLUMES, name, "Available")
    place.claim()
    claim, volume = place.wait_bound("data")
    assert volume["metadata"]["name"] == name
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]


def test_a_reserved_volume_that_is_too_small_is_passed_over(place: Place) -> None:
    name = f"{place.namespace}-small"
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": place.namespace,
        "name": "data",
    }
    static_volume(place, name, storageClassName=BLOCK, claimRef=reference)
    place.wait_phase(PERSISTENT_VOLUMES, name, "Available")
    place.claim(size="2Gi")
    _, volume = place.wait_bound("data")
    assert volume["metadata"]["name"] != name, "a new, empty volume was provisioned beside the reserved one"


def test_a_claim_takes_the_smallest_volume_that_fits(place: Place) -> None:
    group = {"matchLabels": {"place": place.namespace}}
    for name, size in (("large", "5Gi"), ("fitting", "2Gi"), ("small", "500Mi")):
        full = f"{place.namespace}-{name}"
        place.volumes.append(full)
        body = {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": size},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "csi": {"driver": "static.example", "volumeHandle": full},
        }
        place.create(PERSISTENT_VOLUMES, full, metadata={"labels": {"place": place.namespace}}, spec=body)
        place.wait_phase(PERSISTENT_VOLUMES, full, "Available")
    place.claim(storageClassName="", selector=group)
    _, volume = place.wait_bound("data")
    assert volume["metadata"]["name"] == f"{place.namespace}-fitting"


def test_a_claim_that_names_a_volume_of_another_class_stays_pending(place: Place) -> None:
    name = f"{place.namespace}-other"
    static_volume(place, name)
    place.wait_phase(PERSISTENT_VOLUMES, name, "Available")
    place.claim(volumeName=name)
    place.wait_events("data", "VolumeMismatch")


def test_a_claim_whose_volume_vanished_is_lost(place: Place) -> None:
    name = f"{place.namespace}-gone"
    static_volume(place, name)
    place.claim(storageClassName="", volumeName=name)
    place.wait_bound("data")
    place.client.delete(PERSISTENT_VOLUMES, name)
    place.client.patch(PERSISTENT_VOLUMES, name, {"metadata": {"finalizers": None}})
    place.wait_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Lost")


def test_a_bound_claim_is_lost_when_its_volume_is_given_to_another_uid(place: Place) -> None:
    _, volume = place.bound_claim()
    name = volume["metadata"]["name"]
    place.client.patch(PERSISTENT_VOLUMES, name, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    stranger = {"uid": "00000000-0000-0000-0000-000000000000"}
    place.client.patch(PERSISTENT_VOLUMES, name, {"spec": {"claimRef": stranger}})
    place.wait_phase(PERSISTENT_VOLUME_CLAIMS, "data", "Lost")


def test_a_waiting_class_binds_only_when_a_pod_was_scheduled(place: Place) -> None:
    delayed = [
        item
        for item in place.client.list(STORAGE_CLASSES)
        if item.get("volumeBindingMode") == "WaitForFirstConsumer"
    ]
    if not delayed:
        pytest.skip("no class with WaitForFirstConsumer")
    place.claim(storageClassName=delayed[0]["metadata"]["name"])
    place.wait_events("data", "WaitForFirstConsumer")
    claim = place.get(PERSISTENT_VOLUME_CLAIMS, "data")
    assert claim is not None
    assert claim["status"]["phase"] == "Pending"
    place.run("true", {"/data": "data"})
    claim, _ = place.wait_bound("data")
    assert claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"]


def test_growing_a_claim_grows_its_volume_and_waits_for_a_pod(place: Place) -> None:
    _, volume = place.bound_claim()
    place.client.patch(
        PERSISTENT_VOLUME_CLAIMS,
        "data",
        {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
        place.namespace,
    )
    place.wait(
        PERSISTENT_VOLUMES,
        volume["metadata"]["name"],
        lambda item: item["spec"]["capacity"]["storage"] == "2Gi",
    )
    until(lambda: place.run("df /data >/dev/null; sleep 1", {"/data": "data"}) is not None, timeout_s=20)
    place.wait(PERSISTENT_VOLUME_CLAIMS, "data", lambda item: item["status"]["capacity"]["storage"] == "2Gi")
