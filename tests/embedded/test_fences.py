"""The admission policies of deploy/ let Holdfast's own requests pass, and stop what its rights alone would allow."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kyverno.cel import evaluate
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.manifests import mover_job, pod_of

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
WORKER = "system:serviceaccount:holdfast:holdfast-worker"


def holds(
    policy: Json, wanted: Json, *, user: str = WORKER, dry_run: bool = False, before: Json | None = None
) -> bool:
    """Whether the policy lets `user` create the object, or change it from what it was `before`."""
    kind = {
        "Job": ("batch", "jobs"),
        "Pod": ("", "pods"),
        "PersistentVolume": ("", "persistentvolumes"),
    }[wanted["kind"]]
    spec = policy["spec"]
    rules = spec["matchConstraints"]["resourceRules"]
    assert any(kind[0] in rule["apiGroups"] and kind[1] in rule["resources"] for rule in rules)
    context = {
        "object": wanted,
        "oldObject": before,
        "request": {
            "userInfo": {"username": user},
            "dryRun": dry_run,
            "resource": {"group": kind[0], "resource": kind[1]},
        },
        "variables": {},
    }
    if not all(evaluate(each["expression"], context) for each in spec["matchConditions"]):
        return True
    for each in spec.get("variables", ()):
        context["variables"][each["name"]] = evaluate(each["expression"], context)
    return all(evaluate(each["expression"], context) is True for each in spec["validations"])


@pytest.fixture
def fence(repository_root: Path) -> Callable[[str], Json]:
    text = (repository_root / "deploy/kubernetes/admission.yaml").read_text()
    found = {
        each["metadata"]["name"]: each for each in yaml.safe_load_all(text) if "validations" in each["spec"]
    }
    return lambda name: found[name]


@pytest.fixture
def job() -> Json:
    migration = at_sign_off(person("operator"))
    return mover_job(migration, migration.transfers.get(), purpose="copy", attempt=1).data


def test_the_worker_makes_no_pod_but_asks_for_one(fence: Any, job: Json) -> None:
    policy = fence("holdfast-worker-makes-no-pods")
    migration = at_sign_off(person("operator", name="operator2"))
    pod = pod_of(mover_job(migration, migration.transfers.get(), purpose="copy", attempt=1)).data
    assert holds(policy, pod, dry_run=True)
    assert not holds(policy, pod)
    # The pods of its Jobs are made by the cluster's controller.
    assert holds(policy, pod, user="system:serviceaccount:kube-system:job-controller")
    assert policy["spec"]["failurePolicy"] == "Fail"


def on_the_node(pod: Json) -> None:
    pod["hostNetwork"] = True


def among_its_processes(pod: Json) -> None:
    pod["hostPID"] = True


def in_its_memory(pod: Json) -> None:
    pod["hostIPC"] = True


def privileged(pod: Json) -> None:
    pod["containers"][0]["securityContext"]["privileged"] = True


def with_its_files(pod: Json) -> None:
    pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}})


def as_another_program(pod: Json) -> None:
    pod["containers"][0]["image"] = "busybox"


def with_the_power_to_mount(pod: Json) -> None:
    pod["containers"][0]["securityContext"]["capabilities"]["add"].append("SYS_ADMIN")


def with_what_a_container_has_by_default(pod: Json) -> None:
    del pod["containers"][0]["securityContext"]["capabilities"]["drop"]


def with_no_word_about_its_power(pod: Json) -> None:
    del pod["containers"][0]["securityContext"]


def a_second_container_with_more_power(pod: Json) -> None:
    second = deepcopy(pod["containers"][0])
    second["securityContext"]["capabilities"]["add"] = ["NET_ADMIN"]
    pod["containers"].append({**second, "name": "second"})


def on_a_port_of_the_node(pod: Json) -> None:
    pod["containers"][0]["ports"] = [{"containerPort": 22, "hostPort": 22}]


def with_all_of_proc(pod: Json) -> None:
    pod["containers"][0]["securityContext"]["procMount"] = "Unmasked"


def with_a_secret(pod: Json) -> None:
    reference = {"secretKeyRef": {"name": "database", "key": "password"}}
    pod["containers"][0]["env"] = [{"name": "FINE", "value": "1"}, {"name": "TAKEN", "valueFrom": reference}]


def with_all_of_a_secret(pod: Json) -> None:
    pod["containers"][0]["envFrom"] = [{"secretRef": {"name": "database"}}]


@pytest.mark.parametrize(
    "change",
    [
        on_the_node,
        among_its_processes,
        in_its_memory,
        privileged,
        with_its_files,
        as_another_program,
        with_the_power_to_mount,
        with_what_a_container_has_by_default,
        with_no_word_about_its_power,
        a_second_container_with_more_power,
        on_a_port_of_the_node,
        with_all_of_proc,
        with_a_secret,
        with_all_of_a_secret,
    ],
)
def test_a_job_of_the_worker_is_a_mover_and_sees_nothing_of_its_node(
    fence: Any, job: Json, change: Callable[[Json], None]
) -> None:
    policy = fence("holdfast-jobs-are-movers")
    assert holds(policy, job)
    changed = deepcopy(job)
    change(changed["spec"]["template"]["spec"])
    assert not holds(policy, changed)


def test_what_the_api_server_adds_to_a_mover_stops_none(fence: Any, job: Json) -> None:
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["procMount"] = "Default"
    container["ports"] = [{"containerPort": 8080, "protocol": "TCP"}]
    container["env"] = [{"name": "TZ", "value": "UTC"}]
    assert holds(fence("holdfast-jobs-are-movers"), job)


@pytest.fixture
def volume() -> Json:
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": "pv", "labels": {"a": "b"}, "finalizers": ["kubernetes.io/pv-protection"]},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "fast",
            "claimRef": {"namespace": "shop", "name": "data", "uid": "1"},
            "csi": {"driver": "example.com", "volumeHandle": "1"},
        },
    }


def test_of_a_volume_its_policy_its_claim_and_its_labels_may_change(fence: Any, volume: Json) -> None:
    changed = deepcopy(volume)
    changed["metadata"] |= {"labels": {"c": "d"}, "annotations": {"e": "f"}}
    changed["spec"] |= {
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "other", "name": "data"},
    }
    assert holds(fence("holdfast-volumes-stay-as-they-are"), changed, before=volume)
    del changed["spec"]["claimRef"]
    assert holds(fence("holdfast-volumes-stay-as-they-are"), changed, before=volume)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("spec", {"capacity": {"storage": "2Gi"}}),
        ("spec", {"accessModes": ["ReadWriteMany"]}),
        ("spec", {"storageClassName": "slow"}),
        ("spec", {"volumeAttributesClassName": "gold"}),
        ("spec", {"mountOptions": ["exec", "suid"]}),
        ("spec", {"nodeAffinity": {"required": {"nodeSelectorTerms": []}}}),
        ("metadata", {"finalizers": []}),
        ("metadata", {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "1"}]}),
    ],
)
def test_nothing_else_of_a_volume_may_change(
    fence: Any, volume: Json, part: str, change: dict[str, Any]
) -> None:
    policy = fence("holdfast-volumes-stay-as-they-are")
    changed = {**volume, part: {**volume[part], **change}}
    assert not holds(policy, changed, before=volume)
    assert not holds(policy, volume, before=changed)
    assert holds(policy, changed, before=volume, user="system:serviceaccount:kube-system:pv-controller")
