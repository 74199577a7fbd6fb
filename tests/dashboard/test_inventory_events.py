"""What happened to a claim is on its page, newest first, from the copy that the watcher keeps."""

import json
import subprocess

import pytest

from cluster.client import Cluster as Adapter
from cluster.client import ClusterConfig
from dashboard import inventory
from dashboard.models import Claim, Cluster
from tests.support.cluster_process import Sandbox
from tests.support.waiting import until
from worker.reading import read_surroundings


@pytest.mark.django_db
def test_events_of_a_claim_that_cannot_be_provisioned(sandbox: Sandbox) -> None:
    name = "never-provisioned"
    manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "no-such-class",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    command = ["kubectl", "--kubeconfig", str(sandbox.kubeconfig), "apply", "--validate=false", "-f", "-"]
    subprocess.run(command, input=json.dumps(manifest).encode(), check=True, capture_output=True, timeout=60)
    adapter = Adapter(ClusterConfig("demo-east", sandbox.kubeconfig, "holdfast-watcher"))
    row = Cluster.objects.create(name="demo-east")

    def seen() -> list[dict[str, object]]:
        claims = tuple(adapter.list_claims())
        inventory.refresh(row, read_surroundings(adapter, claims))
        found: list[dict[str, object]] = Claim.objects.get(namespace="default", name=name).facts["events"]
        return found

    events = until(seen, timeout_s=30, what="an event about the claim")
    assert {"type", "reason", "message", "count", "at"} == set(events[0])
    assert any("no-such-class" in str(event["message"]) for event in events)
