"""What is in the cluster from the start: namespaces, nodes, service accounts, roles and their bindings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sandbox.apiserver.call import now
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.server import Cluster

Json = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"


def bootstrap(cluster: Cluster) -> None:
    """Adds what is missing; leaves alone what is there, so that changes survive a restart."""
    for api_version, kind, item in _objects():
        resource = cluster.registry.of_kind(api_version, kind)
        if resource is None:
            raise StatusError(500, "InternalError", f"no resource for {kind}")
        _ensure(cluster, resource, item)


def _ensure(cluster: Cluster, resource: ResourceType, item: Json) -> None:
    metadata = item["metadata"]
    before = cluster.store.get(resource.table, metadata.get("namespace", ""), metadata["name"])
    if before is not None and resource.plural != "clusterroles":
        return
    full = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
    old = before.decode() if before else None
    if old is not None and old.get("rules") == item.get("rules"):
        return
    full["metadata"] = (
        old["metadata"] if old else {**metadata, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
    )
    cluster.store.put(resource.table, full, before)


def _objects() -> list[tuple[str, str, Json]]:
    namespaces = ("default", "kube-system", "kube-public", "kube-node-lease")
    found = [("v1", "Namespace", _namespace(name)) for name in namespaces]
    found += [("v1", "Node", _node(name, number)) for number, name in enumerate(("node-1", "node-2"), 1)]
    found += [
        ("v1", "ServiceAccount", {"metadata": {"name": "default", "namespace": name}}) for name in namespaces
    ]
    found += [
        (f"{_RBAC}/v1", "ClusterRole", _role(name, rules)) for name, rules in (*_ROLES.items(), *_deployed())
    ]
    for user, roles in _BOUND.items():
        found += [(f"{_RBAC}/v1", "ClusterRoleBinding", _binding(role, "User", user)) for role in roles]
    for role, group in (("cluster-admin", "system:masters"), ("system:basic-user", "system:authenticated")):
        found.append((f"{_RBAC}/v1", "ClusterRoleBinding", _binding(role, "Group", group)))
    return found


def _namespace(name: str) -> Json:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _node(name: str, number: int) -> Json:
    moment = now()
    capacity = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    conditions = [
        _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", moment),
        _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", moment),
        _condition("PIDPressure", "False", "KubeletHasSufficientPID", moment),
        _condition("Ready", "True", "KubeletReady", moment),
    ]
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": f"zone-{number}",
    }
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": f"192.0.2.{number}"},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.33.1",
                "osImage": "sandbox",
                "kernelVersion": "sandbox",
                "containerRuntimeVersion": "sandbox://1",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kubeProxyVersion": "v1.33.1",
            },
        },
    }


def _condition(kind: str, status: str, reason: str, moment: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": reason,
        "lastHeartbeatTime": moment,
        "lastTransitionTime": moment,
    }


def _role(name: str, rules: list[Json]) -> Json:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "rules": rules,
    }


def _binding(role: str, kind: str, subject: str) -> Json:
    return {
        "metadata": {"name": f"{subject}:{role}" if role != subject else role},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": kind, "name": subject}],
    }


def _rule(group: str, resources: str, verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs}


_ROLES: dict[str, list[Json]] = {
    "cluster-admin": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "system:basic-user": [
        _rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", ["create"]),
        _rule("authentication.k8s.io", "selfsubjectreviews", ["create"]),
    ],
}
# The sandbox's people have the rules that a real cluster is told to give them: what passes here passes there.
_DEPLOYED = Path(__file__).parents[2] / "deploy" / "kubernetes" / "rbac.yaml"
_BOUND = {
    "holdfast-worker": (
        "holdfast-viewer",
        "holdfast-viewer-kyverno",
        "holdfast-mover",
        "holdfast-volumes",
        "holdfast-cleaner",
        "holdfast-gitops",
    ),
    "holdfast-watcher": ("holdfast-viewer", "holdfast-viewer-kyverno"),
    "holdfast-prober": ("holdfast-prober",),
}


def _deployed() -> Iterator[tuple[str, list[Json]]]:
    for item in yaml.safe_load_all(_DEPLOYED.read_text()):
        if item["kind"] == "ClusterRole":
            yield item["metadata"]["name"], item["rules"]
