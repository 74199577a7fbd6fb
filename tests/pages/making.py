"""Rows for pages, made in the database alone: a cluster, claims, a draft."""

from typing import Any

from django.utils import timezone

from accounts.models import User
from dashboard.models import Claim, Cluster
from dashboard.states import Owner, Protection
from migrations_app.actions import drafting
from migrations_app.models import Migration


def cluster() -> Cluster:
    return Cluster.objects.get_or_create(name="demo-east", defaults={"seen_at": timezone.now()})[0]


def claim(name: str, namespace: str = "media", **fields: Any) -> Claim:
    """A bound, protected claim, as the watcher would have written it."""
    wanted: dict[str, Any] = {
        "uid": f"uid-{namespace}-{name}",
        "phase": "Bound",
        "size_bytes": 5 * 1024**3,
        "storage_class": "ceph-block",
        "access_modes": "ReadWriteOnce",
        "volume_name": f"pv-{namespace}-{name}",
        "reclaim_policy": "Delete",
        "owner_kind": Owner.KUSTOMIZATION,
        "owner_name": f"{namespace}-app",
        "flux_prune": Protection.PROTECTED,
        "kubectl_delete": Protection.PROTECTED,
        "namespace_delete": Protection.PARTIAL,
        "volume_reclaim": Protection.UNPROTECTED,
        "weakest": Protection.PARTIAL,
        "consumers": [{"kind": "Deployment", "name": "app", "replicas": 1, "ready": 1, "pods": 1}],
        "consumer_count": 1,
        "facts": {
            "layers": [
                {
                    "path": "flux_prune",
                    "title": "Flux prune",
                    "state": "protected",
                    "fact": "The annotation is there.",
                    "beyond": "People.",
                    "command": f"kubectl get pvc {name}",
                }
            ]
        },
        "created_at": timezone.now(),
        "seen_at": timezone.now(),
        **fields,
    }
    return Claim.objects.create(cluster=cluster(), namespace=namespace, name=name, **wanted)


def draft(by: User, *, claims: tuple[str, ...] = ("library",), namespace: str = "media") -> Migration:
    """A draft of claims that are made with it."""
    for name in claims:
        if not Claim.objects.filter(namespace=namespace, name=name).exists():
            claim(name, namespace)
    return drafting.create_draft(
        by=by, cluster=cluster(), namespace=namespace, application="photos", claims=list(claims)
    )
