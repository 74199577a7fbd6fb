"""Writes what was read from a cluster into rows. Takes values, asks nobody: the watcher reads, tests may make values up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from cluster.consumers import consumers
from cluster.flux import GitSource, HelmRelease, Kustomization
from cluster.values import Autoscaler, Claim, Consumers, DisruptionBudget, Event, Pod, Snapshot, Workload
from dashboard import models
from dashboard.admission import enforcement
from dashboard.ownership import Surroundings, application_of
from dashboard.protection import Assessment, Declared, assess

CHUNK = 500
EVENTS_KEPT = 10  # a claim
LARGEST_BYTES = 2**63 - 1  # what a column holds; Kubernetes itself stops there
Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True)
class Reading:
    """One reading of a cluster. `declared` is what Git says of claims, where it was compared."""

    claims: tuple[Claim, ...]
    around: Surroundings
    pods: tuple[Pod, ...] = ()
    autoscalers: tuple[Autoscaler, ...] = ()
    disruption_budgets: tuple[DisruptionBudget, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    events: tuple[Event, ...] = ()
    git_sources: tuple[GitSource, ...] = ()
    declared: Mapping[Key, Declared] = field(default_factory=dict)
    server_version: str = ""


@dataclass(frozen=True)
class Written:
    """How many claim rows a refresh changed."""

    changed: int
    gone: int


def refresh(row: models.Cluster, reading: Reading, at: datetime | None = None) -> Written:
    """Makes the rows of the cluster equal to a full reading: upserts by UID what changed, marks the rest gone."""
    at = at or timezone.now()
    with transaction.atomic():
        uids = [claim.uid for claim in reading.claims]
        gone = row.claims.filter(gone_at__isnull=True).exclude(uid__in=uids).update(gone_at=at)
        changed = _save_claims(row, reading, reading.claims, at)
        _save_namespaces(row, reading, at)
        _save_gitops(row, reading, at)
        found = enforcement(reading.around.admission)
        row.enforcement, row.enforcement_fact = found.state, found.fact
        row.facts = row.facts | {
            "policies": list(found.policies),
            "unreadable": list(reading.around.admission.unreadable),
        }
        row.server_version = reading.server_version or row.server_version
        row.listed_at = at
        row.save(update_fields=["enforcement", "enforcement_fact", "facts", "server_version", "listed_at"])
    return Written(changed, gone)


def refresh_claims(
    row: models.Cluster,
    reading: Reading,
    claims: Sequence[Claim],
    deleted_uids: Iterable[str],
    at: datetime | None = None,
) -> Written:
    """Writes single changes between two full readings; `reading` gives the surroundings."""
    at = at or timezone.now()
    with transaction.atomic():
        gone = row.claims.filter(gone_at__isnull=True, uid__in=list(deleted_uids)).update(gone_at=at)
        # A claim that was deleted and made again while nobody looked leaves its old row present.
        for claim in claims:
            gone += (
                row.claims.filter(gone_at__isnull=True, namespace=claim.namespace, name=claim.name)
                .exclude(uid=claim.uid)
                .update(gone_at=at)
            )
        changed = _save_claims(row, reading, claims, at)
    return Written(changed, gone)


# Claims --------------------------------------------------------------------------------------------------------------


def _save_claims(row: models.Cluster, reading: Reading, claims: Sequence[Claim], at: datetime) -> int:
    """Upserts the claims whose row differs; the number of those."""
    users = _Users(reading)
    wanted = {claim.uid: _fitting(models.Claim, _fields(claim, reading, users)) for claim in claims}
    known = {
        old["uid"]: old
        for old in row.claims.filter(uid__in=list(wanted)).values("uid", "gone_at", *CLAIM_FIELDS)
    }
    rows = [
        models.Claim(cluster=row, uid=uid, seen_at=at, gone_at=None, **fields)
        for uid, fields in wanted.items()
        if uid not in known or known[uid] != {"uid": uid, "gone_at": None, **fields}
    ]
    models.Claim.objects.bulk_create(
        rows,
        batch_size=CHUNK,
        update_conflicts=True,
        unique_fields=["cluster", "uid"],
        update_fields=[*CLAIM_FIELDS, "seen_at", "gone_at"],
    )
    return len(rows)


def _fitting(model: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, cut to their columns: one odd text that somebody put into the cluster must not stop the inventory."""
    limits = _LIMITS[model]
    return {k: v[: limits[k]] if k in limits and isinstance(v, str) else v for k, v in values.items()}


class _Users:
    """Pods, workloads and snapshots by namespace, so that ten thousand claims are looked up and not searched."""

    def __init__(self, reading: Reading) -> None:
        self.pods = _by_namespace(reading.pods)
        self.workloads = _by_namespace(reading.around.workloads)
        self.autoscalers = _by_namespace(reading.autoscalers)
        self.budgets = _by_namespace(reading.disruption_budgets)
        self.snapshots: dict[Key, list[Snapshot]] = defaultdict(list)
        for snapshot in reading.snapshots:
            self.snapshots[snapshot.namespace, snapshot.claim_name].append(snapshot)
        self.events: dict[str, list[Event]] = defaultdict(list)
        for event in reading.events:
            if event.involved:
                self.events[event.involved.uid].append(event)

    def of(self, claim: Claim) -> Consumers:
        where = claim.namespace
        return consumers(
            claim, self.pods[where], self.workloads[where], self.autoscalers[where], self.budgets[where]
        )


def _by_namespace(items: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        found[item.namespace].append(item)
    return found


def _fields(claim: Claim, reading: Reading, users: _Users) -> dict[str, Any]:
    """All columns but those of the row itself."""
    assessment = assess(claim, reading.around, reading.declared.get((claim.namespace, claim.name)))
    volume = reading.around.volume_by_name.get(claim.volume_name)
    found = users.of(claim)
    snapshots = users.snapshots[claim.namespace, claim.name]
    taken = [s.taken_at or s.created_at for s in snapshots if s.ready]
    shown = _consumers(found)
    return {
        "namespace": claim.namespace,
        "name": claim.name,
        "phase": claim.phase,
        "deleting": claim.deleting,
        "size_bytes": min(claim.capacity_bytes or claim.requested_bytes, LARGEST_BYTES),
        "storage_class": claim.storage_class or "",
        "access_modes": ", ".join(claim.access_modes),
        "volume_name": claim.volume_name,
        "reclaim_policy": volume.reclaim_policy if volume else "",
        "consumers": shown,
        "consumer_count": len(shown),
        "snapshot_at": max((t for t in taken if t), default=None),
        "labels": dict(claim.labels),
        "annotations": _short_annotations(claim),
        "facts": _facts(claim, assessment, found, snapshots)
        | {
            "events": _events(users.events[claim.uid]),
            "application": application_of(claim, reading.around),
        },
        "resource_version": claim.resource_version,
        "created_at": claim.created_at,
        **_columns(assessment),
    }


def _columns(assessment: Assessment) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "owner_kind": assessment.owner.kind.value,
        "owner_namespace": assessment.owner.namespace,
        "owner_name": assessment.owner.name,
        "owner_detail": assessment.owner.detail,
        "weakest": assessment.weakest.value,
        "drift": assessment.drift.value,
        "drift_fact": assessment.drift_fact,
    }
    for layer in assessment.layers:
        columns[layer.path] = layer.state.value
        columns[f"{layer.path}_fact"] = layer.fact
    return columns


def _short_annotations(claim: Claim) -> dict[str, str]:
    """Without what kubectl keeps for itself, which is the whole object again."""
    return {
        k: v for k, v in claim.annotations.items() if k != "kubectl.kubernetes.io/last-applied-configuration"
    }


def _facts(
    claim: Claim, assessment: Assessment, found: Consumers, snapshots: Sequence[Snapshot]
) -> dict[str, Any]:
    return {
        "layers": [
            {
                "path": layer.path,
                "title": layer.title,
                "state": layer.state.value,
                "fact": layer.fact,
                "beyond": layer.beyond,
                "command": layer.command,
            }
            for layer in assessment.layers
        ],
        "owner_chain": [{"kind": ref.kind, "name": ref.name} for ref in found.owner_chain],
        "pods": [{"name": pod.name, "phase": pod.phase, "node": pod.node} for pod in found.pods],
        "autoscalers": [{"kind": a.kind, "name": a.name} for a in found.autoscalers],
        "conditions": [{"type": c.type, "status": c.status, "message": c.message} for c in claim.conditions],
        "snapshots": [{"name": s.name, "ready": s.ready, "error": s.error} for s in snapshots],
        "volume_mode": claim.volume_mode,
        "requested_bytes": claim.requested_bytes,
        "finalizers": list(claim.finalizers),
    }


def _events(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The newest ones first. The cluster forgets them after an hour as a rule; then they are gone here too."""
    return [
        {
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:500],
            "count": event.count,
            "at": event.last_at.isoformat() if event.last_at else "",
        }
        for event in list(events)[: -EVENTS_KEPT - 1 : -1]
    ]


def _consumers(found: Consumers) -> list[dict[str, Any]]:
    """One entry a top controller (a bare pod is its own): how many pods hold the claim through it."""
    workloads: dict[tuple[str, str], Workload] = {(w.kind, w.name): w for w in found.workloads}
    pods = [_top(pod, workloads) for pod in found.pods]
    entries = []
    for ref in found.owner_chain:
        workload = workloads.get((ref.kind, ref.name))
        entries.append(
            {
                "kind": ref.kind,
                "name": ref.name,
                "replicas": workload.replicas if workload else None,
                "ready": workload.ready_replicas if workload else None,
                "pods": pods.count((ref.kind, ref.name)),
            }
        )
    return sorted(entries, key=lambda entry: (str(entry["kind"]), str(entry["name"])))


def _top(pod: Pod, workloads: Mapping[tuple[str, str], Workload]) -> tuple[str, str]:
    """Kind and name of the controller at the top of a pod."""
    key, owner = (pod.kind, pod.name), pod.controller
    while owner is not None:
        key = (owner.kind, owner.name)
        above = workloads.get(key)
        owner = above.controller if above else None
    return key


# Namespaces and GitOps -----------------------------------------------------------------------------------------------


def _save_namespaces(row: models.Cluster, reading: Reading, at: datetime) -> None:
    holders = reading.around.holders
    rows = []
    for namespace in reading.around.namespaces:
        held = holders.get(("Namespace", "", namespace.name), ())
        rows.append(
            models.NamespaceFact(
                cluster=row,
                uid=namespace.uid,
                name=namespace.name,
                phase="Terminating" if namespace.deleting else namespace.phase,
                pod_security=namespace.pod_security,
                owner_name=f"{held[0].namespace}/{held[0].name}" if held else "",
                labels=dict(namespace.labels),
                annotations=dict(namespace.annotations),
                seen_at=at,
                gone_at=None,
            )
        )
    _replace_all(models.NamespaceFact, row, rows, at)


def _save_gitops(row: models.Cluster, reading: Reading, at: datetime) -> None:
    sources = {(s.kind, s.namespace, s.name): s for s in reading.git_sources}
    rows = [_kustomization(k, sources) for k in reading.around.kustomizations]
    rows += [_helm_release(h) for h in reading.around.helm_releases]
    rows += [_source(s) for s in reading.git_sources]
    for fact in rows:
        fact.cluster, fact.seen_at, fact.gone_at = row, at, None
    _replace_all(models.GitOpsFact, row, rows, at)


def _common(item: Kustomization | HelmRelease | GitSource) -> dict[str, Any]:
    ready = item.ready
    return {
        "kind": item.kind,
        "uid": item.uid,
        "namespace": item.namespace,
        "name": item.name,
        "ready": ready.status if ready else "Unknown",
        "reason": ready.reason if ready else "",
        "message": ready.message if ready else "",
        "ready_since": ready.changed_at if ready else None,
        "suspended": item.suspended,
    }


def _kustomization(
    item: Kustomization, sources: Mapping[tuple[str, str, str], GitSource]
) -> models.GitOpsFact:
    source = sources.get((item.source_kind, item.source_namespace, item.source_name))
    return models.GitOpsFact(
        **_common(item),
        prune=item.prune,
        path=item.path,
        source_kind=item.source_kind,
        source_namespace=item.source_namespace,
        source_name=item.source_name,
        applied_revision=item.applied_revision,
        source_revision=source.artifact_revision if source else "",
        url=source.url if source else "",
        branch=source.branch if source else "",
        inventory_size=len(item.inventory),
        facts={
            "force": item.force,
            "wait": item.wait,
            "deletion_policy": item.deletion_policy,
            "remote": item.remote,
        },
    )


def _helm_release(item: HelmRelease) -> models.GitOpsFact:
    return models.GitOpsFact(
        **_common(item), applied_revision=item.revision, inventory_size=len(item.inventory)
    )


def _source(item: GitSource) -> models.GitOpsFact:
    return models.GitOpsFact(
        **_common(item),
        url=item.url,
        branch=item.branch or item.reference,
        source_revision=item.artifact_revision,
        applied_revision=item.artifact_revision,
    )


def _replace_all(model: type[Any], row: models.Cluster, rows: Sequence[Any], at: datetime) -> None:
    """Upserts `rows` by UID and marks every other row of the cluster gone."""
    for fact in rows:
        fact.__dict__.update(_fitting(model, fact.__dict__))
    uids = [fact.uid for fact in rows]
    model.objects.filter(cluster=row, gone_at__isnull=True).exclude(uid__in=uids).update(gone_at=at)
    columns = [f.name for f in model._meta.concrete_fields if f.name not in {"id", "cluster", "uid"}]
    model.objects.bulk_create(
        rows, batch_size=CHUNK, update_conflicts=True, unique_fields=["cluster", "uid"], update_fields=columns
    )


CLAIM_FIELDS = [
    f.name
    for f in models.Claim._meta.concrete_fields
    if f.name not in {"id", "cluster", "uid", "seen_at", "gone_at"}
]
_LIMITS = {
    model: {f.name: f.max_length for f in model._meta.concrete_fields if f.max_length}
    for model in (models.Claim, models.NamespaceFact, models.GitOpsFact)
}
