"""The columns that `kubectl get` shows for each kind, as the real server prints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
Cells = Callable[[Json], list[Any]]

_NONE = "<none>"
_UNSET = "<unset>"


@dataclass(frozen=True)
class Columns:
    """Names (a leading ~ means: only with -o wide) and the function that fills them, without the name."""

    names: tuple[str, ...]
    cells: Cells


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


def _created(item: Json) -> str:
    return age(item["metadata"].get("creationTimestamp"))


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: Any) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in modes or ())


def _claim(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    bound = bool(spec.get("volumeName"))
    phase = "Terminating" if item["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        phase,
        spec.get("volumeName", ""),
        dig(status, "capacity.storage", "") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", _UNSET),
        _created(item),
        spec.get("volumeMode", _UNSET),
    ]


def _volume(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    reference = spec.get("claimRef")
    return [
        dig(spec, "capacity.storage", ""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if item["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", _UNSET),
        status.get("reason", ""),
        _created(item),
        spec.get("volumeMode", _UNSET),
    ]


def _pod(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    states = status.get("containerStatuses") or []
    ready = sum(1 for one in states if one.get("ready"))
    restarts = sum(one.get("restartCount", 0) for one in states)
    return [
        f"{ready}/{len(spec.get('containers') or ())}",
        pod_reason(item),
        str(restarts),
        _created(item),
        status.get("podIP", _NONE),
        spec.get("nodeName", _NONE),
        status.get("nominatedNodeName") or _NONE,
        _NONE,
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


def _containers(item: Json, template: str = "spec.template.spec") -> list[str]:
    containers = dig(item, f"{template}.containers", [])
    return [
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
    ]


def _selector(selector: Any) -> str:
    labels = (selector or {}).get("matchLabels", {}) if isinstance(selector, dict) else {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or _NONE


def _deployment(item: Json) -> list[Any]:
    status = item.get("status") or {}
    wanted = dig(item, "spec.replicas", 0)
    ready = f"{status.get('readyReplicas', 0)}/{wanted}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [ready, *counts, _created(item), *_containers(item), _selector(dig(item, "spec.selector"))]


def _stateful_set(item: Json) -> list[Any]:
    ready = f"{dig(item, 'status.readyReplicas', 0)}/{dig(item, 'spec.replicas', 0)}"
    return [ready, _created(item), *_containers(item)]


def _replica_set(item: Json) -> list[Any]:
    counts = [
        dig(item, "spec.replicas", 0),
        dig(item, "status.replicas", 0),
        dig(item, "status.readyReplicas", 0),
    ]
    return [*counts, _created(item), *_containers(item), _selector(dig(item, "spec.selector"))]


def _daemon_set(item: Json) -> list[Any]:
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
        nodes or _NONE,
        _created(item),
        *_containers(item),
        _selector(dig(item, "spec.selector")),
    ]


def _job(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    wanted = spec.get("completions")
    done = status.get("succeeded", 0)
    completions = f"{done}/{wanted}" if wanted is not None else f"{done}/1 of {spec.get('parallelism', 1)}"
    return [
        _job_status(item),
        completions,
        _job_duration(status),
        _created(item),
        *_containers(item),
        _selector(spec.get("selector")),
    ]


def _job_status(item: Json) -> str:
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


def _job_duration(status: Json) -> str:
    start = status.get("startTime")
    if not start:
        return ""
    end = status.get("completionTime")
    if not end:
        return age(start)
    first, last = (datetime.fromisoformat(one.replace("Z", "+00:00")) for one in (start, end))
    return duration((last - first).total_seconds())


def _cron_job(item: Json) -> list[Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    last = status.get("lastScheduleTime")
    return [
        spec.get("schedule", ""),
        spec.get("timeZone", _NONE),
        str(bool(spec.get("suspend"))),
        len(status.get("active") or ()),
        age(last) if last else _NONE,
        _created(item),
        *_containers(item, "spec.jobTemplate.spec.template.spec"),
        _NONE,
    ]


def _namespace(item: Json) -> list[Any]:
    return [dig(item, "status.phase", ""), _created(item)]


def _node(item: Json) -> list[Any]:
    ready = next((one for one in dig(item, "status.conditions", []) if one["type"] == "Ready"), {})
    status = "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(item, "spec.unschedulable"):
        status += ",SchedulingDisabled"
    addresses = {one["type"]: one["address"] for one in dig(item, "status.addresses", [])}
    info = dig(item, "status.nodeInfo", {})
    return [
        status,
        _NONE,
        _created(item),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", _NONE),
        addresses.get("ExternalIP", _NONE),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    ]


def _event(item: Json) -> list[Any]:
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


def _storage_class(item: Json) -> list[Any]:
    return [
        item.get("provisioner", ""),
        item.get("reclaimPolicy", "Delete"),
        item.get("volumeBindingMode", "Immediate"),
        bool(item.get("allowVolumeExpansion")),
        _created(item),
    ]


def _attachment(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    return [
        spec.get("attacher", ""),
        dig(spec, "source.persistentVolumeName", ""),
        spec.get("nodeName", ""),
        bool(dig(item, "status.attached")),
        _created(item),
    ]


def _quota(item: Json) -> list[Any]:
    hard, used = dig(item, "status.hard") or dig(item, "spec.hard", {}), dig(item, "status.used", {})
    pairs = {name: f"{name}: {used.get(name, '0')}/{value}" for name, value in sorted(hard.items())}
    limits = ", ".join(text for name, text in pairs.items() if name.startswith("limits"))
    return [
        ", ".join(text for name, text in pairs.items() if not name.startswith("limits")),
        limits,
        _created(item),
    ]


def _service(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    ports = ",".join(f"{one.get('port')}/{one.get('protocol', 'TCP')}" for one in spec.get("ports") or ())
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    address = spec.get("clusterIP", _NONE) or _NONE
    return [spec.get("type", "ClusterIP"), address, _NONE, ports or _NONE, _created(item), selector or _NONE]


def _autoscaler(item: Json) -> list[Any]:
    reference = dig(item, "spec.scaleTargetRef", {})
    return [
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        "<unknown>",
        str(dig(item, "spec.minReplicas", _UNSET)),
        dig(item, "spec.maxReplicas", 0),
        dig(item, "status.currentReplicas", 0),
        _created(item),
    ]


def _disruption_budget(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    return [
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        dig(item, "status.disruptionsAllowed", 0),
        _created(item),
    ]


def _policy(item: Json) -> list[Any]:
    spec = item.get("spec") or {}
    return [len(spec.get("validations") or ()), dig(spec, "paramKind.kind", _UNSET), _created(item)]


_TEMPLATE = ("~Containers", "~Images")
COLUMNS: dict[tuple[str, str], Columns] = {
    ("", "persistentvolumeclaims"): Columns(
        (
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "~VolumeMode",
        ),
        _claim,
    ),
    ("", "persistentvolumes"): Columns(
        (
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "~VolumeMode",
        ),
        _volume,
    ),
    ("", "pods"): Columns(
        ("Ready", "Status", "Restarts", "Age", "~IP", "~Node", "~Nominated Node", "~Readiness Gates"), _pod
    ),
    ("", "namespaces"): Columns(("Status", "Age"), _namespace),
    ("", "nodes"): Columns(
        (
            "Status",
            "Roles",
            "Age",
            "Version",
            "~Internal-IP",
            "~External-IP",
            "~OS-Image",
            "~Kernel-Version",
            "~Container-Runtime",
        ),
        _node,
    ),
    ("", "events"): Columns(
        (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "~Subobject",
            "~Source",
            "Message",
            "~First Seen",
            "~Count",
            "~Name",
        ),
        _event,
    ),
    ("", "configmaps"): Columns(
        ("Data", "Age"),
        lambda item: [len(item.get("data") or ()) + len(item.get("binaryData") or ()), _created(item)],
    ),
    ("", "secrets"): Columns(
        ("Type", "Data", "Age"),
        lambda item: [item.get("type", ""), len(item.get("data") or ()), _created(item)],
    ),
    ("", "serviceaccounts"): Columns(
        ("Secrets", "Age"), lambda item: [len(item.get("secrets") or ()), _created(item)]
    ),
    ("", "services"): Columns(("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "~Selector"), _service),
    ("", "resourcequotas"): Columns(("Request", "Limit", "Age"), _quota),
    ("", "limitranges"): Columns(("Created At",), lambda item: [item["metadata"].get("creationTimestamp")]),
    ("apps", "deployments"): Columns(
        ("Ready", "Up-to-date", "Available", "Age", *_TEMPLATE, "~Selector"), _deployment
    ),
    ("apps", "statefulsets"): Columns(("Ready", "Age", *_TEMPLATE), _stateful_set),
    ("apps", "replicasets"): Columns(
        ("Desired", "Current", "Ready", "Age", *_TEMPLATE, "~Selector"), _replica_set
    ),
    ("apps", "daemonsets"): Columns(
        (
            "Desired",
            "Current",
            "Ready",
            "Up-to-date",
            "Available",
            "Node Selector",
            "Age",
            *_TEMPLATE,
            "~Selector",
        ),
        _daemon_set,
    ),
    ("batch", "jobs"): Columns(("Status", "Completions", "Duration", "Age", *_TEMPLATE, "~Selector"), _job),
    ("batch", "cronjobs"): Columns(
        ("Schedule", "Timezone", "Suspend", "Active", "Last Schedule", "Age", *_TEMPLATE, "~Selector"),
        _cron_job,
    ),
    ("autoscaling", "horizontalpodautoscalers"): Columns(
        ("Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"), _autoscaler
    ),
    ("policy", "poddisruptionbudgets"): Columns(
        ("Min Available", "Max Unavailable", "Allowed Disruptions", "Age"), _disruption_budget
    ),
    ("storage.k8s.io", "storageclasses"): Columns(
        ("Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"), _storage_class
    ),
    ("storage.k8s.io", "volumeattachments"): Columns(
        ("Attacher", "PV", "Node", "Attached", "Age"), _attachment
    ),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): Columns(
        ("Webhooks", "Age"), lambda item: [len(item.get("webhooks") or ()), _created(item)]
    ),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): Columns(
        ("Webhooks", "Age"), lambda item: [len(item.get("webhooks") or ()), _created(item)]
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): Columns(
        ("Validations", "ParamKind", "Age"), _policy
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): Columns(
        ("PolicyName", "ParamRef", "Age"),
        lambda item: [dig(item, "spec.policyName", ""), _UNSET, _created(item)],
    ),
    ("coordination.k8s.io", "leases"): Columns(
        ("Holder", "Age"), lambda item: [dig(item, "spec.holderIdentity", ""), _created(item)]
    ),
    ("rbac.authorization.k8s.io", "rolebindings"): Columns(
        ("Role", "Age"),
        lambda item: [f"{dig(item, 'roleRef.kind')}/{dig(item, 'roleRef.name')}", _created(item)],
    ),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): Columns(
        ("Role", "Age"),
        lambda item: [f"{dig(item, 'roleRef.kind')}/{dig(item, 'roleRef.name')}", _created(item)],
    ),
}
DEFAULT = Columns(("Age",), lambda item: [_created(item)])
CREATED_AT = Columns(("Created At",), lambda item: [item["metadata"].get("creationTimestamp")])
EVENTS = ("", "events")
