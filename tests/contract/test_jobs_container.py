"""What the process in a Job's container sees and may do."""

import os

import pytest

from sandbox.kinds import CONFIG_MAPS, JOBS, NODES, PODS
from tests.contract.place import PATIENCE_S, Place, condition
from tests.support.waiting import until

pytestmark = pytest.mark.contract


def mounts(*entries: dict) -> dict:
    return {"container": {"volumeMounts": list(entries)}}


def test_a_read_only_mount_cannot_be_written(place: Place) -> None:
    place.bound_claim()
    place.run("echo kept > /data/file", {"/data": "data"})
    script = "cat /source/file; chmod 777 /source/file || echo refused; rm /source/file || echo refused; touch /source/x || echo refused"
    place.job(
        "copy",
        script,
        {"/source": "data"},
        pod=mounts({"name": "v0", "mountPath": "/source", "readOnly": True}),
    )
    place.wait_finished("copy")
    text = place.client.logs(place.pods_of("copy")[0]["metadata"]["name"], place.namespace)
    assert text.startswith("kept\n")
    assert text.count("refused\n") == 3


def test_a_claim_that_the_pod_mounts_read_only_cannot_be_written(place: Place) -> None:
    place.bound_claim()
    volumes = [{"name": "v0", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}]
    place.job("copy", "touch /source/x", {"/source": "data"}, pod={"volumes": volumes})
    assert condition(place.wait_finished("copy"), "Failed")


def test_source_and_destination_are_two_volumes(place: Place) -> None:
    place.bound_claim("old")
    place.bound_claim("new")
    place.run("mkdir -p /a/b; echo bytes > /a/b/.c; ln -s nowhere /a/link", {"/a": "old"})
    place.run("cp -a /source/. /destination/", {"/source": "old", "/destination": "new"})
    text = place.run("cat /data/b/.c; readlink /data/link", {"/data": "new"})
    assert text == "bytes\nnowhere\n"


def test_a_sub_path_shows_a_part_of_the_volume(place: Place) -> None:
    place.bound_claim()
    place.run("mkdir /data/part; echo part > /data/part/file", {"/data": "data"})
    place.job(
        "copy",
        "cat /part/file",
        {"/part": "data"},
        pod=mounts({"name": "v0", "mountPath": "/part", "subPath": "part"}),
    )
    assert condition(place.wait_finished("copy"), "Complete")


def test_configuration_and_environment_reach_the_process(place: Place) -> None:
    place.create(CONFIG_MAPS, "settings", data={"greeting": "hello"})
    container = {
        "env": [{"name": "WHO", "value": "world"}],
        "workingDir": "/settings",
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"}],
    }
    volumes = [{"name": "settings", "configMap": {"name": "settings"}}]
    place.job("copy", 'echo "$(cat greeting) $WHO"', pod={"container": container, "volumes": volumes})
    place.wait_finished("copy")
    pod = place.pods_of("copy")[0]["metadata"]["name"]
    assert place.client.logs(pod, place.namespace) == "hello world\n"


def test_an_empty_directory_is_shared_by_the_containers_of_a_pod_in_order(place: Place) -> None:
    mount = [{"name": "scratch", "mountPath": "/scratch"}]
    first = {
        "name": "first",
        "image": "alpine",
        "command": ["/bin/sh", "-c", "echo before > /scratch/x"],
        "volumeMounts": mount,
    }
    pod = {
        "initContainers": [first],
        "container": {"volumeMounts": mount},
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    place.job("copy", "grep before /scratch/x", pod=pod)
    assert condition(place.wait_finished("copy"), "Complete")


def test_log_lines_carry_their_time_when_asked(place: Place) -> None:
    place.job("copy", "echo one; echo two")
    place.wait_finished("copy")
    pod = place.pods_of("copy")[0]["metadata"]["name"]
    lines = place.client.logs(pod, place.namespace, timestamps="true").splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["one", "two"]
    assert all(line.partition(" ")[0].endswith("Z") for line in lines)


def test_a_deleted_pod_is_asked_to_end_first(place: Place) -> None:
    place.bound_claim()
    script = "trap 'echo asked > /data/end; exit 0' TERM; while :; do sleep 0.1; done"
    place.create(
        PODS, "user", spec=place.pod_spec(script, {"/data": "data"}, terminationGracePeriodSeconds=10)
    )
    place.wait_phase(PODS, "user", "Running")
    place.client.delete(PODS, "user", place.namespace)
    place.wait_gone(PODS, "user")
    assert place.run("cat /data/end", {"/data": "data"}) == "asked\n"


def test_a_pod_that_does_not_listen_is_killed_after_its_grace(place: Place) -> None:
    place.bound_claim()
    script = "trap '' TERM; while :; do date +%s%N > /data/alive; sleep 0.05; done"
    place.create(
        PODS, "user", spec=place.pod_spec(script, {"/data": "data"}, terminationGracePeriodSeconds=1)
    )
    place.wait_phase(PODS, "user", "Running")
    place.client.delete(PODS, "user", place.namespace)
    place.wait_gone(PODS, "user")
    text = place.run("cat /data/alive; sleep 0.5; cat /data/alive", {"/data": "data"})
    first, second = text.splitlines()
    assert first == second, "something still writes after the pod is gone"


def test_a_killed_process_is_reported_as_137(place: Place) -> None:
    place.job("copy", "sleep 60 & kill -9 $!; wait $!; exit $?")
    place.wait_finished("copy")
    state = place.pods_of("copy")[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == 137


def test_an_unknown_command_fails_the_pod_with_its_reason(place: Place) -> None:
    place.job("copy", "", pod={"container": {"command": ["/there/is/no/such/program"]}})
    place.wait_finished("copy")
    state = place.pods_of("copy")[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["reason"] == "StartError"
    assert "no such file" in state["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps other owners in the sandbox")
def test_root_in_a_container_keeps_owners_and_modes(place: Place) -> None:
    place.bound_claim()
    place.run("touch /data/x; chown 1234:4321 /data/x; chmod 4751 /data/x", {"/data": "data"})
    assert place.run("stat -c '%u %g %a' /data/x", {"/data": "data"}) == "1234 4321 4751\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to drop in the sandbox")
def test_a_container_without_capabilities_cannot_give_files_away(place: Place) -> None:
    place.bound_claim()
    security = {"securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}}
    place.job(
        "copy",
        "touch /data/x && chown 1234 /data/x",
        {"/data": "data"},
        pod={"container": {**security, "volumeMounts": [{"name": "v0", "mountPath": "/data"}]}},
    )
    assert condition(place.wait_finished("copy"), "Failed")


def test_a_container_cannot_leave_its_root(place: Place) -> None:
    text = place.run(
        "ls /; mount -t tmpfs none /mnt 2>/dev/null || mount -o remount,rw /usr 2>/dev/null || echo held"
    )
    assert "held" in text
    assert "root" not in text.split()


def test_the_mover_image_runs_the_mover(place: Place) -> None:
    place.bound_claim("old")
    place.bound_claim("new")
    place.run("echo bytes > /a/file", {"/a": "old"})
    command = ["python", "-m", "mover", "copy", "--source", "/source", "--destination", "/destination"]
    container = {
        "name": "mover",
        "image": "holdfast-mover:test",
        "command": [*command, "--pass", "final", "--result", "/dev/termination-log"],
        "volumeMounts": [
            {"name": "v0", "mountPath": "/source", "readOnly": True},
            {"name": "v1", "mountPath": "/destination"},
        ],
    }
    claims = {"/source": "old", "/destination": "new"}
    place.job("copy", "", claims, pod={"container": container})
    job = place.wait_finished("copy", timeout_s=60)
    pod = place.pods_of("copy")[0]["metadata"]["name"]
    assert condition(job, "Complete"), place.client.logs(pod, place.namespace)
    place.delete_job("copy")
    assert place.run("cat /data/file", {"/data": "new"}) == "bytes\n"


def test_a_pod_waits_while_its_volume_is_on_another_node(place: Place) -> None:
    nodes = [node["metadata"]["name"] for node in place.client.list(NODES)]
    if len(nodes) < 2:
        pytest.skip("one node alone")
    place.bound_claim()
    for name, node in zip(("first", "second"), nodes, strict=False):
        spec = place.pod_spec("sleep 60", {"/data": "data"}, nodeSelector={"kubernetes.io/hostname": node})
        place.create(PODS, name, spec=spec)
        if name == "first":
            place.wait_phase(PODS, "first", "Running")
    (event, *_) = place.wait_events("second", "FailedAttachVolume")
    assert event["message"].startswith("Multi-Attach error")
    second = place.get(PODS, "second")
    assert second is not None
    assert second["status"]["phase"] == "Pending"
    place.client.delete(PODS, "first", place.namespace, grace_period_s=1)
    place.wait_phase(PODS, "second", "Running")


def test_an_image_that_no_registry_has_keeps_the_job_waiting(place: Place) -> None:
    place.job("copy", "true", pod={"container": {"image": "registry.invalid/nobody/nothing:missing"}})

    def waiting() -> bool:
        for pod in place.pods_of("copy"):
            for status in pod["status"].get("containerStatuses") or []:
                reason = status["state"].get("waiting", {}).get("reason")
                return reason in ("ErrImagePull", "ImagePullBackOff")
        return False

    until(waiting, timeout_s=PATIENCE_S)
    job = place.get(JOBS, "copy")
    assert job is not None
    assert not job["status"].get("conditions")
