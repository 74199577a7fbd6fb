"""podFailurePolicy: which rule, if any, a failed pod meets. The first match counts."""

from __future__ import annotations

from sandbox.controllers.objects import Object, spec_of, status_of


def matched_action(job: Object, pod: Object) -> str:
    """Ignore, FailJob, FailIndex, Count, or nothing when no rule matches."""
    for rule in (spec_of(job).get("podFailurePolicy") or {}).get("rules") or []:
        if _matches(rule, pod):
            return str(rule["action"])
    return ""


def _matches(rule: Object, pod: Object) -> bool:
    if codes := rule.get("onExitCodes"):
        return _matches_code(codes, pod)
    conditions = status_of(pod).get("conditions") or []
    for pattern in rule.get("onPodConditions") or []:
        wanted = pattern.get("status") or "True"
        if any(entry["type"] == pattern["type"] and entry["status"] == wanted for entry in conditions):
            return True
    return False


def _matches_code(codes: Object, pod: Object) -> bool:
    statuses = [
        *(status_of(pod).get("containerStatuses") or []),
        *(status_of(pod).get("initContainerStatuses") or []),
    ]
    for entry in statuses:
        ended = (entry.get("state") or {}).get("terminated")
        if not ended or (codes.get("containerName") and codes["containerName"] != entry["name"]):
            continue
        code = int(ended.get("exitCode") or 0)
        if code == 0:
            continue
        listed = code in (codes.get("values") or [])
        if listed == (codes["operator"] == "In"):
            return True
    return False
