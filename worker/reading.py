"""Reads a whole cluster into one `Reading`."""

from __future__ import annotations

from cluster.client import Cluster
from cluster.reads import WORKLOAD_KINDS
from cluster.values import Claim, Workload
from dashboard.inventory import Reading
from dashboard.ownership import Surroundings

SOURCES = ("GitRepository", "OCIRepository", "Bucket")


def read_surroundings(adapter: Cluster, claims: tuple[Claim, ...]) -> Reading:
    """Everything but the claims, read anew from the server's cache; raises `cluster.errors`."""
    workloads: list[Workload] = []
    for kind in WORKLOAD_KINDS:
        workloads += adapter.list_workloads(kind, fresh=False)
    return Reading(
        claims=claims,
        around=Surroundings(
            volumes=tuple(adapter.list_volumes(fresh=False)),
            workloads=tuple(workloads),
            namespaces=tuple(adapter.list_namespaces(fresh=False)),
            kustomizations=tuple(adapter.list_kustomizations(fresh=False)),
            helm_releases=tuple(adapter.list_helm_releases(fresh=False)),
            admission=adapter.admission(),
        ),
        pods=tuple(adapter.list_pods(fresh=False)),
        autoscalers=tuple(adapter.list_autoscalers()),
        disruption_budgets=tuple(adapter.list_disruption_budgets()),
        snapshots=tuple(adapter.list_snapshots(fresh=False)),
        git_sources=tuple(
            source for kind in SOURCES for source in adapter.list_git_sources(kind, fresh=False)
        ),
        server_version=adapter.server_version(),
    )
