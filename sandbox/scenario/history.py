"""What has happened in demo-east before anyone looks: snapshots of some ages, a released volume, a resize."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux.values import dig
from sandbox.kinds import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    VOLUME_SNAPSHOT_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
)
from sandbox.scenario.apply import ensure, wait_until
from sandbox.scenario.manifests import claim

# Namespace, claim, age in hours.
_SNAPSHOTS = (
    ("media", "photos-library", 26),
    ("media", "photos-library", 170),
    ("media", "data-photos-db-0", 2),
    ("analytics", "clickhouse-data", 24 * 45),
    ("finance", "ledger", 3),
    ("home", "home-assistant", 9),
    ("office", "paperless-archive", 24 * 6),
)


def snapshots(client: Client) -> None:
    """Takes them now, all at once, and then dates them back."""
    classes = {one["driver"]: one["metadata"]["name"] for one in client.list(VOLUME_SNAPSHOT_CLASSES)}
    taken: list[tuple[str, str, int]] = []
    for number, (namespace, claim_name, hours) in enumerate(_SNAPSHOTS):
        class_name = classes.get(_driver(client, namespace, claim_name))
        if class_name is not None:
            name = f"{claim_name}-nightly-{number}"
            _take(client, namespace, claim_name, name, class_name)
            taken.append((namespace, name, hours))
    for namespace, name, hours in taken:
        content = _wait_ready(client, namespace, name)
        # The snapshot's own time is copied from its content, which has nanoseconds.
        status = {"creationTime": int(_hours_ago(hours).timestamp()) * 10**9}
        client.patch_status(VOLUME_SNAPSHOT_CONTENTS, content, status, field_manager="csi-snapshotter")


def _take(client: Client, namespace: str, claim_name: str, name: str, class_name: str) -> None:
    body: Object = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "volumeSnapshotClassName": class_name,
            "source": {"persistentVolumeClaimName": claim_name},
        },
    }
    ensure(client, body, manager="velero")


def _wait_ready(client: Client, namespace: str, name: str) -> str:
    """The name of the snapshot's content, once it is ready."""

    def is_ready() -> bool:
        return dig(client.find(VOLUME_SNAPSHOTS, name, namespace), "status", "readyToUse") is True

    wait_until(f"the snapshot {namespace}/{name}", is_ready)
    found = client.get(VOLUME_SNAPSHOTS, name, namespace)
    return str(found["status"]["boundVolumeSnapshotContentName"])


def _hours_ago(hours: int) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def _driver(client: Client, namespace: str, claim_name: str) -> str:
    found = client.find(PERSISTENT_VOLUME_CLAIMS, claim_name, namespace)
    volume = client.find(PERSISTENT_VOLUMES, str(dig(found, "spec", "volumeName", default="none")))
    return str(dig(volume, "spec", "csi", "driver", default=""))


def released_volume(client: Client) -> None:
    """The tickets of the old help desk: the claim is gone, the volume is retained with its data."""
    wanted = ("legacy", "tickets-data")
    for volume in client.list(PERSISTENT_VOLUMES):
        reference = dig(volume, "spec", "claimRef", default={})
        if (reference.get("namespace"), reference.get("name")) == wanted and _is_released(volume):
            return
    ensure(client, claim(*wanted, "6Gi"))
    wait_until("the claim of the old help desk", lambda: bool(_volume_of(client, *wanted)))
    name = _volume_of(client, *wanted)
    policy = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    client.patch(PERSISTENT_VOLUMES, name, policy, field_manager="kubectl-patch")
    client.delete(PERSISTENT_VOLUME_CLAIMS, wanted[1], wanted[0])
    wait_until("the release of its volume", lambda: _is_released(client.get(PERSISTENT_VOLUMES, name)))


def _is_released(volume: Object) -> bool:
    return bool(dig(volume, "status", "phase") == "Released")


def _volume_of(client: Client, namespace: str, name: str) -> str:
    """The name of the volume of a bound claim, else the empty text."""
    found = client.find(PERSISTENT_VOLUME_CLAIMS, name, namespace)
    bound = dig(found, "status", "phase") == "Bound"
    return str(dig(found, "spec", "volumeName")) if bound else ""


def resize(client: Client) -> None:
    """The recordings of the cameras are being grown, and the node has not finished."""
    status = {
        "conditions": [
            {
                "type": "FileSystemResizePending",
                "status": "True",
                "lastTransitionTime": f"{_hours_ago(0):%Y-%m-%dT%H:%M:%SZ}",
                "message": "Waiting for user to (re-)start a pod to finish file system resize of volume on node.",
            }
        ],
        "allocatedResources": {"storage": "20Gi"},
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
    }
    client.patch_status(
        PERSISTENT_VOLUME_CLAIMS, "camera-recordings", status, "home", field_manager="csi-resizer"
    )
