"""Computes a pod's status from its containers."""

from __future__ import annotations

import hashlib

from sandbox.controllers.node.runtime import ContainerRun, PodRun
from sandbox.controllers.objects import Object, copied, set_condition, spec_of, status_of, timestamp, uid_of


def addresses(pod: Object) -> Object:
    digest = hashlib.sha256(uid_of(pod).encode()).digest()
    node = hashlib.sha256(str(spec_of(pod).get("nodeName")).encode()).digest()
    pod_ip, host_ip = f"10.42.{digest[0]}.{digest[1] or 1}", f"192.0.2.{node[0] or 1}"
    return {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}], "hostIP": host_ip, "hostIPs": [{"ip": host_ip}]}


def container_status(run: ContainerRun, ready: bool) -> Object:
    image = run.container.get("image", "")
    if run.problem and not run.running:
        state: Object = {"waiting": {"reason": run.problem[0], "message": run.problem[1]}}
    elif run.running:
        state = {"running": {"startedAt": run.started_at}}
    elif run.started:
        state = {"terminated": run.terminated()}
    else:
        state = {"waiting": {"reason": "ContainerCreating"}}
    status: Object = {
        "name": run.name,
        "image": image,
        "imageID": f"sandbox://{image}" if run.started else "",
        "ready": ready,
        "started": run.running,
        "restartCount": run.restarts,
        "state": state,
        "lastState": {"terminated": run.last} if run.last else {},
    }
    if run.started:
        status["containerID"] = run.identity
    return status


def phase_from(pod: Object, run: PodRun) -> str:
    """The phase as the kubelet derives it from containers and restart policy."""
    policy = spec_of(pod).get("restartPolicy", "Always")
    if any(item.exit_code not in (None, 0) for item in run.init) and policy == "Never":
        return "Failed"
    if not all(item.started for item in run.main):
        return "Running" if any(item.running for item in run.main) else "Pending"
    if any(item.exit_code is None for item in run.main) or policy == "Always":
        return "Running"
    failed = any(item.exit_code for item in run.main)
    if policy == "OnFailure" and failed:
        return "Running"
    return "Failed" if failed else "Succeeded"


def status_with(pod: Object, run: PodRun, phase: str, *, ready: bool = True, **extra: str) -> Object:
    """The pod with a status that says what runs; `ready` False when something else holds readiness back."""
    fresh = copied(pod)
    status = fresh.setdefault("status", {})
    status["phase"] = phase
    status.update(extra)
    if "startTime" not in status:
        status["startTime"] = timestamp()
    if any(item.started for item in run.all):
        status.update(addresses(pod))
    running = phase == "Running" and bool(run.main) and all(item.running for item in run.main)
    initialized = all(item.exit_code == 0 for item in run.init)
    status["initContainerStatuses"] = [container_status(item, item.exit_code == 0) for item in run.init]
    if not status["initContainerStatuses"]:
        del status["initContainerStatuses"]
    status["containerStatuses"] = [
        container_status(item, running and ready and item.running) for item in run.main
    ]
    _set_conditions(status, phase, initialized, running and ready)
    return fresh


def _set_conditions(status: Object, phase: str, initialized: bool, ready: bool) -> None:
    conditions = status.setdefault("conditions", [])
    done = "PodCompleted" if phase in ("Succeeded", "Failed") else ""
    reason = "" if ready else done or "ContainersNotReady"
    set_condition(conditions, "PodScheduled", "True")
    initial = "True" if initialized else "False"
    set_condition(conditions, "Initialized", initial, "" if initialized else "ContainersNotInitialized")
    set_condition(conditions, "ContainersReady", "True" if ready else "False", reason)
    set_condition(conditions, "Ready", "True" if ready else "False", reason)


def started_before(pod: Object) -> bool:
    """The API says that a container of this pod had started."""
    statuses = status_of(pod).get("containerStatuses") or []
    inits = status_of(pod).get("initContainerStatuses") or []
    return any(entry.get("containerID") for entry in [*statuses, *inits])
