"""Short ways to write the objects that people and operators, not Git, put into the demo's cluster."""

from __future__ import annotations

from typing import Any

from sandbox.answers import Object

Labels = dict[str, str]


def claim(
    namespace: str,
    name: str,
    size: str,
    *,
    storage_class: str = "ceph-block",
    mode: str = "ReadWriteOnce",
    labels: Labels | None = None,
    annotations: Labels | None = None,
    owners: list[Object] | None = None,
    **spec: Any,
) -> Object:
    """A PersistentVolumeClaim; `spec` is merged into its spec."""
    metadata: Object = {"name": name, "namespace": namespace}
    for key, value in (("labels", labels), ("annotations", annotations), ("ownerReferences", owners)):
        if value:
            metadata[key] = value
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": [mode],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
            **spec,
        },
    }


def pod_spec(image: str, claims: dict[str, str]) -> Object:
    """A pod with one container and {claim: mount path}."""
    name = image.rsplit("/", 1)[-1].partition(":")[0]
    return {
        "containers": [
            {
                "name": name,
                "image": image,
                "volumeMounts": [{"name": one, "mountPath": path} for one, path in claims.items()],
            }
        ],
        "volumes": [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims],
    }


def deployment(
    namespace: str,
    name: str,
    image: str,
    claims: dict[str, str],
    *,
    labels: Labels | None = None,
    annotations: Labels | None = None,
) -> Object:
    """A Deployment of one replica that holds claims {name: mount path}."""
    selector = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**selector, **(labels or {})},
            "annotations": annotations or {},
        },
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": selector}, "spec": pod_spec(image, claims)},
        },
    }


def stateful_set(
    namespace: str,
    name: str,
    image: str,
    template: tuple[str, str, str],
    *,
    replicas: int = 1,
    labels: Labels | None = None,
    annotations: Labels | None = None,
    retention: Labels | None = None,
) -> Object:
    """A StatefulSet with one claim template, given as (name, size, mount path)."""
    claim_name, size, path = template
    selector = {"app": name}
    pod = pod_spec(image, {claim_name: path})
    del pod["volumes"]
    spec: Object = {
        "serviceName": name,
        "replicas": replicas,
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": selector}, "spec": pod},
        "volumeClaimTemplates": [
            {
                "metadata": {"name": claim_name},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "ceph-block",
                    "resources": {"requests": {"storage": size}},
                },
            }
        ],
    }
    if retention:
        spec["persistentVolumeClaimRetentionPolicy"] = retention
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**selector, **(labels or {})},
            "annotations": annotations or {},
        },
        "spec": spec,
    }
