"""Jobs: pods counted exactly once, retries, deadlines, failure policies, conditions in their order."""

from __future__ import annotations

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    age_s,
    copied,
    finalizers_of,
    has_condition,
    is_deleting,
    is_finished,
    is_ready,
    name_of,
    namespace_of,
    now,
    parsed_time,
    phase_of,
    spec_of,
    status_of,
    timestamp,
    uid_of,
    without_finalizer,
)
from sandbox.controllers.workloads.jobpolicy import matched_action
from sandbox.controllers.workloads.jobstatus import (
    close_counts,
    failed_so_far,
    finished_reason,
    mark,
    pending_reason,
    uncounted_uids,
)
from sandbox.controllers.workloads.replicas import PodControl, owner_keys, pod_from, suffix
from sandbox.kinds import JOBS, PODS

TRACKING = "batch.kubernetes.io/job-tracking"
_BACKOFF_BASE_S = 0.5
_BACKOFF_CAP_S = 10.0


class JobController(Controller):
    """One key a Job."""

    name = "jobs"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.watch(JOBS)
        self.pods = self.watch(PODS, lambda pod: owner_keys(pod, "Job"))
        self.control = PodControl(context, JOBS, "job-controller")

    def reconcile(self, key: tuple[str, str]) -> float | None:
        job = self.jobs.get(key[1], key[0])
        if job is None:
            self._release_orphans(key)
            return None
        if finished_reason(job):
            self._release(job)
            return self._expire(job)
        if is_deleting(job):
            self._release(job)
            return None
        return self._sync(job)

    # -- one pass ---------------------------------------------------------------------------------

    def _sync(self, job: Object) -> float | None:
        job = self._start(job)
        pods = self._pods_of(job)
        job = self._count(job, pods)
        pods = self._pods_of(job)
        job = self._judge(job, pods)
        if pending_reason(job):
            self._end_all(job, pods)
            return self._close(job)
        if spec_of(job).get("suspend"):
            self._end_all(job, [pod for pod in pods if not is_finished(pod)])
            self._report(job)
            return None
        again_s, failure = self._fill(job, pods)
        self._report(job)
        if failure is not None:
            raise failure
        return _earliest(again_s, self._deadline_left_s(job))

    def _pods_of(self, job: Object) -> list[Object]:
        return [pod for pod in self.pods.owned_by(uid_of(job)) if namespace_of(pod) == namespace_of(job)]

    def _start(self, job: Object) -> Object:
        """startTime, and the Suspended condition in both directions (a suspend takes startTime back)."""
        fresh = copied(job)
        status = fresh.setdefault("status", {})
        if spec_of(job).get("suspend"):
            status.pop("startTime", None)
            if mark(status, "Suspended", "True", "JobSuspended", "Job suspended"):
                self.control.say(job, "Suspended", "Job suspended")
        else:
            if has_condition(job, "Suspended") and mark(
                status, "Suspended", "False", "JobResumed", "Job resumed"
            ):
                self.control.say(job, "Resumed", "Job resumed")
            status.setdefault("startTime", timestamp())
        return self._save(job, fresh)

    def _count(self, job: Object, pods: list[Object]) -> Object:
        """Moves ended pods into the counters, through uncountedTerminatedPods, so that a crash counts none twice."""
        fresh = copied(job)
        status = fresh.setdefault("status", {})
        uncounted = status.setdefault("uncountedTerminatedPods", {})
        known = uncounted_uids(job)
        for pod in pods:
            if TRACKING not in finalizers_of(pod) or uid_of(pod) in known:
                continue
            if phase_of(pod) == "Succeeded":
                uncounted.setdefault("succeeded", []).append(uid_of(pod))
            elif phase_of(pod) == "Failed" and matched_action(job, pod) == "Ignore":
                self._untrack(pod)
            elif phase_of(pod) == "Failed" or self._never_ran(pod):
                uncounted.setdefault("failed", []).append(uid_of(pod))
        job = self._save(job, fresh)
        held = set()
        for pod in pods:
            if uid_of(pod) in uncounted_uids(job) and not self._untrack(pod):
                held.add(uid_of(pod))
        fresh = copied(job)
        close_counts(fresh["status"], held)
        return self._save(job, fresh)

    def _never_ran(self, pod: Object) -> bool:
        """Deleted before a node had it."""
        return is_deleting(pod) and not spec_of(pod).get("nodeName")

    def _untrack(self, pod: Object) -> bool:
        """Takes the finalizer off. False when that could not be done now."""
        if TRACKING not in finalizers_of(pod):
            return True
        try:
            self.context.replace(PODS, without_finalizer(pod, TRACKING))
        except ApiError as error:
            if error.not_found:
                return True
            if error.conflict:
                return False
            raise
        return True

    # -- judgement --------------------------------------------------------------------------------

    def _judge(self, job: Object, pods: list[Object]) -> Object:
        """FailureTarget or SuccessCriteriaMet as soon as the outcome is certain."""
        if pending_reason(job):
            return job
        fresh = copied(job)
        status = fresh["status"]
        failure = self._failure_of(job, pods)
        if failure is not None:
            mark(status, "FailureTarget", "True", *failure)
        elif self._is_successful(job):
            mark(
                status,
                "SuccessCriteriaMet",
                "True",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            )
        return self._save(job, fresh)

    def _failure_of(self, job: Object, pods: list[Object]) -> tuple[str, str] | None:
        for pod in pods:
            if phase_of(pod) == "Failed" and matched_action(job, pod) == "FailJob":
                message = f"Pod {namespace_of(pod)}/{name_of(pod)} failed with a fatal exit code matching FailJob rule"
                return "PodFailurePolicy", message
        left_s = self._deadline_left_s(job)
        if left_s is not None and left_s <= 0:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        limit = int(spec_of(job).get("backoffLimit", 6))
        restarts = 0
        if (spec_of(job)["template"]["spec"]).get("restartPolicy") == "OnFailure":
            restarts = sum(_restarts(pod) for pod in pods if phase_of(pod) in ("Pending", "Running"))
            if restarts and restarts >= limit:
                return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if failed_so_far(job) > limit:
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        return None

    def _is_successful(self, job: Object) -> bool:
        succeeded = int(status_of(job).get("succeeded") or 0)
        completions = spec_of(job).get("completions")
        if completions is None:
            return succeeded > 0 and not self._live(job)
        return succeeded >= int(completions)

    def _live(self, job: Object) -> list[Object]:
        return [pod for pod in self._pods_of(job) if not is_finished(pod)]

    def _deadline_left_s(self, job: Object) -> float | None:
        deadline = spec_of(job).get("activeDeadlineSeconds")
        started = status_of(job).get("startTime")
        if deadline is None or not started or spec_of(job).get("suspend"):
            return None
        return float(deadline) - age_s(started)

    # -- acting -----------------------------------------------------------------------------------

    def _end_all(self, job: Object, pods: list[Object]) -> None:
        for pod in pods:
            if not is_finished(pod) and not is_deleting(pod):
                self.control.delete(job, pod)

    def _close(self, job: Object) -> float | None:
        """Complete or Failed, once no pod runs any more and all are counted."""
        live = self._live(job)
        if not live and not uncounted_uids(job):
            fresh = copied(job)
            status = fresh["status"]
            kind, reason, message = pending_reason(job) or ("", "", "")
            if kind == "FailureTarget":
                mark(status, "Failed", "True", reason, message)
                self.control.say(job, reason, message, "Warning")
            else:
                mark(status, "Complete", "True", reason, message)
                status["completionTime"] = timestamp()
                self.control.say(job, "Completed", "Job completed")
            job = self._save(job, fresh)
            self._release(job)
        job = self._report(job)
        return self._expire(job) if finished_reason(job) else (0.5 if live else None)

    def _fill(self, job: Object, pods: list[Object]) -> tuple[float | None, ApiError | None]:
        """Creates the pods that are missing. A refusal comes back as a value: the status is written first."""
        active = [pod for pod in pods if not is_finished(pod) and not is_deleting(pod)]
        ending = [pod for pod in pods if not is_finished(pod) and is_deleting(pod)]
        blocked = len(active) + (len(ending) if self._waits_for_end(job) else 0)
        missing = self._wanted(job) - blocked
        if missing <= 0:
            for pod in active[: -missing or 0]:
                self.control.delete(job, pod)
            return None, None
        if (wait_s := self._backoff_s(job, pods)) > 0:
            return wait_s, None
        for _ in range(missing):
            try:
                self.control.create(job, self._pod(job))
            except ApiError as error:
                return None, error
        return None, None

    def _waits_for_end(self, job: Object) -> bool:
        replacement = spec_of(job).get("podReplacementPolicy")
        return replacement == "Failed" or "podFailurePolicy" in spec_of(job)

    def _wanted(self, job: Object) -> int:
        parallelism = int(spec_of(job).get("parallelism", 1))
        completions = spec_of(job).get("completions")
        if completions is None:
            return 0 if status_of(job).get("succeeded") else parallelism
        return max(0, min(parallelism, int(completions) - int(status_of(job).get("succeeded") or 0)))

    def _backoff_s(self, job: Object, pods: list[Object]) -> float:
        failed = failed_so_far(job)
        ends = [moment for pod in pods if phase_of(pod) == "Failed" and (moment := _ended_at(pod))]
        if not failed or not ends:
            return 0.0
        delay_s: float = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2 ** (failed - 1))
        return delay_s - (now() - parsed_time(max(ends))).total_seconds()

    def _pod(self, job: Object) -> Object:
        body = pod_from(spec_of(job)["template"], job, JOBS, f"{name_of(job)[:57]}-{suffix()}")
        marks = {"controller-uid": uid_of(job), "job-name": name_of(job)}
        for key, value in marks.items():
            body["metadata"]["labels"][f"batch.kubernetes.io/{key}"] = value
            body["metadata"]["labels"][key] = value
        if TRACKING not in body["metadata"]["finalizers"]:
            body["metadata"]["finalizers"].append(TRACKING)
        return body

    # -- the end ----------------------------------------------------------------------------------

    def _release(self, job: Object) -> None:
        for pod in self._pods_of(job):
            self._untrack(pod)

    def _release_orphans(self, key: tuple[str, str]) -> None:
        """Pods of a Job that is gone must not wait for it to count them."""
        for pod in self.pods.list(key[0]):
            if key in owner_keys(pod, "Job") and TRACKING in finalizers_of(pod):
                self._untrack(pod)

    def _expire(self, job: Object) -> float | None:
        seconds = spec_of(job).get("ttlSecondsAfterFinished")
        if seconds is None or is_deleting(job):
            return None
        ended = status_of(job).get("completionTime") or _failed_at(job)
        left_s = float(seconds) - age_s(ended)
        if left_s > 0:
            return left_s
        self.context.delete(JOBS, job, propagation="Foreground")
        return None

    def _report(self, job: Object) -> Object:
        pods = self._pods_of(job)
        live = [pod for pod in pods if not is_finished(pod)]
        active = [pod for pod in live if not is_deleting(pod)]
        fresh = copied(job)
        fresh["status"].update(
            active=len(active),
            ready=sum(is_ready(pod) for pod in active),
            terminating=len(live) - len(active),
        )
        for field in ("active", "failed", "succeeded"):
            if not fresh["status"].get(field):
                fresh["status"].pop(field, None)
        return self._save(job, fresh)

    def _save(self, job: Object, fresh: Object) -> Object:
        if fresh.get("status") == job.get("status"):
            return job
        return self.context.replace_status(JOBS, fresh)


def _restarts(pod: Object) -> int:
    return sum(int(entry.get("restartCount") or 0) for entry in status_of(pod).get("containerStatuses") or [])


def _ended_at(pod: Object) -> str:
    moments = [
        ((entry.get("state") or {}).get("terminated") or {}).get("finishedAt") or ""
        for entry in status_of(pod).get("containerStatuses") or []
    ]
    return max(moments, default="")


def _failed_at(job: Object) -> str:
    for entry in status_of(job).get("conditions") or []:
        if entry["type"] == "Failed":
            return str(entry.get("lastTransitionTime") or timestamp())
    return timestamp()


def _earliest(*waits: float | None) -> float | None:
    return min((max(0.05, wait) for wait in waits if wait is not None), default=None)
