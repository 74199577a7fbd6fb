"""Frozen values that cross the border of the Kubernetes adapter. No Django, no dictionaries of anything.

Sizes are bytes, times are aware datetimes in UTC. `*_json` fields hold canonical JSON (sorted keys, no spaces) of a part
that we carry along or compare, but do not interpret. GitOps and admission values are in `cluster.policies` and `cluster.flux`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cluster.base import Condition, Manifest, Object, OwnerReference, Ref, canonical

__all__ = ["Condition", "Manifest", "Object", "OwnerReference", "Ref", "canonical"]


@dataclass(frozen=True, kw_only=True)
class Claim(Object):
    """A PersistentVolumeClaim. `capacity_bytes` is 0 until it is bound."""

    phase: str = "Pending"  # Pending, Bound, Lost
    volume_name: str = ""
    storage_class: str | None = None  # None: the default class; "": none
    volume_mode: str = "Filesystem"
    access_modes: tuple[str, ...] = ()
    requested_bytes: int = 0
    capacity_bytes: int = 0
    attributes_class: str = ""
    selector_json: str = ""
    data_source_kind: str = ""
    data_source_name: str = ""
    conditions: tuple[Condition, ...] = ()
    resizing: bool = False


@dataclass(frozen=True)
class ClaimRef:
    """PV.spec.claimRef; an empty `uid` is a reservation."""

    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, kw_only=True)
class Volume(Object):
    """A PersistentVolume."""

    phase: str = "Pending"  # Pending, Available, Bound, Released, Failed
    claim_ref: ClaimRef | None = None
    reclaim_policy: str = "Retain"  # Retain, Delete, Recycle
    storage_class: str = ""
    volume_mode: str = "Filesystem"
    access_modes: tuple[str, ...] = ()
    capacity_bytes: int = 0
    attributes_class: str = ""
    driver: str = ""  # CSI driver, or the in-tree source's key: hostPath, nfs, local
    volume_handle: str = ""
    node_affinity_json: str = ""
    spec_json: str = ""  # for the record that must outlive the object


@dataclass(frozen=True)
class ContainerState:
    """The present state of one container of a pod, init containers included."""

    name: str
    state: Literal["waiting", "running", "terminated", "unknown"]
    reason: str = ""
    message: str = ""  # the termination message when terminated
    exit_code: int | None = None
    signal: int | None = None
    restarts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Pod(Object):
    """A pod. `claims` are the names of claims that it mounts, generic ephemeral ones included."""

    phase: str = "Pending"  # Pending, Running, Succeeded, Failed, Unknown
    reason: str = ""
    message: str = ""
    node: str = ""
    claims: tuple[str, ...] = ()
    ephemeral_claims: tuple[str, ...] = ()
    read_only_claims: tuple[str, ...] = ()
    containers: tuple[ContainerState, ...] = ()
    conditions: tuple[Condition, ...] = ()
    node_selector_json: str = ""
    affinity_json: str = ""
    tolerations_json: str = ""

    @property
    def finished(self) -> bool:
        """Succeeded or Failed: it writes no more, but still holds its claims until it is deleted."""
        return self.phase in {"Succeeded", "Failed"}

    @property
    def ready(self) -> bool:
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


@dataclass(frozen=True, kw_only=True)
class Workload(Object):
    """A Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob or custom controller.

    `replicas` is None where the kind has none. `claims` are named in the pod template; `claim_templates` are the
    names of a StatefulSet's volumeClaimTemplates.
    """

    replicas: int | None = None
    ready_replicas: int = 0
    available_replicas: int = 0
    current_replicas: int = 0
    observed_generation: int = 0
    claims: tuple[str, ...] = ()
    claim_templates: tuple[str, ...] = ()
    ordinals_start: int = 0
    when_scaled: str = "Retain"
    when_deleted: str = "Retain"
    selector: Mapping[str, str] = field(default_factory=dict)
    selector_text: str = ""  # as a labelSelector query takes it
    suspended: bool = False
    paused: bool = False
    active: int = 0  # running Jobs of a CronJob, running pods of a Job
    node_selector_json: str = ""
    affinity_json: str = ""
    tolerations_json: str = ""
    service_account: str = ""
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()

    def template_claims(self) -> tuple[str, ...]:
        """The claim names that a StatefulSet's templates make for its present replicas."""
        ordinals = range(self.ordinals_start, self.ordinals_start + (self.replicas or 0))
        return tuple(f"{t}-{self.name}-{n}" for t in self.claim_templates for n in ordinals)

    def makes_claim(self, claim_name: str) -> bool:
        """True when a template of this StatefulSet would make or adopt `claim_name`, at any ordinal."""
        for template in self.claim_templates:
            prefix = f"{template}-{self.name}-"
            if claim_name.startswith(prefix) and claim_name.removeprefix(prefix).isdecimal():
                return True
        return False


@dataclass(frozen=True, kw_only=True)
class JobStatus(Object):
    """A Job. `result` is empty until condition Complete or Failed is True: not before its pods have ended."""

    active: int = 0
    succeeded: int = 0
    failed: int = 0
    result: Literal["", "Complete", "Failed"] = ""
    reason: str = ""
    message: str = ""
    suspended: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class StorageClass(Object):
    provisioner: str = ""
    reclaim_policy: str = "Delete"
    binding_mode: str = "Immediate"  # Immediate, WaitForFirstConsumer
    allows_expansion: bool = False
    is_default: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VolumeAttachment(Object):
    volume_name: str = ""
    node: str = ""
    attacher: str = ""
    attached: bool = False


@dataclass(frozen=True, kw_only=True)
class Snapshot(Object):
    claim_name: str = ""
    content_name: str = ""
    snapshot_class: str = ""
    ready: bool = False
    restore_bytes: int = 0
    taken_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class SnapshotContent(Object):
    deletion_policy: str = ""
    driver: str = ""
    source_handle: str = ""
    snapshot_handle: str = ""
    snapshot_namespace: str = ""
    snapshot_name: str = ""
    snapshot_uid: str = ""
    source_volume_mode: str = ""
    ready: bool = False
    restore_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class SnapshotClass(Object):
    driver: str = ""
    deletion_policy: str = ""
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class Namespace(Object):
    phase: str = "Active"  # Active, Terminating
    conditions: tuple[Condition, ...] = ()

    @property
    def pod_security(self) -> str:
        """The enforced Pod Security level; "privileged" when none is set."""
        return self.labels.get("pod-security.kubernetes.io/enforce", "privileged")


@dataclass(frozen=True, kw_only=True)
class Quota(Object):
    """A ResourceQuota: amounts as numbers in base units (bytes, cores, objects), by resource name."""

    hard: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limit:
    """One entry of a LimitRange: `type` is Container, Pod or PersistentVolumeClaim."""

    type: str
    min: Mapping[str, float] = field(default_factory=dict)
    max: Mapping[str, float] = field(default_factory=dict)
    default: Mapping[str, float] = field(default_factory=dict)
    default_request: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LimitRange(Object):
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Event(Object):
    type: str = "Normal"  # Normal, Warning
    reason: str = ""
    message: str = ""
    involved: Ref | None = None
    count: int = 1
    first_at: datetime | None = None
    last_at: datetime | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Autoscaler(Object):
    """A HorizontalPodAutoscaler, a KEDA ScaledObject, or a PodDisruptionBudget's target."""

    target_kind: str = ""
    target_name: str = ""
    min_replicas: int | None = None
    max_replicas: int | None = None
    paused: bool = False


@dataclass(frozen=True, kw_only=True)
class DisruptionBudget(Object):
    selector: Mapping[str, str] = field(default_factory=dict)
    selector_text: str = ""
    disruptions_allowed: int = 0


@dataclass(frozen=True)
class Rule:
    """One permission, as SelfSubjectAccessReview asks for it. `namespace` is empty for all or for cluster scope."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {resource}{'.' + self.group if self.group else ''}{where}"


@dataclass(frozen=True)
class Consumers:
    """Everything that uses a claim, or would again (C5 of the domain facts)."""

    claim: Ref
    pods: tuple[Pod, ...] = ()
    workloads: tuple[
        Workload, ...
    ] = ()  # name the claim in a template, or own a pod that does, up to the top
    owner_chain: tuple[Ref, ...] = ()  # top controllers, custom kinds included
    autoscalers: tuple[Autoscaler, ...] = ()
    disruption_budgets: tuple[DisruptionBudget, ...] = ()

    @property
    def holding(self) -> tuple[Pod, ...]:
        """Pods that keep a Terminating claim alive: scheduled ones in any phase."""
        return tuple(pod for pod in self.pods if pod.node)

    @property
    def writing(self) -> tuple[Pod, ...]:
        """Pods that may write now or as soon as they start."""
        return tuple(pod for pod in self.pods if not pod.finished)


@dataclass(frozen=True)
class Change:
    """One event of a watch. `kind` is "synced" once after each full list; `claim` is then None."""

    kind: Literal["added", "modified", "deleted", "synced", "bookmark", "idle"]
    claim: Claim | None = None
    resource_version: str = ""
