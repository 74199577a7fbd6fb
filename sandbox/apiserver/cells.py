"""What the columns of each kind show: one function a kind, and how ages are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

NONE = "<none>"
UNSET = "<unset>"


def age(stamp: Any) -> str:
    """How long ago a time was, as kubectl's tables say it."""
    if not stamp:
        return "<unknown>"
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    return duration((datetime.now(UTC) - moment).total_seconds())


def duration(seconds_given: float) -> str:
    """apimachinery's HumanDuration."""
    seconds = int(seconds_given)
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        rest = seconds % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d" if days < 2920 else f"{days // 365}y"


def dig(item: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path."""
    for part in path.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    return default if item is None else item


def created(item: Json) -> str:
    return age(item["metadata"].get("creationTimestamp"))


MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def modes(modes: Any) -> str:
    return ",".join(MODES.get(mode, mode) for mode in modes or ())


def claim_cells(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    bound = bool(spec.get("volumeName"))
    phase = "Terminating" if item["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        phase,
        spec.get("volumeName", ""),
        dig(status, "capacity.storage", "") if bound else "",
        modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", UNSET),
        created(item),
        spec.get("volumeMode", UNSET),
    ]


def volume_cells(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    reference = spec.get("claimRef")
    return [
        dig(spec, "capacity.storage", ""),
        modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if item["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", UNSET),
        status.get("reason", ""),
        created(item),
        spec.get("volumeMode", UNSET),
    ]


def pod_cells(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    states = status.get("containerStatuses") or []
    ready = sum(1 for one in states if one.get("ready"))
    restarts = sum(one.get("restartCount", 0) for one in states)
    return [
        f"{ready}/{len(spec.get('containers') or ())}",
        pod_reason(item),
        str(restarts),
        created(item),
        status.get("podIP", NONE),
        spec.get("nodeName", NONE),
        status.get("nominatedNodeName") or NONE,
        NONE,
    ]


def pod_reason(item: Json) -> str:
    """The STATUS column of a pod."""
    status = item.get("status") or {}
    reason = status.get("reason") or status.get("phase", "")
    for one in status.get("containerStatuses") or ():
        state = one.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated.get("reason"):
            reason = terminated["reason"]
        elif terminated:
            reason = f"ExitCode:{terminated.get('exitCode', 0)}"
    if item["metadata"].get("deletionTimestamp"):
        reason = "Terminating"
    return str(reason)


def containers(item: Json, template: str = "spec.template.spec") -> list[str]:
    containers = dig(item, f"{template}.containers", [])
    return [
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
    ]


def selector(selector: Any) -> str:
    labels = (selector or {}).get("matchLabels", {}) if isinstance(selector, dict) else {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def deployment_cells(item: Json) -> list[Any]:
    status = item.get("status") or {}
    wanted = dig(item, "spec.replicas", 0)
    ready = f"{status.get('readyReplicas', 0)}/{wanted}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [ready, *counts, created(item), *containers(item), selector(dig(item, "spec.selector"))]


def stateful_set_cells(item: Json) -> list[Any]:
    ready = f"{dig(item, 'status.readyReplicas', 0)}/{dig(item, 'spec.replicas', 0)}"
    return [ready, created(item), *containers(item)]


def replica_set_cells(item: Json) -> list[Any]:
    counts = [
        dig(item, "spec.replicas", 0),
        dig(item, "status.replicas", 0),
        dig(item, "status.readyReplicas", 0),
    ]
    return [*counts, created(item), *containers(item), selector(dig(item, "spec.selector"))]


def daemon_set_cells(item: Json) -> list[Any]:
    status = item.get("status") or {}
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    nodes = ",".join(
        f"{key}={value}" for key, value in (dig(item, "spec.template.spec.nodeSelector", {})).items()
    )
    counts = [status.get(name, 0) for name in names]
    return [
        *counts,
        nodes or NONE,
        created(item),
        *containers(item),
        selector(dig(item, "spec.selector")),
    ]


def job_cells(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    wanted = spec.get("completions")
    done = status.get("succeeded", 0)
    completions = f"{done}/{wanted}" if wanted is not None else f"{done}/1 of {spec.get('parallelism', 1)}"
    return [
        job_status(item),
        completions,
        job_duration(status),
        created(item),
        *containers(item),
        selector(spec.get("selector")),
    ]


def job_status(item: Json) -> str:
    conditions = {one["type"]: one.get("status") for one in dig(item, "status.conditions", [])}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if conditions.get(kind) == "True":
            return word
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind, word in (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):
        if conditions.get(kind) == "True":
            return word
    return "Running"


def job_duration(status: Json) -> str:
    start = status.get("startTime")
    if not start:
        return ""
    end = status.get("completionTime")
    if not end:
        return age(start)
    first, last = (datetime.fromisoformat(one.replace("Z", "+00:00")) for one in (start, end))
    return duration((last - first).total_seconds())


def cron_job_cells(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    last = status.get("lastScheduleTime")
    return [
        spec.get("schedule", ""),
        spec.get("timeZone", NONE),
        str(bool(spec.get("suspend"))),
        len(status.get("active") or ()),
        age(last) if last else NONE,
        created(item),
        *containers(item, "spec.jobTemplate.spec.template.spec"),
        NONE,
    ]


def namespace_cells(item: Json) -> list[Any]:
    return [dig(item, "status.phase", ""), created(item)]


def node_cells(item: Json) -> list[Any]:
    ready: Json = next((one for one in dig(item, "status.conditions", []) if one["type"] == "Ready"), {})
    status = "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(item, "spec.unschedulable"):
        status += ",SchedulingDisabled"
    addresses = {one["type"]: one["address"] for one in dig(item, "status.addresses", [])}
    info = dig(item, "status.nodeInfo", {})
    return [
        status,
        NONE,
        created(item),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    ]


def event_cells(item: Json) -> list[Any]:
    last = item.get("lastTimestamp") or item.get("eventTime") or item.get("firstTimestamp")
    involved = item.get("involvedObject") or {}
    return [
        age(last or item["metadata"].get("creationTimestamp")),
        item.get("type", ""),
        item.get("reason", ""),
        f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        dig(item, "source.component") or item.get("reportingComponent", ""),
        str(item.get("message", "")).strip(),
        age(item.get("firstTimestamp") or item.get("eventTime")),
        item.get("count", 1),
        item["metadata"]["name"],
    ]


def storage_class_cells(item: Json) -> list[Any]:
    return [
        item.get("provisioner", ""),
        item.get("reclaimPolicy", "Delete"),
        item.get("volumeBindingMode", "Immediate"),
        bool(item.get("allowVolumeExpansion")),
        created(item),
    ]


def attachment_cells(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    return [
        spec.get("attacher", ""),
        dig(spec, "source.persistentVolumeName", ""),
        spec.get("nodeName", ""),
        bool(dig(item, "status.attached")),
        created(item),
    ]


def quota_cells(item: Json) -> list[Any]:
    hard, used = dig(item, "status.hard") or dig(item, "spec.hard", {}), dig(item, "status.used", {})
    pairs = {name: f"{name}: {used.get(name, '0')}/{value}" for name, value in sorted(hard.items())}
    limits = ", ".join(text for name, text in pairs.items() if name.startswith("limits"))
    return [
        ", ".join(text for name, text in pairs.items() if not name.startswith("limits")),
        limits,
        created(item),
    ]


def service_cells(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    ports = ",".join(f"{one.get('port')}/{one.get('protocol', 'TCP')}" for one in spec.get("ports") or ())
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    address = spec.get("clusterIP", NONE) or NONE
    return [spec.get("type", "ClusterIP"), address, NONE, ports or NONE, created(item), selector or NONE]


def autoscaler_cells(item: Json) -> list[Any]:
    reference = dig(item, "spec.scaleTargetRef", {})
    return [
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        "<unknown>",
        str(dig(item, "spec.minReplicas", UNSET)),
        dig(item, "spec.maxReplicas", 0),
        dig(item, "status.currentReplicas", 0),
        created(item),
    ]


def disruption_budget_cells(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    return [
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        dig(item, "status.disruptionsAllowed", 0),
        created(item),
    ]


def policy_cells(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    return [len(spec.get("validations") or ()), dig(spec, "paramKind.kind", UNSET), created(item)]
