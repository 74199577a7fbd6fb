"""The status of a Job: its conditions and its counters."""

from __future__ import annotations

from sandbox.controllers.objects import Object, condition_of, set_condition, status_of


def mark(status: Object, kind: str, value: str, reason: str, message: str) -> bool:
    """Sets a condition; True when it changed."""
    return set_condition(status.setdefault("conditions", []), kind, value, reason, message)


def finished_reason(job: Object) -> str:
    """Complete or Failed when the Job is over, else nothing."""
    for kind in ("Complete", "Failed"):
        found = condition_of(job, kind)
        if found and found["status"] == "True":
            return kind
    return ""


def pending_reason(job: Object) -> tuple[str, str, str] | None:
    """The verdict while pods still end: (condition, reason, message)."""
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        found = condition_of(job, kind)
        if found and found["status"] == "True":
            return kind, found.get("reason", ""), found.get("message", "")
    return None


def uncounted_uids(job: Object) -> set[str]:
    uncounted = status_of(job).get("uncountedTerminatedPods") or {}
    return {*(uncounted.get("succeeded") or []), *(uncounted.get("failed") or [])}


def close_counts(status: Object, held: set[str]) -> None:
    """Counts the pods whose finalizer is off; those in `held` wait."""
    uncounted = status.get("uncountedTerminatedPods") or {}
    left: Object = {}
    for field in ("succeeded", "failed"):
        uids = uncounted.get(field) or []
        waiting = [uid for uid in uids if uid in held]
        counted = len(uids) - len(waiting)
        if counted:
            status[field] = int(status.get(field) or 0) + counted
        if waiting:
            left[field] = waiting
    status["uncountedTerminatedPods"] = left


def failed_so_far(job: Object) -> int:
    uncounted = status_of(job).get("uncountedTerminatedPods") or {}
    return int(status_of(job).get("failed") or 0) + len(uncounted.get("failed") or [])
