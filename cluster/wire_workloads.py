"""Pods and what makes them, on the wire."""

from __future__ import annotations

from datetime import datetime

from msgspec import Raw, Struct, field

from cluster.wire import NOTHING, ClaimW, ConditionW, LocalRefW, ObjectW


class ClaimSourceW(Struct, rename="camel"):
    claim_name: str = ""
    read_only: bool | None = None


class PodVolumeW(Struct, rename="camel"):
    name: str = ""
    persistent_volume_claim: ClaimSourceW | None = None
    ephemeral: Raw = NOTHING


class ContainerW(Struct):
    name: str = ""
    image: str | None = None


class PodSpecW(Struct, rename="camel"):
    volumes: list[PodVolumeW] | None = None
    containers: list[ContainerW] | None = None
    node_name: str | None = None
    node_selector: Raw = NOTHING
    affinity: Raw = NOTHING
    tolerations: Raw = NOTHING
    service_account_name: str | None = None


class WaitingW(Struct):
    reason: str | None = None
    message: str | None = None


class RunningW(Struct, rename="camel"):
    started_at: datetime | None = None


class TerminatedW(Struct, rename="camel"):
    exit_code: int = 0
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class StateW(Struct):
    waiting: WaitingW | None = None
    running: RunningW | None = None
    terminated: TerminatedW | None = None


class ContainerStatusW(Struct, rename="camel"):
    name: str = ""
    state: StateW = field(default_factory=StateW)
    restart_count: int | None = None


class PodStatusW(Struct, rename="camel"):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    conditions: list[ConditionW] | None = None
    container_statuses: list[ContainerStatusW] | None = None
    init_container_statuses: list[ContainerStatusW] | None = None


class PodW(ObjectW, kw_only=True):
    spec: PodSpecW = field(default_factory=PodSpecW)
    status: PodStatusW = field(default_factory=PodStatusW)


class TemplateW(Struct):
    spec: PodSpecW = field(default_factory=PodSpecW)


class SelectorRequirementW(Struct):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class SelectorW(Struct, rename="camel"):
    match_labels: dict[str, str] | None = None
    match_expressions: list[SelectorRequirementW] | None = None


class RetentionW(Struct, rename="camel"):
    when_scaled: str | None = None
    when_deleted: str | None = None


class OrdinalsW(Struct):
    start: int | None = None


class JobSpecW(Struct):
    template: TemplateW = field(default_factory=TemplateW)


class JobTemplateW(Struct):
    spec: JobSpecW = field(default_factory=JobSpecW)


class WorkloadSpecW(Struct, rename="camel"):
    replicas: int | None = None
    template: TemplateW | None = None
    job_template: JobTemplateW | None = None
    selector: SelectorW | None = None
    volume_claim_templates: list[ClaimW] | None = None
    persistent_volume_claim_retention_policy: RetentionW | None = None
    ordinals: OrdinalsW | None = None
    suspend: bool | None = None
    paused: bool | None = None


class WorkloadStatusW(Struct, rename="camel"):
    replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    desired_number_scheduled: int | None = None
    current_number_scheduled: int | None = None
    number_ready: int | None = None
    number_available: int | None = None
    observed_generation: int | None = None
    active: Raw = NOTHING  # a number in a Job, a list in a CronJob
    succeeded: int | None = None
    failed: int | None = None
    conditions: list[ConditionW] | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None


class WorkloadW(ObjectW, kw_only=True):
    spec: WorkloadSpecW = field(default_factory=WorkloadSpecW)
    status: WorkloadStatusW = field(default_factory=WorkloadStatusW)


class ScaleTargetW(Struct, rename="camel"):
    scale_target_ref: LocalRefW = field(default_factory=LocalRefW)
    min_replicas: int | None = None
    max_replicas: int | None = None
    min_replica_count: int | None = None
    max_replica_count: int | None = None


class AutoscalerW(ObjectW, kw_only=True):
    spec: ScaleTargetW = field(default_factory=ScaleTargetW)


class BudgetSpecW(Struct):
    selector: SelectorW | None = None


class BudgetStatusW(Struct, rename="camel"):
    disruptions_allowed: int | None = None


class BudgetW(ObjectW, kw_only=True):
    spec: BudgetSpecW = field(default_factory=BudgetSpecW)
    status: BudgetStatusW = field(default_factory=BudgetStatusW)
