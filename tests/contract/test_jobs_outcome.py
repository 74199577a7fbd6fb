"""How Jobs end, what they leave, and in which order they say so."""

import pytest

from sandbox.answers import ApiError
from sandbox.kinds import JOBS, PODS, RESOURCE_QUOTAS
from tests.contract.place import PATIENCE_S, Place, condition
from tests.support.waiting import until

pytestmark = pytest.mark.contract

FATAL = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}},
    ]
}


def only_pod(place: Place, job: str) -> dict:
    (pod,) = place.pods_of(job)
    return pod


def ended(pod: dict) -> dict:
    return pod["status"]["containerStatuses"][0]["state"]["terminated"]


def order(job: dict) -> list[str]:
    return [entry["type"] for entry in job["status"]["conditions"] if entry["status"] == "True"]


def test_a_job_completes_after_its_success_criteria_are_met(place: Place) -> None:
    place.job("copy", "echo done")
    job = place.wait_finished("copy")
    assert order(job) == ["SuccessCriteriaMet", "Complete"]
    assert job["status"]["succeeded"] == 1
    assert job["status"]["completionTime"]


def test_a_pod_of_a_job_is_found_by_the_uid_of_its_job(place: Place) -> None:
    job = place.job("copy", "true")
    place.wait_finished("copy")
    selector = f"batch.kubernetes.io/controller-uid={job['metadata']['uid']}"
    (pod,) = place.client.list(PODS, place.namespace, label_selector=selector)
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "copy"


def test_the_exit_code_and_the_termination_message_are_kept(place: Place) -> None:
    place.job("copy", "echo '{\"copied_files\": 3}' > /dev/termination-log; exit 7")
    place.wait_finished("copy")
    state = ended(only_pod(place, "copy"))
    assert state["exitCode"] == 7
    assert state["reason"] == "Error"
    assert state["message"] == '{"copied_files": 3}\n'


def test_the_end_of_the_log_stands_in_for_a_missing_message(place: Place) -> None:
    place.job(
        "copy",
        "echo no space left; exit 3",
        pod={"container": {"terminationMessagePolicy": "FallbackToLogsOnError"}},
    )
    place.wait_finished("copy")
    assert "no space left" in ended(only_pod(place, "copy"))["message"]


def test_a_failed_job_says_so_after_its_failure_target(place: Place) -> None:
    place.job("copy", "exit 1")
    job = place.wait_finished("copy")
    assert order(job) == ["FailureTarget", "Failed"]
    assert (condition(job, "Failed") or {})["reason"] == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 1


def test_a_job_is_retried_as_often_as_its_limit_says(place: Place) -> None:
    place.job("copy", "exit 1", backoffLimit=2)
    job = place.wait_finished("copy", timeout_s=60)
    assert job["status"]["failed"] == 3
    assert len(place.pods_of("copy")) == 3


def test_a_fatal_exit_code_ends_the_retries(place: Place) -> None:
    place.job("copy", "exit 3", backoffLimit=3, podFailurePolicy=FATAL)
    job = place.wait_finished("copy")
    assert (condition(job, "Failed") or {})["reason"] == "PodFailurePolicy"
    assert len(place.pods_of("copy")) == 1


def test_a_disrupted_pod_is_replaced_and_not_counted(place: Place) -> None:
    place.bound_claim()
    script = "if [ -e /data/again ]; then exit 0; fi; touch /data/again; sleep 60"
    place.job("copy", script, {"/data": "data"}, podFailurePolicy=FATAL)
    first = until(
        lambda: [pod for pod in place.pods_of("copy") if pod["status"]["phase"] == "Running"],
        timeout_s=PATIENCE_S,
    )[0]
    name = first["metadata"]["name"]
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    conditions = [*first["status"]["conditions"], disrupted]
    place.client.patch_status(PODS, name, {"conditions": conditions}, place.namespace)
    place.client.delete(PODS, name, place.namespace)
    job = place.wait_finished("copy")
    assert condition(job, "Complete")
    assert "failed" not in job["status"]


def test_two_pods_of_a_job_never_overlap(place: Place) -> None:
    place.job(
        "copy",
        "trap 'sleep 1; exit 1' TERM; while :; do sleep 0.1; done",
        podReplacementPolicy="Failed",
        backoffLimit=3,
        pod={"terminationGracePeriodSeconds": 5},
    )
    first = until(
        lambda: [pod for pod in place.pods_of("copy") if pod["status"]["phase"] == "Running"],
        timeout_s=PATIENCE_S,
    )[0]
    place.client.delete(PODS, first["metadata"]["name"], place.namespace)

    def replaced() -> bool:
        pods = place.pods_of("copy")
        live = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        assert len(live) <= 1 or None is pytest.fail("two movers at once")
        return any(pod["metadata"]["uid"] != first["metadata"]["uid"] for pod in live)

    until(replaced, timeout_s=PATIENCE_S)


def test_a_job_past_its_deadline_fails_and_its_pod_ends(place: Place) -> None:
    place.job("copy", "sleep 60", activeDeadlineSeconds=1, pod={"terminationGracePeriodSeconds": 1})
    job = place.wait_finished("copy")
    assert (condition(job, "Failed") or {})["reason"] == "DeadlineExceeded"
    assert not [pod for pod in place.pods_of("copy") if pod["status"]["phase"] == "Running"]


def test_a_suspended_job_starts_no_pod_until_it_is_resumed(place: Place) -> None:
    place.job("copy", "true", suspend=True)
    place.wait(JOBS, "copy", lambda job: condition(job, "Suspended"))
    assert place.pods_of("copy") == []
    place.client.patch(JOBS, "copy", {"spec": {"suspend": False}}, place.namespace)
    assert condition(place.wait_finished("copy"), "Complete")


def test_a_refused_pod_leaves_the_job_without_a_condition_but_with_an_event(place: Place) -> None:
    place.create(RESOURCE_QUOTAS, "none", spec={"hard": {"pods": "0"}})
    place.wait(RESOURCE_QUOTAS, "none", lambda quota: quota.get("status", {}).get("used"))
    place.job("copy", "true")
    (event, *_) = place.wait_events("copy", "FailedCreate")
    assert "exceeded quota" in event["message"]
    job = place.get(JOBS, "copy")
    assert job is not None
    assert not job["status"].get("conditions")


def test_deleting_a_job_without_a_policy_leaves_its_pods(place: Place) -> None:
    place.job("copy", "true")
    place.wait_finished("copy")
    path = JOBS.path(place.namespace, "copy")
    place.client.request("DELETE", path)
    place.wait_gone(JOBS, "copy")
    pod = until(
        lambda: [pod for pod in place.pods_of("copy") if not pod["metadata"].get("ownerReferences")],
        timeout_s=PATIENCE_S,
    )[0]
    assert pod["status"]["phase"] == "Succeeded"


def test_deleting_a_job_in_the_background_takes_its_pods(place: Place) -> None:
    place.job("copy", "true")
    place.wait_finished("copy")
    place.delete_job("copy")
    assert place.get(JOBS, "copy") is None


def test_a_job_whose_pod_found_no_node_goes_with_it(place: Place) -> None:
    place.job("copy", "true", pod={"nodeSelector": {"holdfast.dev/no-node": "has-this"}})
    until(lambda: place.pods_of("copy"), timeout_s=PATIENCE_S, what="the pod")
    name = only_pod(place, "copy")["metadata"]["name"]
    place.wait(PODS, name, lambda pod: pod["status"].get("conditions"))
    place.client.delete(JOBS, "copy", place.namespace, propagation="Background")
    until(lambda: not place.pods_of("copy"), timeout_s=PATIENCE_S, what="the pod to be gone")


def test_a_job_with_a_time_to_live_goes_by_itself(place: Place) -> None:
    place.job("copy", "true", ttlSecondsAfterFinished=1)
    place.wait_gone(JOBS, "copy")
    until(lambda: not place.pods_of("copy"), timeout_s=PATIENCE_S)


def test_a_second_job_of_the_same_name_is_refused(place: Place) -> None:
    place.job("copy", "true")
    with pytest.raises(ApiError) as refused:
        place.job("copy", "true")
    assert refused.value.already_exists
