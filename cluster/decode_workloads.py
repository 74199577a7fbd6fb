"""From the wire to values: pods and what makes them."""

from __future__ import annotations

from typing import Literal

import msgspec

from cluster import wire_workloads as wire
from cluster.decode import conditions, meta, present, raw_json
from cluster.kinds import Resource
from cluster.values import Autoscaler, ContainerState, DisruptionBudget, JobStatus, Pod, Workload

OPERATORS = {"In": "in", "NotIn": "notin"}


def _named_claims(spec: wire.PodSpecW) -> tuple[str, ...]:
    return tuple(
        v.persistent_volume_claim.claim_name for v in spec.volumes or () if v.persistent_volume_claim
    )


def _container(status: wire.ContainerStatusW) -> ContainerState:
    state = status.state
    if state.terminated:
        end = state.terminated
        return ContainerState(
            name=status.name,
            state="terminated",
            reason=end.reason or "",
            message=end.message or "",
            exit_code=end.exit_code,
            signal=end.signal or None,
            restarts=status.restart_count or 0,
            started_at=end.started_at,
            finished_at=end.finished_at,
        )
    if state.running:
        return ContainerState(
            name=status.name,
            state="running",
            restarts=status.restart_count or 0,
            started_at=state.running.started_at,
        )
    waiting = state.waiting or wire.WaitingW()
    return ContainerState(
        name=status.name,
        state="waiting" if state.waiting else "unknown",
        reason=waiting.reason or "",
        message=waiting.message or "",
        restarts=status.restart_count or 0,
    )


def pod(item: wire.PodW, resource: Resource) -> Pod:
    spec, status = item.spec, item.status
    ephemeral = tuple(f"{item.metadata.name}-{v.name}" for v in spec.volumes or () if present(v.ephemeral))
    read_only = tuple(
        v.persistent_volume_claim.claim_name
        for v in spec.volumes or ()
        if v.persistent_volume_claim and v.persistent_volume_claim.read_only
    )
    statuses = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    return Pod(
        **meta(item, resource),
        phase=status.phase or "Pending",
        reason=status.reason or "",
        message=status.message or "",
        node=spec.node_name or "",
        claims=_named_claims(spec) + ephemeral,
        ephemeral_claims=ephemeral,
        read_only_claims=read_only,
        containers=tuple(_container(s) for s in statuses),
        conditions=conditions(status.conditions),
        node_selector_json=raw_json(spec.node_selector),
        affinity_json=raw_json(spec.affinity),
        tolerations_json=raw_json(spec.tolerations),
    )


def selector_text(selector: wire.SelectorW | None) -> str:
    """As a labelSelector query takes it; empty for none."""
    if selector is None:
        return ""
    parts = [f"{key}={value}" for key, value in (selector.match_labels or {}).items()]
    for need in selector.match_expressions or ():
        if need.operator in OPERATORS:
            parts.append(f"{need.key} {OPERATORS[need.operator]} ({','.join(need.values or ())})")
        else:
            parts.append(need.key if need.operator == "Exists" else f"!{need.key}")
    return ",".join(parts)


def _active(raw: msgspec.Raw) -> int:
    value = msgspec.json.decode(raw) if present(raw) else 0
    return len(value) if isinstance(value, list) else int(value or 0)


def _replicas(kind: str, item: wire.WorkloadW) -> int | None:
    if kind == "DaemonSet":
        return item.status.desired_number_scheduled or 0
    if kind in {"Job", "CronJob"}:
        return None
    return 1 if item.spec.replicas is None else item.spec.replicas


def workload(item: wire.WorkloadW, resource: Resource) -> Workload:
    spec, status = item.spec, item.status
    template = (spec.job_template.spec.template if spec.job_template else spec.template) or wire.TemplateW()
    retention = spec.persistent_volume_claim_retention_policy or wire.RetentionW()
    return Workload(
        **meta(item, resource),
        replicas=_replicas(resource.kind, item),
        ready_replicas=status.ready_replicas or status.number_ready or 0,
        available_replicas=status.available_replicas or status.number_available or 0,
        current_replicas=status.replicas or status.current_number_scheduled or 0,
        observed_generation=status.observed_generation or 0,
        claims=_named_claims(template.spec),
        claim_templates=tuple(t.metadata.name for t in spec.volume_claim_templates or ()),
        ordinals_start=(spec.ordinals.start or 0) if spec.ordinals else 0,
        when_scaled=retention.when_scaled or "Retain",
        when_deleted=retention.when_deleted or "Retain",
        selector=(spec.selector.match_labels or {}) if spec.selector else {},
        selector_text=selector_text(spec.selector),
        suspended=bool(spec.suspend),
        paused=bool(spec.paused),
        active=_active(status.active),
        node_selector_json=raw_json(template.spec.node_selector),
        affinity_json=raw_json(template.spec.affinity),
        tolerations_json=raw_json(template.spec.tolerations),
        service_account=template.spec.service_account_name or "",
        images=tuple(c.image or "" for c in template.spec.containers or ()),
        containers=tuple(c.name for c in template.spec.containers or ()),
    )


def job(item: wire.WorkloadW, resource: Resource) -> JobStatus:
    status = item.status
    end = next(
        (c for c in conditions(status.conditions) if c.type in {"Complete", "Failed"} and c.status == "True"),
        None,
    )
    result: Literal["", "Complete", "Failed"] = ""
    if end:
        result = "Complete" if end.type == "Complete" else "Failed"
    return JobStatus(
        **meta(item, resource),
        active=_active(status.active),
        succeeded=status.succeeded or 0,
        failed=status.failed or 0,
        result=result,
        reason=end.reason if end else "",
        message=end.message if end else "",
        suspended=bool(item.spec.suspend),
        started_at=status.start_time,
        finished_at=status.completion_time or (end.changed_at if end else None),
    )


def autoscaler(item: wire.AutoscalerW, resource: Resource) -> Autoscaler:
    spec = item.spec
    keda = resource.kind == "ScaledObject"
    annotations = item.metadata.annotations or {}
    # Paused at another number than 0 it would bring those replicas back.
    at = annotations.get("autoscaling.keda.sh/paused-replicas")
    paused = at == "0" or (at is None and annotations.get("autoscaling.keda.sh/paused") == "true")
    return Autoscaler(
        **meta(item, resource),
        target_kind=spec.scale_target_ref.kind or "Deployment",
        target_name=spec.scale_target_ref.name or "",
        min_replicas=spec.min_replica_count if keda else spec.min_replicas,
        max_replicas=spec.max_replica_count if keda else spec.max_replicas,
        paused=keda and paused,
    )


def budget(item: wire.BudgetW, resource: Resource) -> DisruptionBudget:
    selector = item.spec.selector
    return DisruptionBudget(
        **meta(item, resource),
        selector=(selector.match_labels or {}) if selector else {},
        selector_text=selector_text(selector),
        disruptions_allowed=item.status.disruptions_allowed or 0,
    )
