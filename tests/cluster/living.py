"""Objects that tests make in a living cluster, each test in a namespace of its own."""

import uuid
from typing import Any

from cluster.client import Cluster, ClusterConfig
from cluster.values import Manifest, Ref
from tests.support.cluster_process import Sandbox
from tests.support.waiting import until


def cluster_as(sandbox: Sandbox, context: str = "admin", **settings: Any) -> Cluster:
    return Cluster(ClusterConfig("sandbox", sandbox.kubeconfig, context, **settings))


def make_namespace(cluster: Cluster, **labels: str) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    cluster.create(
        Manifest.of({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    )
    return name


def claim(namespace: str, name: str, **metadata: Any) -> Manifest:
    return Manifest.of(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": namespace, "name": name, **metadata},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "ceph-block",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )


def bound_claim(cluster: Cluster, namespace: str, name: str, **metadata: Any) -> Ref:
    ref = cluster.create(claim(namespace, name, **metadata))
    until(lambda: cluster.get_claim(namespace, name).phase == "Bound", timeout_s=20, what=f"{name} bound")
    return ref


def pod_template(claim_name: str, script: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "main",
                    "image": "busybox",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}],
        },
    }


def job(namespace: str, name: str, claim_name: str, script: str) -> Manifest:
    return Manifest.of(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"backoffLimit": 0, "template": pod_template(claim_name, script)},
        }
    )


def deployment(namespace: str, name: str, claim_name: str, replicas: int = 1) -> Manifest:
    template = pod_template(claim_name, "sleep 3600", app=name)
    template["spec"]["restartPolicy"] = "Always"
    return Manifest.of(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
        }
    )
