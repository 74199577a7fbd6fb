"""Reads a whole cluster into one `Reading`. What we may not list is named in it, and not taken for absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from cluster.client import Cluster
from cluster.errors import Forbidden
from cluster.reads import WORKLOAD_KINDS
from cluster.values import Claim, Workload
from dashboard.inventory import Reading
from dashboard.ownership import Surroundings
from dashboard.protection import Declared

SOURCES = ("GitRepository", "OCIRepository", "Bucket")
T = TypeVar("T")


def read_surroundings(
    adapter: Cluster,
    claims: tuple[Claim, ...],
    declared: Mapping[tuple[str, str], Declared] | None = None,
) -> Reading:
    """Everything but the claims, read anew from the server's cache; raises `cluster.errors` but `Forbidden`.

    `declared`: what Git says of claims (`worker.declared.known`).
    """
    unreadable: list[str] = []

    def read(kind: str, listing: Callable[[], list[T]]) -> tuple[T, ...]:
        try:
            return tuple(listing())
        except Forbidden:
            unreadable.append(kind)
            return ()

    workloads: list[Workload] = []
    for kind in WORKLOAD_KINDS:
        workloads += read(kind, lambda kind=kind: adapter.list_workloads(kind, fresh=False))  # type: ignore[misc]
    volumes = read("PersistentVolume", lambda: adapter.list_volumes(fresh=False))
    namespaces = read("Namespace", lambda: adapter.list_namespaces(fresh=False))
    kustomizations = read("Kustomization", lambda: adapter.list_kustomizations(fresh=False))
    helm_releases = read("HelmRelease", lambda: adapter.list_helm_releases(fresh=False))
    pods = read("Pod", lambda: adapter.list_pods(fresh=False))
    autoscalers = read("HorizontalPodAutoscaler", adapter.list_autoscalers)
    snapshots = read("VolumeSnapshot", lambda: adapter.list_snapshots(fresh=False))
    sources = [s for k in SOURCES for s in read(k, lambda k=k: adapter.list_git_sources(k, fresh=False))]  # type: ignore[misc]
    return Reading(
        claims=claims,
        around=Surroundings(
            volumes=volumes,
            workloads=tuple(workloads),
            namespaces=namespaces,
            kustomizations=kustomizations,
            helm_releases=helm_releases,
            admission=adapter.admission(),
            unreadable=tuple(unreadable),
        ),
        pods=pods,
        autoscalers=autoscalers,
        disruption_budgets=tuple(adapter.list_disruption_budgets()),
        snapshots=snapshots,
        events=read("Event", adapter.list_claim_events),
        git_sources=tuple(sources),
        declared=declared or {},
        server_version=adapter.server_version(),
    )
