"""`Cluster`: everything that Holdfast asks of, or does to, one Kubernetes cluster. Importing this module is cheap.

Reads give frozen values of `cluster.values`, `cluster.flux` and `cluster.policies`; `get_*` gives None where there is nothing.
Every call has a timeout and raises errors of `cluster.errors` alone. The signatures live with their nouns:

    cluster/reads.py      claims, volumes, pods, workloads, jobs, storage, snapshots, namespaces, events, logs
    cluster/gitreads.py   Kustomizations, HelmReleases, Git sources, admission
    cluster/consumers.py  consumers_of
    cluster/watching.py   watch_claims
    cluster/access.py     can_i, server_version, serves, dry_run_create
    cluster/writes.py     create, annotate, volumes, scale, suspend, request_reconcile
    cluster/deletion.py   delete, delete_pod, probe_delete: the one place that may delete
"""

from __future__ import annotations

from cluster.access import Access
from cluster.config import ClusterConfig
from cluster.consumers import ConsumerReads
from cluster.deletion import Deletion
from cluster.gitreads import GitReads
from cluster.transport import Call, OnCall
from cluster.watching import Watching
from cluster.writes import Writes

__all__ = ["Call", "Cluster", "ClusterConfig", "OnCall"]


class Cluster(ConsumerReads, Writes, Watching, GitReads, Access, Deletion):
    """One cluster. Cheap to make; connects on first use, once a process, and again after a fork. Thread-safe.

    `cluster.recording(on_call)` gives the same cluster with a hook around every mutating call: see `OnCall`.
    """
