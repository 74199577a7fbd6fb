"""Snapshots, restores and clones hold the bytes of their moment."""

import pytest

from sandbox.kinds import (
    PERSISTENT_VOLUME_CLAIMS,
    STORAGE_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
)
from tests.contract.place import BLOCK, Place

pytestmark = pytest.mark.contract

GROUP = "snapshot.storage.k8s.io"


def written(place: Place) -> None:
    place.bound_claim()
    place.run("echo first > /data/file; ln /data/file /data/.second", {"/data": "data"})


def restore(place: Place, snapshot: str, name: str = "restored", **spec: object) -> None:
    source = {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": snapshot}
    place.claim(name, dataSourceRef=source, **spec)


def content_of(place: Place, snapshot: dict) -> dict:
    return place.client.get(VOLUME_SNAPSHOT_CONTENTS, snapshot["status"]["boundVolumeSnapshotContentName"])


def test_a_snapshot_and_its_content_name_each_other(place: Place) -> None:
    written(place)
    snapshot = place.snapshot("moment", "data")
    content = content_of(place, snapshot)
    assert content["spec"]["volumeSnapshotRef"]["uid"] == snapshot["metadata"]["uid"]
    assert content["status"]["snapshotHandle"]
    assert snapshot["status"]["restoreSize"]


def test_a_restore_holds_the_bytes_of_the_moment(place: Place) -> None:
    written(place)
    place.snapshot("moment", "data")
    place.run("echo later > /data/file", {"/data": "data"})
    restore(place, "moment")
    place.wait_bound("restored")
    text = place.run("cat /data/file; stat -c %h /data/.second", {"/data": "restored"})
    assert text == "first\n2\n"


def test_a_restore_smaller_than_its_snapshot_is_refused(place: Place) -> None:
    place.bound_claim(size="2Gi")
    place.snapshot("moment", "data")
    restore(place, "moment", size="1Gi")
    place.wait_events("restored", "ProvisioningFailed")


def test_a_clone_holds_the_bytes_and_is_independent(place: Place) -> None:
    written(place)
    place.claim("copy", dataSource={"kind": "PersistentVolumeClaim", "name": "data"})
    place.wait_bound("copy")
    place.run("echo changed > /data/file", {"/data": "copy"})
    assert place.run("cat /data/file", {"/data": "data"}) == "first\n"
    assert place.run("cat /data/.second", {"/data": "copy"}) == "changed\n"


def test_a_deleted_snapshot_takes_its_content_under_delete(place: Place) -> None:
    written(place)
    content = content_of(place, place.snapshot("moment", "data"))
    place.client.delete(VOLUME_SNAPSHOTS, "moment", place.namespace)
    place.wait_gone(VOLUME_SNAPSHOT_CONTENTS, content["metadata"]["name"])


def test_a_deleted_snapshot_leaves_its_content_under_retain(place: Place) -> None:
    written(place)
    content = content_of(place, place.snapshot("moment", "data"))
    name = content["metadata"]["name"]
    place.client.patch(VOLUME_SNAPSHOT_CONTENTS, name, {"spec": {"deletionPolicy": "Retain"}})
    place.client.delete(VOLUME_SNAPSHOTS, "moment", place.namespace)
    place.wait_gone(VOLUME_SNAPSHOTS, "moment")
    assert place.get(VOLUME_SNAPSHOT_CONTENTS, name)


def test_a_snapshot_is_restored_in_another_namespace_by_a_content_made_by_hand(place: Place) -> None:
    written(place)
    content = content_of(place, place.snapshot("moment", "data"))
    other = place.another()
    name = f"{other.namespace}-content"
    other.create(
        VOLUME_SNAPSHOT_CONTENTS,
        name,
        spec={
            "deletionPolicy": "Retain",
            "driver": content["spec"]["driver"],
            "source": {"snapshotHandle": content["status"]["snapshotHandle"]},
            "sourceVolumeMode": content["spec"]["sourceVolumeMode"],
            "volumeSnapshotRef": {"namespace": other.namespace, "name": "brought"},
        },
    )
    other.create(VOLUME_SNAPSHOTS, "brought", spec={"source": {"volumeSnapshotContentName": name}})
    snapshot = other.wait(VOLUME_SNAPSHOTS, "brought", lambda item: item.get("status", {}).get("readyToUse"))
    bound = other.client.get(VOLUME_SNAPSHOT_CONTENTS, name)
    assert bound["spec"]["volumeSnapshotRef"]["uid"] == snapshot["metadata"]["uid"]
    restore(other, "brought")
    other.wait_bound("restored")
    assert other.run("cat /data/file", {"/data": "restored"}) == "first\n"


def test_a_content_with_an_unknown_handle_is_called_ready_and_fails_at_restore(place: Place) -> None:
    name = f"{place.namespace}-unknown"
    driver = place.client.get(STORAGE_CLASSES, BLOCK)["provisioner"]
    place.create(
        VOLUME_SNAPSHOT_CONTENTS,
        name,
        spec={
            "deletionPolicy": "Retain",
            "driver": driver,
            "source": {"snapshotHandle": "there-is-no-such-snapshot"},
            "volumeSnapshotRef": {"namespace": place.namespace, "name": "brought"},
        },
    )
    place.create(VOLUME_SNAPSHOTS, "brought", spec={"source": {"volumeSnapshotContentName": name}})
    place.wait(VOLUME_SNAPSHOTS, "brought", lambda item: item.get("status", {}).get("readyToUse"))
    restore(place, "brought")
    place.wait_events("restored", "ProvisioningFailed")
    claim = place.get(PERSISTENT_VOLUME_CLAIMS, "restored")
    assert claim is not None
    assert claim["status"]["phase"] == "Pending"
