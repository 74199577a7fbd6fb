"""Flux: values of its objects and what its controllers make of them. Section A of the domain facts is the source."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from cluster.values import Condition, Object

PRUNE = "kustomize.toolkit.fluxcd.io/prune"
RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
SSA = "kustomize.toolkit.fluxcd.io/ssa"
OWNER_NAME = "kustomize.toolkit.fluxcd.io/name"
OWNER_NAMESPACE = "kustomize.toolkit.fluxcd.io/namespace"
HELM_OWNER_NAME = "helm.toolkit.fluxcd.io/name"
HELM_OWNER_NAMESPACE = "helm.toolkit.fluxcd.io/namespace"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
PROTECTING = ((PRUNE, "disabled"), (RECONCILE, "disabled"), (SSA, "ignore"))


@dataclass(frozen=True)
class InventoryEntry:
    """One object that a Kustomization or HelmRelease holds itself responsible for."""

    namespace: str
    name: str
    group: str
    kind: str
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Kustomization(Object):
    source_kind: str = "GitRepository"
    source_namespace: str = ""
    source_name: str = ""
    path: str = ""
    prune: bool = False
    force: bool = False
    wait: bool = False
    suspended: bool = False
    interval_s: float = 0
    target_namespace: str = ""
    name_prefix: str = ""
    name_suffix: str = ""
    components: tuple[str, ...] = ()
    patches: tuple[tuple[tuple[tuple[str, str], ...], str], ...] = ()  # (target as pairs, patch text)
    common_annotations: Mapping[str, str] = field(default_factory=dict)
    common_labels: Mapping[str, str] = field(default_factory=dict)
    substitute: Mapping[str, str] = field(default_factory=dict)  # spec.postBuild.substitute
    substitute_from: tuple[str, ...] = ()  # ConfigMaps and Secrets whose variables are not read
    deletion_policy: str = "MirrorPrune"
    depends_on: tuple[tuple[str, str], ...] = ()  # (namespace, name)
    remote: bool = False  # spec.kubeConfig: it applies to another cluster
    inventory: tuple[InventoryEntry, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    applied_revision: str = ""
    attempted_revision: str = ""
    handled_token: str = ""  # status.lastHandledReconcileAt

    @property
    def ready(self) -> Condition | None:
        return next((c for c in self.conditions if c.type == "Ready"), None)

    def holds(self, kind: str, namespace: str, name: str, group: str | None = "") -> bool:
        """True when the inventory names that object; of whatever group where that is None."""
        return any(
            (e.kind, e.namespace, e.name) == (kind, namespace, name) and group in {None, e.group}
            for e in self.inventory
        )


@dataclass(frozen=True, kw_only=True)
class HelmRelease(Object):
    release_name: str = ""
    target_namespace: str = ""
    storage_namespace: str = ""
    suspended: bool = False
    remote: bool = False
    inventory: tuple[InventoryEntry, ...] = ()
    keeps_inventory: bool = (
        False  # helm-controller does since 1.5: without it an empty inventory says nothing
    )
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    handled_token: str = ""
    revision: str = ""

    @property
    def ready(self) -> Condition | None:
        return next((c for c in self.conditions if c.type == "Ready"), None)


@dataclass(frozen=True, kw_only=True)
class GitSource(Object):
    """A GitRepository (or OCIRepository, Bucket) of the source controller."""

    url: str = ""
    branch: str = ""
    reference: str = ""  # tag, semver or commit where no branch is followed
    suspended: bool = False
    artifact_revision: str = ""
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    handled_token: str = ""

    @property
    def ready(self) -> Condition | None:
        return next((c for c in self.conditions if c.type == "Ready"), None)


@dataclass(frozen=True)
class Reconciliation:
    """How a requested reconcile stands. `reason` is for people; empty when done."""

    state: Literal["done", "running", "failed"]
    reason: str = ""
    since: datetime | None = None


def parse_inventory_id(text: str) -> InventoryEntry | None:
    """`media_data__PersistentVolumeClaim` -> its parts (A3): first `_` ends the namespace, the last two the name and group.

    None when it has not that shape. `__` inside the name of an RBAC object stands for `:`.
    """
    namespace, found, rest = text.partition("_")
    parts = rest.rsplit("_", 2)
    if not found or len(parts) != 3 or not parts[0] or not parts[2]:
        return None
    name, group, kind = parts
    if group == "rbac.authorization.k8s.io":
        name = name.replace("__", ":")
    return InventoryEntry(namespace=namespace, name=name, group=group, kind=kind)


def flux_protected(labels: Mapping[str, str], annotations: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The (where, key, value) that makes Flux skip the deletion (A1), or None. Keys are exact, values fold case."""
    for where, pairs in (("annotation", annotations), ("label", labels)):
        for key, wanted in PROTECTING:
            value = pairs.get(key, "")
            if value.casefold() == wanted:
                return (where, key, value)
    return None


def new_token() -> str:
    """A unique value for requestedAt: the time in RFC 3339 with nanoseconds, as the flux program writes it."""
    now_ns = time.time_ns()
    at = datetime.fromtimestamp(now_ns // 10**9, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{now_ns % 10**9:09d}Z"


def commit_of(revision: str) -> str:
    """The hash of `main@sha1:<hash>` or `main/<hash>`; the whole text when it has neither."""
    for mark in (":", "/"):
        if mark in revision:
            return revision.rsplit(mark, 1)[1]
    return revision


def reconciled(kustomization: Kustomization, token: str, commit: str = "") -> Reconciliation:
    """Whether the reconcile that was requested with `token` is done, at `commit` when one is given (A4)."""
    ready = kustomization.ready
    if kustomization.suspended:
        return Reconciliation(
            "failed", f"{kustomization.ref} is suspended: it reconciles nothing until it is resumed."
        )
    if kustomization.handled_token != token:
        return Reconciliation("running", "The controller has not taken the request up yet.")
    if ready is None or ready.status not in {"True", "False"}:
        return Reconciliation(
            "running", "The controller is reconciling.", ready.changed_at if ready else None
        )
    if ready.status == "False":
        if ready.reason in {"DependencyNotReady", "ArtifactFailed", "Progressing"}:
            return Reconciliation("running", f"{ready.reason}: {ready.message}", ready.changed_at)
        return Reconciliation("failed", f"{ready.reason}: {ready.message}", ready.changed_at)
    if kustomization.generation != kustomization.observed_generation:
        return Reconciliation(
            "running", "The controller has not seen the last change of the Kustomization yet."
        )
    if commit and commit_of(kustomization.applied_revision) != commit:
        applied = commit_of(kustomization.applied_revision)[:12] or "nothing"
        return Reconciliation("running", f"Applied is {applied}, awaited is {commit[:12]}.")
    return Reconciliation("done")
