"""Whether an object has become what it should be, as kstatus judges it."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.answers import Object
from sandbox.flux.values import dig

CURRENT = "Current"
IN_PROGRESS = "InProgress"
FAILED = "Failed"
TERMINATING = "Terminating"
NOT_FOUND = "NotFound"


def status_of(item: Object | None) -> str:
    """Current, InProgress, Failed, Terminating or NotFound."""
    if item is None:
        return NOT_FOUND
    if item["metadata"].get("deletionTimestamp"):
        return TERMINATING
    observed = dig(item, "status", "observedGeneration")
    if observed is not None and observed != item["metadata"].get("generation", observed):
        return IN_PROGRESS
    judge = _JUDGES.get(item["kind"], _by_conditions)
    return judge(item)


def _claim(item: Object) -> str:
    return CURRENT if dig(item, "status", "phase") == "Bound" else IN_PROGRESS


def _deployment(item: Object) -> str:
    progressing = _condition(item, "Progressing")
    if progressing and progressing.get("reason") == "ProgressDeadlineExceeded":
        return FAILED
    return _replicas(item, ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"))


def _stateful_set(item: Object) -> str:
    return _replicas(item, ("replicas", "readyReplicas"))


def _replicas(item: Object, fields: tuple[str, ...]) -> str:
    wanted = dig(item, "spec", "replicas", default=1)
    counts = [dig(item, "status", field, default=0) for field in fields]
    if dig(item, "status", "observedGeneration") is None:
        return IN_PROGRESS
    return CURRENT if all(count >= wanted for count in counts) and counts[0] <= wanted else IN_PROGRESS


def _job(item: Object) -> str:
    if _is_true(item, "Failed"):
        return FAILED
    return CURRENT if _is_true(item, "Complete") or dig(item, "status", "startTime") else IN_PROGRESS


def _pod(item: Object) -> str:
    phase = dig(item, "status", "phase")
    if phase == "Failed":
        return FAILED
    return CURRENT if phase == "Succeeded" or _is_true(item, "Ready") else IN_PROGRESS


def _by_conditions(item: Object) -> str:
    """Anything else: a Ready condition decides, without one the object is as it should be."""
    if _is_true(item, "Stalled"):
        return FAILED
    if _is_true(item, "Reconciling"):
        return IN_PROGRESS
    ready = _condition(item, "Ready")
    return CURRENT if ready is None or ready.get("status") == "True" else IN_PROGRESS


def _condition(item: Object, kind: str) -> Object | None:
    entries = dig(item, "status", "conditions", default=[])
    return next((entry for entry in entries if entry.get("type") == kind), None)


def _is_true(item: Object, kind: str) -> bool:
    found = _condition(item, kind)
    return found is not None and found.get("status") == "True"


_JUDGES: dict[str, Callable[[Object], str]] = {
    "PersistentVolumeClaim": _claim,
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "Pod": _pod,
}
