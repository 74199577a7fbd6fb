"""What lives in demo-east besides Git: Helm, Argo CD, an operator, people's leftovers. One function an owner."""

from __future__ import annotations

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux.crds import definition
from sandbox.scenario.apply import ensure
from sandbox.scenario.manifests import claim, deployment, pod_spec, stateful_set

DEFINITIONS = (
    definition("argoproj.io", ("v1alpha1",), "applications", "Application", short=("app",)),
    definition("postgresql.cnpg.io", ("v1",), "clusters", "Cluster"),
)
_PRUNE = "kustomize.toolkit.fluxcd.io/prune"


def helm(client: Client) -> None:
    """Grafana and Loki by Flux's HelmRelease, Uptime Kuma by somebody's `helm install`."""
    release: Object = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "grafana", "namespace": "monitoring"},
        "spec": {
            "interval": "10s",
            "chart": {
                "spec": {
                    "chart": "grafana",
                    "version": "8.8.2",
                    "sourceRef": {"kind": "HelmRepository", "name": "grafana"},
                }
            },
            "values": {"persistence": {"enabled": True, "size": "10Gi"}},
        },
    }
    ensure(client, release, manager="kustomize-controller")
    labels = _helm_labels("grafana", "helm.toolkit.fluxcd.io")
    notes = _helm_annotations("grafana", "monitoring")
    for item in (
        claim(
            "monitoring",
            "grafana",
            "10Gi",
            labels=labels,
            annotations={**notes, "helm.sh/resource-policy": "keep"},
        ),
        deployment(
            "monitoring",
            "grafana",
            "docker.io/grafana/grafana:11.4.0",
            {"grafana": "/var/lib/grafana"},
            labels=labels,
            annotations=notes,
        ),
        stateful_set(
            "monitoring",
            "loki",
            "docker.io/grafana/loki:3.3.2",
            ("storage", "20Gi", "/var/loki"),
            labels=labels,
            annotations=notes,
        ),
    ):
        ensure(client, item, manager="helm-controller")
    plain = {"app.kubernetes.io/managed-by": "Helm"}
    notes = _helm_annotations("uptime-kuma", "monitoring")
    ensure(client, claim("monitoring", "uptime-kuma", "4Gi", labels=plain, annotations=notes), manager="helm")
    image = "docker.io/louislam/uptime-kuma:1.23.16"
    ensure(
        client, deployment("monitoring", "uptime-kuma", image, {"uptime-kuma": "/app/data"}), manager="helm"
    )


def argo(client: Client) -> None:
    """A wiki by Argo CD: one claim with Prune=false, one without."""
    ensure(client, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
    application: Object = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "wiki", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": "https://git.example.com/wiki.git",
                "path": "deploy",
                "targetRevision": "main",
            },
            "destination": {"namespace": "wiki", "server": "https://kubernetes.default.svc"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }
    ensure(client, application)
    tracking = "argocd.argoproj.io/tracking-id"
    kept = {
        tracking: "wiki:/PersistentVolumeClaim:wiki/wiki-pages",
        "argocd.argoproj.io/sync-options": "Prune=false",
    }
    for item in (
        claim("wiki", "wiki-pages", "6Gi", annotations=kept),
        claim(
            "wiki",
            "wiki-uploads",
            "12Gi",
            annotations={tracking: "wiki:/PersistentVolumeClaim:wiki/wiki-uploads"},
        ),
        deployment(
            "wiki",
            "wiki",
            "docker.io/library/mediawiki:1.43.0",
            {"wiki-pages": "/var/www/data", "wiki-uploads": "/var/www/images"},
            annotations={tracking: "wiki:apps/Deployment:wiki/wiki"},
        ),
    ):
        ensure(client, item, manager="argocd-controller")


def operator(client: Client) -> None:
    """A database of two instances by an operator: pods and claims belong to its Cluster object."""
    cluster: Object = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "accounts", "namespace": "databases"},
        "spec": {"instances": 2, "storage": {"size": "8Gi", "storageClass": "ceph-block"}},
    }
    owner = ensure(client, cluster)["metadata"]
    reference = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "name": "accounts",
        "uid": owner["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    for name in ("accounts-1", "accounts-2"):
        labels = {"cnpg.io/cluster": "accounts", "cnpg.io/instanceName": name}
        ensure(client, claim("databases", name, "8Gi", labels=labels, owners=[reference]), manager="cnpg")
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "databases",
                "labels": labels,
                "ownerReferences": [reference],
            },
            "spec": pod_spec("ghcr.io/cloudnative-pg/postgresql:17.2", {name: "/var/lib/postgresql/data"}),
        }
        ensure(client, pod, manager="cnpg")


def people(client: Client) -> None:
    """What nobody's controller owns."""
    for item in (
        stateful_set(
            "ci",
            "runner",
            "docker.io/gitlab/gitlab-runner:v17.7.0",
            ("cache", "5Gi", "/cache"),
            replicas=2,
            retention={"whenDeleted": "Retain", "whenScaled": "Delete"},
        ),
        claim("ci", "artifacts", "15Gi", storage_class="cephfs", mode="ReadWriteMany"),
        claim("vms", "windows-disk", "40Gi", volumeMode="Block"),
        claim("vms", "scratch", "10Gi", storage_class="nvme-fast"),
        claim("backup", "restic-cache", "5Gi", annotations={_PRUNE: "disabled"}),
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "restic", "namespace": "backup"},
            "spec": {
                "schedule": "30 3 * * 0",
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                **pod_spec("docker.io/restic/restic:0.17.3", {"restic-cache": "/cache"}),
                                "restartPolicy": "Never",
                            }
                        }
                    }
                },
            },
        },
    ):
        ensure(client, item, manager="kubectl-client-side-apply")


def orphans(client: Client) -> None:
    """Claims that Flux applied once and knows nothing of any more: their owner labels are all that is left."""
    gone = {
        "kustomize.toolkit.fluxcd.io/name": "legacy-wiki",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    }
    kept = {**gone, "kustomize.toolkit.fluxcd.io/name": "office-notes"}
    ensure(
        client,
        claim("legacy", "old-wiki-data", "10Gi", labels=gone, annotations={_PRUNE: "disabled"}),
        manager="kustomize-controller",
    )
    ensure(client, claim("office", "notes-attachments", "3Gi", labels=kept), manager="kustomize-controller")


def _helm_labels(release: str, group: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/instance": release,
        f"{group}/name": release,
        f"{group}/namespace": "monitoring",
    }


def _helm_annotations(release: str, namespace: str) -> dict[str, str]:
    return {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}


def all_of_them(client: Client) -> None:
    """Everybody, once the namespaces are there."""
    for one in (helm, argo, operator, people, orphans):
        one(client)
