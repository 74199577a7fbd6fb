"""kubectl against the sandbox: the commands that people type."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.client import Client
from sandbox.kinds import PODS
from tests.sandbox.api_process import Api, running_api
from tests.support.cluster_process import Sandbox

KUBECTL = os.environ.get("HOLDFAST_KUBECTL") or shutil.which("kubectl")
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop, annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
"""


class Kubectl:
    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}

    def __call__(self, *arguments: str, given: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            [str(KUBECTL), *arguments],
            input=given,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(KUBECTL), *arguments], env=self._environment, stdout=subprocess.PIPE, text=True
        )


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    made = Kubectl(api.kubeconfig, tmp_path_factory.mktemp("home"))
    made("create", "namespace", "shop")
    return made


def test_create_commands_are_understood(kubectl: Kubectl) -> None:
    """From 1.32 on kubectl sends these as protobuf."""
    where = ("-n", "shop")
    kubectl("create", "configmap", "settings", "--from-literal=color=blue", *where)
    kubectl("create", "secret", "generic", "keys", "--from-literal=key=value", *where)
    kubectl("create", "serviceaccount", "robot", *where)
    kubectl("create", "deployment", "web", "--image=alpine", "--replicas=0", "--port=80", *where)
    kubectl("create", "job", "copy", "--image=alpine", *where, "--", "sh", "-c", "true")
    kubectl("create", "quota", "limits", "--hard=pods=10", *where)
    assert kubectl("get", "configmap", "settings", *where, "-o", "jsonpath={.data.color}") == "blue"
    assert kubectl("get", "secret", "keys", *where, "-o", "jsonpath={.data.key}") == "dmFsdWU="
    web = json.loads(kubectl("get", "deployment", "web", *where, "-o", "json"))
    assert web["spec"]["replicas"] == 0
    assert web["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 80
    job = json.loads(kubectl("get", "job", "copy", *where, "-o", "json"))
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["sh", "-c", "true"]


def test_apply_says_created_unchanged_and_configured(kubectl: Kubectl) -> None:
    assert "created" in kubectl("apply", "-f", "-", given=CLAIM)
    assert "unchanged" in kubectl("apply", "-f", "-", given=CLAIM)
    changed = CLAIM.replace("prune: disabled", "prune: enabled")
    assert "configured" in kubectl("apply", "-f", "-", given=changed)
    assert "serverside-applied" in kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", given=CLAIM
    )
    assert "prune: disabled" in kubectl("get", "pvc", "data", "-n", "shop", "-o", "yaml")


def test_a_server_side_apply_conflict_is_shown(kubectl: Kubectl) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared, namespace: shop}\ndata: {a: %s}"
    kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", given=manifest % "first")
    shown = kubectl(
        "apply", "--server-side", "--field-manager=two", "-f", "-", given=manifest % "second", fails=True
    )
    assert 'conflict with "one" using v1: .data.a' in shown
    kubectl(
        "apply",
        "--server-side",
        "--field-manager=two",
        "--force-conflicts",
        "-f",
        "-",
        given=manifest % "second",
    )
    assert kubectl("get", "cm", "shared", "-n", "shop", "-o", "jsonpath={.data.a}") == "second"


def test_get_prints_what_the_real_one_prints(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=CLAIM)
    heading, row = kubectl("get", "pvc", "data", "-n", "shop").splitlines()
    assert heading.split("   ")[0] == "NAME"
    assert "STORAGECLASS" in heading
    assert row.split()[:2] == ["data", "Pending"]
    nodes = kubectl("get", "nodes").splitlines()
    assert [line.split()[:2] for line in nodes[1:]] == [["node-1", "Ready"], ["node-2", "Ready"]]


def test_describe_annotate_label_patch_and_explain(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=CLAIM)
    kubectl(
        "annotate", "pvc", "data", "-n", "shop", "--overwrite", "kustomize.toolkit.fluxcd.io/prune=enabled"
    )
    kubectl("label", "pvc", "data", "-n", "shop", "team=storage", "--overwrite")
    kubectl("patch", "pvc", "data", "-n", "shop", "-p", '{"metadata": {"annotations": {"a": "b"}}}')
    shown = kubectl("describe", "pvc", "data", "-n", "shop")
    for text in (
        "kustomize.toolkit.fluxcd.io/prune: enabled",
        "team=storage",
        "a: b",
        "[kubernetes.io/pvc-protection]",
    ):
        assert text in shown
    assert "accessModes" in kubectl("explain", "pvc.spec")


def test_a_server_dry_run_leaves_the_claim(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=CLAIM)
    assert "server dry run" in kubectl("delete", "pvc", "data", "-n", "shop", "--dry-run=server")
    assert kubectl("get", "pvc", "data", "-n", "shop", "-o", "jsonpath={.metadata.deletionTimestamp}") == ""


def test_scale_and_rollout(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "scaled", "--image=alpine", "--replicas=0", "-n", "shop")
    assert "scaled" in kubectl("scale", "deployment/scaled", "--replicas=2", "-n", "shop")
    assert kubectl("get", "deployment", "scaled", "-n", "shop", "-o", "jsonpath={.spec.replicas}") == "2"
    assert "restarted" in kubectl("rollout", "restart", "deployment/scaled", "-n", "shop")


def test_a_misspelt_field_is_refused(kubectl: Kubectl) -> None:
    shown = kubectl("apply", "-f", "-", given=CLAIM.replace("accessModes", "accessMode"), fails=True)
    assert 'unknown field "spec.accessMode"' in shown


def test_auth_can_i(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "pvc").strip() == "yes"
    refused = kubectl("--context", "holdfast-watcher", "delete", "pvc", "data", "-n", "shop", fails=True)
    assert 'User "holdfast-watcher" cannot delete resource "persistentvolumeclaims"' in refused


def running_pod(client: Client, name: str) -> Path:
    """A pod that seems to run, and where its node would write the log (no kubelet is here)."""
    spec = {"containers": [{"name": "main", "image": "alpine"}]}
    pod = client.create(PODS, {"metadata": {"name": name}, "spec": spec}, "shop")
    set_state(client, name, {"running": {}}, "Running")
    return Path(pod["metadata"]["uid"]) / "main.log"


def set_state(client: Client, name: str, state: dict, phase: str) -> None:
    one = {"name": "main", "ready": True, "restartCount": 0, "image": "alpine", "imageID": "", "state": state}
    status = {"phase": phase, "containerStatuses": [one], "conditions": [{"type": "Ready", "status": "True"}]}
    client.patch_status(PODS, name, status, "shop")


def test_logs_follow_until_the_container_ends(api: Api, kubectl: Kubectl) -> None:
    with api.client() as client:
        path = api.data / "logs" / running_pod(client, "talker")
        path.parent.mkdir(parents=True)
        path.write_text("2026-11-01T00:00:00.000000001Z one\n2026-11-01T00:00:01.000000001Z two\n")
        assert kubectl("logs", "talker", "-n", "shop") == "one\ntwo\n"
        assert kubectl("logs", "talker", "-n", "shop", "--tail=1") == "two\n"
        assert kubectl("logs", "talker", "-n", "shop", "--timestamps").startswith(
            "2026-11-01T00:00:00.000000001Z one"
        )
        assert kubectl("logs", "talker", "-n", "shop", "--since-time=2026-11-01T00:00:01Z") == "two\n"
        follower = kubectl.start("logs", "-f", "talker", "-n", "shop")
        with path.open("a") as file:
            file.write("2026-11-01T00:00:02Z three\n")
        set_state(client, "talker", {"terminated": {"exitCode": 0, "reason": "Completed"}}, "Succeeded")
        assert follower.communicate(timeout=20)[0] == "one\ntwo\nthree\n"


def test_wait_ends_with_the_condition(api: Api, kubectl: Kubectl) -> None:
    with api.client() as client:
        spec = {"containers": [{"name": "main", "image": "alpine"}]}
        client.create(PODS, {"metadata": {"name": "slow"}, "spec": spec}, "shop")
        waiting = kubectl.start("wait", "--for=condition=Ready", "pod/slow", "-n", "shop", "--timeout=30s")
        set_state(client, "slow", {"running": {}}, "Running")
        assert "condition met" in waiting.communicate(timeout=30)[0]


def test_get_watch_shows_changes(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "watched", "-n", "shop")
    watching = kubectl.start(
        "get", "configmap", "watched", "-n", "shop", "--watch", "-o", "name", "--request-timeout=5s"
    )
    assert watching.stdout is not None
    assert watching.stdout.readline().strip() == "configmap/watched"
    kubectl("label", "configmap", "watched", "-n", "shop", "a=b")
    assert watching.stdout.readline().strip() == "configmap/watched"
    watching.terminate()
    watching.wait(10)


def test_with_controllers_a_job_runs_and_a_protected_claim_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    kubectl = Kubectl(sandbox.kubeconfig, tmp_path)
    shown = kubectl("delete", "pvc", "photos-library", "-n", "media", fails=True)
    assert "denied the request" in shown
    assert "prevent-protected-pvc-deletion" in shown
    assert "Used By:" in kubectl("describe", "pvc", "photos-library", "-n", "media")

    where = ("-n", "kubectl-jobs")
    kubectl("create", "namespace", "kubectl-jobs")
    kubectl("create", "job", "speak", "--image=alpine", *where, "--", "sh", "-c", "echo one; echo two")
    assert "condition met" in kubectl(
        "wait", "--for=condition=complete", "job/speak", *where, "--timeout=60s"
    )
    assert kubectl("logs", "job/speak", *where) == "one\ntwo\n"
    claim = CLAIM.replace("namespace: shop", "namespace: kubectl-jobs").replace("none", "ceph-block")
    kubectl("apply", "-f", "-", given=claim)
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", *where, "--timeout=60s")
    assert "denied the request" in kubectl("delete", "pvc", "data", *where, fails=True)
    kubectl("annotate", "pvc", "data", *where, "kustomize.toolkit.fluxcd.io/prune-")
    assert "deleted" in kubectl("delete", "pvc", "data", *where, "--timeout=60s")
