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


def holds(policy: Json, wanted: Json, *, user: str = WORKER, dry_run: bool = False) -> bool:
    """Whether the policy lets `user` create the object."""
    kind = {"Job": ("batch", "jobs"), "Pod": ("", "pods")}[wanted["kind"]]
    spec = policy["spec"]
    rules = spec["matchConstraints"]["resourceRules"]
    assert any(kind[0] in rule["apiGroups"] and kind[1] in rule["resources"] for rule in rules)
    context = {
        "object": wanted,
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


@pytest.mark.parametrize(
    "change",
    [on_the_node, among_its_processes, in_its_memory, privileged, with_its_files, as_another_program],
)
def test_a_job_of_the_worker_is_a_mover_and_sees_nothing_of_its_node(
    fence: Any, job: Json, change: Callable[[Json], None]
) -> None:
    policy = fence("holdfast-jobs-are-movers")
    assert holds(policy, job)
    changed = deepcopy(job)
    change(changed["spec"]["template"]["spec"])
    assert not holds(policy, changed)
