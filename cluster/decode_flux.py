"""From the wire to values: Flux."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct, field

from cluster.decode import conditions, meta
from cluster.flux import GitSource, HelmRelease, InventoryEntry, Kustomization, parse_inventory_id
from cluster.kinds import Resource
from cluster.wire import ConditionW, LocalRefW, ObjectW

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class EntryW(Struct):
    id: str = ""
    v: str | None = None


class InventoryW(Struct):
    entries: list[EntryW] | None = None


class HistoryW(Struct, rename="camel"):
    chart_version: str | None = None
    namespace: str | None = None
    name: str | None = None


class ArtifactW(Struct):
    revision: str | None = None


class StatusW(Struct, rename="camel"):
    conditions: list[ConditionW] | None = None
    observed_generation: int | None = None
    last_applied_revision: str | None = None
    last_attempted_revision: str | None = None
    last_handled_reconcile_at: str | None = field(default=None, name="lastHandledReconcileAt")
    inventory: InventoryW | None = None
    artifact: ArtifactW | None = None
    storage_namespace: str | None = None


class KubeConfigW(Struct):
    pass


class PatchW(Struct):
    target: dict[str, str] | None = None
    patch: str | None = None


class CommonMetadataW(Struct):
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class NamedW(Struct):
    kind: str | None = None
    name: str | None = None


class PostBuildW(Struct, rename="camel"):
    substitute: dict[str, str] | None = None
    substitute_from: list[NamedW] | None = None


class KustomizationSpecW(Struct, rename="camel"):
    source_ref: LocalRefW = field(default_factory=LocalRefW)
    path: str | None = None
    prune: bool | None = None
    force: bool | None = None
    wait: bool | None = None
    suspend: bool | None = None
    interval: str | None = None
    target_namespace: str | None = None
    name_prefix: str | None = None
    name_suffix: str | None = None
    components: list[str] | None = None
    patches: list[PatchW] | None = None
    common_metadata: CommonMetadataW | None = None
    post_build: PostBuildW | None = None
    deletion_policy: str | None = None
    depends_on: list[LocalRefW] | None = None
    kube_config: KubeConfigW | None = None


class KustomizationW(ObjectW, kw_only=True):
    spec: KustomizationSpecW = field(default_factory=KustomizationSpecW)
    status: StatusW = field(default_factory=StatusW)


class HelmReleaseSpecW(Struct, rename="camel"):
    release_name: str | None = None
    target_namespace: str | None = None
    storage_namespace: str | None = None
    suspend: bool | None = None
    kube_config: KubeConfigW | None = None


class HelmReleaseW(ObjectW, kw_only=True):
    spec: HelmReleaseSpecW = field(default_factory=HelmReleaseSpecW)
    status: StatusW = field(default_factory=StatusW)


class ReferenceW(Struct):
    branch: str | None = None
    tag: str | None = None
    semver: str | None = None
    commit: str | None = None
    name: str | None = None


class SourceSpecW(Struct):
    url: str | None = None
    ref: ReferenceW | None = None
    suspend: bool | None = None


class SourceW(ObjectW, kw_only=True):
    spec: SourceSpecW = field(default_factory=SourceSpecW)
    status: StatusW = field(default_factory=StatusW)


def seconds(duration: str | None) -> float:
    """`1h10m` -> 4200; 0 for none."""
    return sum(float(number) * SECONDS[unit] for number, unit in DURATION.findall(duration or ""))


def inventory(status: StatusW) -> tuple[InventoryEntry, ...]:
    entries: Iterable[EntryW] = (status.inventory.entries if status.inventory else None) or ()
    parsed = ((parse_inventory_id(entry.id), entry.v or "") for entry in entries)
    return tuple(InventoryEntry(e.namespace, e.name, e.group, e.kind, version) for e, version in parsed if e)


def kustomization(item: KustomizationW, resource: Resource) -> Kustomization:
    spec, status = item.spec, item.status
    namespace = item.metadata.namespace or ""
    common, after = spec.common_metadata or CommonMetadataW(), spec.post_build or PostBuildW()
    return Kustomization(
        **meta(item, resource),
        source_kind=spec.source_ref.kind or "GitRepository",
        source_namespace=spec.source_ref.namespace or namespace,
        source_name=spec.source_ref.name or "",
        path=spec.path or "",
        prune=bool(spec.prune),
        force=bool(spec.force),
        wait=bool(spec.wait),
        suspended=bool(spec.suspend),
        interval_s=seconds(spec.interval),
        target_namespace=spec.target_namespace or "",
        name_prefix=spec.name_prefix or "",
        name_suffix=spec.name_suffix or "",
        components=tuple(spec.components or ()),
        patches=tuple((tuple((p.target or {}).items()), p.patch or "") for p in spec.patches or ()),
        common_annotations=common.annotations or {},
        common_labels=common.labels or {},
        substitute=after.substitute or {},
        substitute_from=tuple(f"{one.kind} {one.name}" for one in after.substitute_from or ()),
        deletion_policy=spec.deletion_policy or "MirrorPrune",
        depends_on=tuple((d.namespace or namespace, d.name or "") for d in spec.depends_on or ()),
        remote=spec.kube_config is not None,
        inventory=inventory(status),
        conditions=conditions(status.conditions),
        observed_generation=status.observed_generation or 0,
        applied_revision=status.last_applied_revision or "",
        attempted_revision=status.last_attempted_revision or "",
        handled_token=status.last_handled_reconcile_at or "",
    )


def helm_release(item: HelmReleaseW, resource: Resource) -> HelmRelease:
    spec, status = item.spec, item.status
    namespace = item.metadata.namespace or ""
    target = spec.target_namespace or namespace
    default_name = (
        f"{spec.target_namespace}-{item.metadata.name}" if spec.target_namespace else item.metadata.name
    )
    return HelmRelease(
        **meta(item, resource),
        release_name=spec.release_name or default_name,
        target_namespace=target,
        storage_namespace=status.storage_namespace or spec.storage_namespace or namespace,
        suspended=bool(spec.suspend),
        remote=spec.kube_config is not None,
        inventory=inventory(status),
        keeps_inventory=status.inventory is not None,
        conditions=conditions(status.conditions),
        observed_generation=status.observed_generation or 0,
        handled_token=status.last_handled_reconcile_at or "",
        revision=status.last_attempted_revision or "",
    )


def source(item: SourceW, resource: Resource) -> GitSource:
    reference = item.spec.ref or ReferenceW()
    return GitSource(
        **meta(item, resource),
        url=item.spec.url or "",
        branch=reference.branch or ("" if item.spec.ref else "master"),
        reference=reference.commit or reference.name or reference.semver or reference.tag or "",
        suspended=bool(item.spec.suspend),
        artifact_revision=(item.status.artifact.revision or "") if item.status.artifact else "",
        conditions=conditions(item.status.conditions),
        observed_generation=item.status.observed_generation or 0,
        handled_token=item.status.last_handled_reconcile_at or "",
    )
