"""Deployments, StatefulSets and what they do to pods and claims."""

import pytest

from sandbox.kinds import (
    CRON_JOBS,
    DEPLOYMENTS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from tests.contract.place import BLOCK, PATIENCE_S, Place
from tests.support.waiting import until

pytestmark = pytest.mark.contract

PAUSE = "registry.k8s.io/pause:3.10"


def template(place: Place, claims: dict[str, str] | None = None, image: str = PAUSE) -> dict:
    spec = place.pod_spec("", claims, restartPolicy="Always")
    spec["containers"][0].pop("command")
    spec["containers"][0]["image"] = image
    return {"metadata": {"labels": {"app": "web"}}, "spec": spec}


def deployment(place: Place, name: str = "web", *, replicas: int = 1, **parts: object) -> None:
    spec = {
        "replicas": replicas,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": "web"}},
        "template": template(place, **parts),
    }
    place.create(DEPLOYMENTS, name, spec=spec)


def stateful_set(place: Place, name: str = "db", *, replicas: int = 1, **spec: object) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": BLOCK,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    pod = template(place)
    pod["spec"].pop("volumes")
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    body = {
        "replicas": replicas,
        "serviceName": name,
        "selector": {"matchLabels": {"app": "web"}},
        "template": pod,
        "volumeClaimTemplates": [claim],
        **spec,
    }
    place.create(STATEFUL_SETS, name, spec=body)


def ready(place: Place, resource, name: str, count: int) -> dict:  # type: ignore[no-untyped-def]
    return place.wait(
        resource, name, lambda item: (item.get("status", {}).get("readyReplicas") or 0) == count
    )


def scale(place: Place, resource, name: str, replicas: int) -> None:  # type: ignore[no-untyped-def]
    body = {"spec": {"replicas": replicas}}
    place.client.patch(resource, name, body, place.namespace, subresource="scale")


def pods(place: Place) -> list[dict]:
    return place.client.list(PODS, place.namespace, label_selector="app=web")


def test_a_deployment_becomes_available_on_its_claim(place: Place) -> None:
    place.claim()
    deployment(place, claims={"/data": "data"})
    ready(place, DEPLOYMENTS, "web", 1)
    owner = pods(place)[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True)
    assert place.get(REPLICA_SETS, owner["name"])["metadata"]["ownerReferences"][0]["name"] == "web"


def test_a_deployment_scaled_to_zero_lets_go_of_its_claim(place: Place) -> None:
    place.claim()
    deployment(place, claims={"/data": "data"})
    ready(place, DEPLOYMENTS, "web", 1)
    scale(place, DEPLOYMENTS, "web", 0)
    until(lambda: not pods(place), timeout_s=PATIENCE_S, what="no pods")
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")


def test_a_deployment_whose_claim_is_missing_is_not_ready(place: Place) -> None:
    deployment(place, claims={"/data": "absent"})
    pod = until(lambda: pods(place), timeout_s=PATIENCE_S)[0]["metadata"]["name"]
    place.wait_events(pod, "FailedScheduling")
    assert not place.get(DEPLOYMENTS, "web").get("status", {}).get("readyReplicas")


def test_a_pod_that_was_deleted_is_replaced(place: Place) -> None:
    deployment(place)
    ready(place, DEPLOYMENTS, "web", 1)
    first = pods(place)[0]["metadata"]
    place.client.delete(PODS, first["name"], place.namespace)
    until(
        lambda: [pod for pod in pods(place) if pod["metadata"]["uid"] != first["uid"]], timeout_s=PATIENCE_S
    )


def test_a_stateful_set_makes_a_claim_for_each_ordinal(place: Place) -> None:
    stateful_set(place, replicas=2)
    ready(place, STATEFUL_SETS, "db", 2)
    names = {
        item["metadata"]["name"] for item in place.client.list(PERSISTENT_VOLUME_CLAIMS, place.namespace)
    }
    assert names == {"data-db-0", "data-db-1"}


def test_a_stateful_set_takes_a_claim_that_has_the_name(place: Place) -> None:
    claim, _ = place.bound_claim("data-db-0")
    stateful_set(place)
    ready(place, STATEFUL_SETS, "db", 1)
    adopted = place.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0")
    assert adopted["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "ownerReferences" not in adopted["metadata"]


def test_scaling_down_keeps_claims_by_default(place: Place) -> None:
    stateful_set(place)
    ready(place, STATEFUL_SETS, "db", 1)
    scale(place, STATEFUL_SETS, "db", 0)
    until(lambda: not pods(place), timeout_s=PATIENCE_S, what="no pods")
    claim = place.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0")
    assert claim is not None
    assert "deletionTimestamp" not in claim["metadata"]


def test_scaling_down_deletes_claims_when_the_policy_says_so(place: Place) -> None:
    stateful_set(
        place, persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Retain"}
    )
    ready(place, STATEFUL_SETS, "db", 1)
    scale(place, STATEFUL_SETS, "db", 0)
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data-db-0")


def test_deleting_a_stateful_set_deletes_claims_when_the_policy_says_so(place: Place) -> None:
    stateful_set(
        place, persistentVolumeClaimRetentionPolicy={"whenScaled": "Retain", "whenDeleted": "Delete"}
    )
    ready(place, STATEFUL_SETS, "db", 1)
    place.wait(PERSISTENT_VOLUME_CLAIMS, "data-db-0", lambda item: item["metadata"].get("ownerReferences"))
    place.client.delete(STATEFUL_SETS, "db", place.namespace)
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data-db-0")


def test_deleting_a_deployment_in_the_background_takes_all_below_it(place: Place) -> None:
    deployment(place)
    ready(place, DEPLOYMENTS, "web", 1)
    place.client.delete(DEPLOYMENTS, "web", place.namespace, propagation="Background")
    until(lambda: not pods(place), timeout_s=PATIENCE_S, what="no pods")
    assert place.client.list(REPLICA_SETS, place.namespace) == []


def test_deleting_a_deployment_in_the_foreground_waits_for_all_below_it(place: Place) -> None:
    deployment(place)
    ready(place, DEPLOYMENTS, "web", 1)
    place.client.delete(DEPLOYMENTS, "web", place.namespace, propagation="Foreground")
    place.wait_gone(DEPLOYMENTS, "web")
    assert [pod for pod in pods(place) if "deletionTimestamp" not in pod["metadata"]] == []


def test_orphaning_a_deployment_leaves_its_pods_running(place: Place) -> None:
    deployment(place)
    ready(place, DEPLOYMENTS, "web", 1)
    place.client.delete(DEPLOYMENTS, "web", place.namespace, propagation="Orphan")
    place.wait_gone(DEPLOYMENTS, "web")
    (replica_set,) = place.client.list(REPLICA_SETS, place.namespace)
    assert not replica_set["metadata"].get("ownerReferences")
    assert pods(place)


def test_an_object_whose_owner_never_lived_is_collected(place: Place) -> None:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "db",
        "uid": "00000000-0000-0000-0000-000000000001",
    }
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": BLOCK,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    place.create(PERSISTENT_VOLUME_CLAIMS, "data", metadata={"ownerReferences": [owner]}, spec=spec)
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")


def test_a_suspended_cron_job_starts_nothing(place: Place) -> None:
    job = {"spec": {"template": {"spec": place.pod_spec("true")}}}
    place.create(CRON_JOBS, "nightly", spec={"schedule": "* * * * *", "suspend": True, "jobTemplate": job})
    deployment(place)
    ready(place, DEPLOYMENTS, "web", 1)
    assert place.client.list(JOBS, place.namespace) == []
