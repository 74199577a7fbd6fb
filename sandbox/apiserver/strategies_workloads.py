"""Pods, Jobs and the kinds that make pods: defaults, what is valid, what may change."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.apiserver.errors import (
    Cause,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.selectors import matches_object_selector
from sandbox.apiserver.strategies_storage import canonical_quantities, validate_claim_spec
from sandbox.apiserver.strategy import LABEL_WORDS, Strategy, is_label

Json = dict[str, Any]

_STATEFUL_SET_IMMUTABLE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy',"
    " 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_POD_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


# -- pod templates -----------------------------------------------------------------------------------


def default_pod_spec(spec: Json) -> None:
    """The defaults that decoding a pod fills in."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            if isinstance(container, dict):
                _default_container(container)


def _default_container(container: Json) -> None:
    image = str(container.get("image", ""))
    latest = image.endswith(":latest") or ":" not in image.rpartition("/")[2]
    container.setdefault("imagePullPolicy", "Always" if latest and "@" not in image else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = container.setdefault("resources", {})
    for field in ("limits", "requests"):
        canonical_quantities(resources.get(field))
    for name, value in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(name, value)
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")


def validate_pod_spec(spec: Json, field: str) -> list[Cause]:
    causes = []
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    for index, volume in enumerate(spec.get("volumes") or ()):
        name = volume.get("name")
        if not name:
            causes.append(field_required(f"{field}.volumes[{index}].name"))
        elif not is_label(name):
            causes.append(field_invalid(f"{field}.volumes[{index}].name", name, LABEL_WORDS))
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}
    if not spec.get("containers"):
        causes.append(field_required(f"{field}.containers"))
    seen: set[str] = set()
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            causes += _validate_container(container, f"{field}.{kind}[{index}]", volumes, seen)
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        causes.append(
            field_not_supported(
                f"{field}.restartPolicy", spec.get("restartPolicy"), ["Always", "OnFailure", "Never"]
            )
        )
    return causes


def _validate_container(container: Json, field: str, volumes: set[Any], seen: set[str]) -> list[Cause]:
    causes = []
    name = container.get("name")
    if not name:
        causes.append(field_required(f"{field}.name"))
    elif not is_label(name):
        causes.append(field_invalid(f"{field}.name", name, LABEL_WORDS))
    elif name in seen:
        causes.append(Cause("FieldValueDuplicate", f'Duplicate value: "{name}"', f"{field}.name"))
    seen.add(str(name))
    if not container.get("image"):
        causes.append(field_required(f"{field}.image"))
    mounts: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        path = f"{field}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            causes.append(Cause("FieldValueNotFound", f'Not found: "{mount.get("name")}"', f"{path}.name"))
        if not mount.get("mountPath"):
            causes.append(field_required(f"{path}.mountPath"))
        elif mount["mountPath"] in mounts:
            causes.append(field_invalid(f"{path}.mountPath", mount["mountPath"], "must be unique"))
        mounts.add(mount.get("mountPath", ""))
    return causes


class PodStrategy(Strategy):
    """A pod that runs lingers until the node's agent has ended it; its spec is nearly fixed."""

    returns_deleted = True

    def default(self, item: Json) -> None:
        default_pod_spec(item.setdefault("spec", {}))

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {"phase": "Pending", "qosClass": _quality(item["spec"])}

    def validate(self, item: Json) -> list[Cause]:
        return validate_pod_spec(item.get("spec") or {}, "spec")

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        if _fixed_part(new.get("spec") or {}) == _fixed_part(old.get("spec") or {}):
            return []
        return [field_forbidden("spec", _POD_IMMUTABLE)]

    def deletion_grace_s(self, item: Json, requested: int | None) -> int:
        phase = (item.get("status") or {}).get("phase")
        spec = item.get("spec") or {}
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        return int(spec.get("terminationGracePeriodSeconds", 30)) if requested is None else requested


def _quality(spec: Json) -> str:
    resources = [one.get("resources") or {} for one in spec.get("containers") or ()]
    if not any(one.get("requests") or one.get("limits") for one in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(one.get("limits") or ()) and one.get("limits") == one.get("requests")
        for one in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _fixed_part(spec: Json) -> Json:
    fixed = copy.deepcopy(spec)
    for field in ("activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers"):
        fixed.pop(field, None)
    for kind in ("containers", "initContainers"):
        for container in fixed.get(kind) or ():
            container.pop("image", None)
    return fixed


# -- controllers of pods -----------------------------------------------------------------------------


class WorkloadStrategy(Strategy):
    """What Deployment, ReplicaSet, DaemonSet and StatefulSet share."""

    selector_immutable = True

    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        default_pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
        self.default_spec(spec)

    def default_spec(self, spec: Json) -> None:
        spec.setdefault("replicas", 1)

    def validate(self, item: Json) -> list[Cause]:
        spec = item.get("spec") or {}
        selector, template = spec.get("selector"), spec.get("template") or {}
        causes = []
        labels = (template.get("metadata") or {}).get("labels") or {}
        if not selector:
            causes.append(field_required("spec.selector"))
        elif not matches_object_selector(selector, labels):
            causes.append(
                field_invalid(
                    "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
                )
            )
        replicas = spec.get("replicas", 0)
        if isinstance(replicas, int) and replicas < 0:
            causes.append(field_invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
        causes += validate_pod_spec(template.get("spec") or {}, "spec.template.spec")
        if (template.get("spec") or {}).get("restartPolicy", "Always") != "Always":
            policy = template["spec"]["restartPolicy"]
            causes.append(field_not_supported("spec.template.spec.restartPolicy", policy, ["Always"]))
        return causes

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        after, before = (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector")
        if self.selector_immutable and after != before:
            return [field_invalid("spec.selector", after, "field is immutable")]
        return []


class DeploymentStrategy(WorkloadStrategy):
    def default_spec(self, spec: Json) -> None:
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
        strategy = spec.setdefault("strategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            rolling = strategy.get("rollingUpdate") or {}
            strategy["rollingUpdate"] = {"maxSurge": "25%", "maxUnavailable": "25%", **rolling}

    def validate(self, item: Json) -> list[Cause]:
        causes = super().validate(item)
        strategy = (item.get("spec") or {}).get("strategy") or {}
        if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate"):
            causes.append(
                field_forbidden(
                    "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
                )
            )
        return causes


class DaemonSetStrategy(WorkloadStrategy):
    def default_spec(self, spec: Json) -> None:
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault(
            "updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
        )


class StatefulSetStrategy(WorkloadStrategy):
    def default_spec(self, spec: Json) -> None:
        spec.setdefault("replicas", 1)
        spec.setdefault("podManagementPolicy", "OrderedReady")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        policy = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        policy.setdefault("whenDeleted", "Retain")
        policy.setdefault("whenScaled", "Retain")
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            canonical_quantities((claim["spec"].get("resources") or {}).get("requests"))
            claim.setdefault("status", {"phase": "Pending"})
            claim.setdefault("metadata", {}).setdefault("creationTimestamp", None)

    def validate(self, item: Json) -> list[Cause]:
        spec = item.get("spec") or {}
        # A mount may name a claim template instead of a volume of the pod.
        template = copy.deepcopy(spec.get("template") or {})
        volumes = template.setdefault("spec", {}).setdefault("volumes", [])
        names = [
            (claim.get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or ()
        ]
        volumes += [{"name": name, "persistentVolumeClaim": {}} for name in names if name]
        causes = super().validate({**item, "spec": {**spec, "template": template}})
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            causes += validate_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
        return causes

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        after, before = new.get("spec") or {}, old.get("spec") or {}
        fixed = {*after, *before} - set(_STATEFUL_SET_MUTABLE)
        if any(_without_status(after.get(key)) != _without_status(before.get(key)) for key in fixed):
            return [field_forbidden("spec", _STATEFUL_SET_IMMUTABLE)]
        return []


def _without_status(value: Any) -> Any:
    """Claim templates compare without what the server fills in."""
    if not isinstance(value, list):
        return value
    return [
        {key: entry for key, entry in one.items() if key != "status"} if isinstance(one, dict) else one
        for one in value
    ]


# -- jobs --------------------------------------------------------------------------------------------

_JOB_FIXED = ("completions", "selector", "template", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")  # fmt: skip


def default_job_spec(spec: Json) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault(
        "podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    )
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")
    default_pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def validate_job_spec(spec: Json, field: str) -> list[Cause]:
    causes = [
        field_invalid(f"{field}.{name}", spec[name], "must be greater than or equal to 0")
        for name in (
            "parallelism",
            "completions",
            "backoffLimit",
            "activeDeadlineSeconds",
            "ttlSecondsAfterFinished",
        )
        if isinstance(spec.get(name), int) and spec[name] < 0
    ]
    pod = (spec.get("template") or {}).get("spec") or {}
    causes += validate_pod_spec(pod, f"{field}.template.spec")
    policy = pod.get("restartPolicy")
    if policy == "Always":
        causes.append(
            field_required(f"{field}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
        )
    if spec.get("podFailurePolicy"):
        if policy != "Never":
            why = 'only "Never" is supported when podFailurePolicy is specified'
            causes.append(field_invalid(f"{field}.template.spec.restartPolicy", policy, why))
        if spec.get("podReplacementPolicy") != "Failed":
            causes.append(
                field_not_supported(
                    f"{field}.podReplacementPolicy", spec.get("podReplacementPolicy"), ["Failed"]
                )
            )
    return causes


class JobStrategy(Strategy):
    """Deleting a Job leaves its pods unless the caller says otherwise; its template is fixed."""

    default_propagation = "Orphan"

    def default(self, item: Json) -> None:
        default_job_spec(item.setdefault("spec", {}))

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {}
        spec = item["spec"]
        if spec.get("manualSelector"):
            return
        uid, name = item["metadata"]["uid"], item["metadata"]["name"]
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        metadata = spec["template"].setdefault("metadata", {})
        labels = metadata.setdefault("labels", {}) or {}
        metadata["labels"] = labels
        for prefix in ("batch.kubernetes.io/", ""):
            labels[f"{prefix}controller-uid"] = uid
            labels[f"{prefix}job-name"] = name

    def validate(self, item: Json) -> list[Cause]:
        return validate_job_spec(item.get("spec") or {}, "spec")

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        after, before = new.get("spec") or {}, old.get("spec") or {}
        return [
            field_invalid(f"spec.{name}", after.get(name), "field is immutable")
            for name in _JOB_FIXED
            if after.get(name) != before.get(name)
        ]


class CronJobStrategy(Strategy):
    def default(self, item: Json) -> None:
        spec = item.setdefault("spec", {})
        spec.setdefault("concurrencyPolicy", "Allow")
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        default_pod_spec(job.setdefault("template", {}).setdefault("spec", {}))

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        item["status"] = {}

    def validate(self, item: Json) -> list[Cause]:
        spec = item.get("spec") or {}
        causes = [] if spec.get("schedule") else [field_required("spec.schedule")]
        job = (spec.get("jobTemplate") or {}).get("spec") or {}
        return causes + validate_job_spec(job, "spec.jobTemplate.spec")
