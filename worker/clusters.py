"""Which identity the worker uses for which cluster. The only place that reads the kubeconfig settings."""

from functools import cache
from pathlib import Path
from typing import Literal

from django.conf import settings

from cluster.client import Cluster, ClusterConfig

Identity = Literal["worker", "watcher", "prober"]


@cache
def adapter(name: str, identity: Identity = "worker") -> Cluster:
    """The adapter for the cluster of that name. HOLDFAST_KUBECONFIG empty: the pod's own service account."""
    kubeconfig = settings.HOLDFAST_KUBECONFIG
    contexts = {
        "worker": settings.HOLDFAST_WORKER_CONTEXT,
        "watcher": settings.HOLDFAST_WATCHER_CONTEXT,
        "prober": settings.HOLDFAST_PROBER_CONTEXT,
    }
    return Cluster(
        ClusterConfig(
            name=name,
            kubeconfig=Path(kubeconfig) if kubeconfig else None,
            context=contexts[identity] or None,
            # A tick has 25 seconds for everything that it asks.
            connect_timeout_s=3,
            read_timeout_s=10,
        )
    )
