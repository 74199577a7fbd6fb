"""Names that other objects refer to: when a name gets a prefix, a suffix or a hash, its references follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.flux.kustomize.resource import Resource

_WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController")


def follow(resources: list[Resource]) -> None:
    """Rewrites every reference in place, by the names that the referred objects had before."""
    for resource in resources:
        for kind, holder, key in _references(resource):
            name = holder.get(key)
            if isinstance(name, str) and name and not _is_elsewhere(resource, kind, holder):
                holder[key] = _present_name(resources, resource, kind, name)


def _is_elsewhere(referrer: Resource, kind: str, holder: dict[str, Any]) -> bool:
    """A subject of a binding says itself in which namespace it is."""
    named = holder.get("namespace")
    return kind == "ServiceAccount" and bool(named) and named != referrer.namespace


def _present_name(resources: Iterable[Resource], referrer: Resource, kind: str, name: str) -> str:
    found = [
        one
        for one in resources
        if one.kind == kind
        and any(earlier == name for _, earlier in one.names())
        and (not one.namespace or not referrer.namespace or one.namespace == referrer.namespace)
    ]
    if len(found) > 1:
        # The same name in several overlays: the one that got the same prefixes and suffixes is meant.
        alike = [
            one for one in found if (one.prefixes, one.suffixes) == (referrer.prefixes, referrer.suffixes)
        ]
        found = alike or found
    return found[0].name if found else name


def _references(resource: Resource) -> Iterable[tuple[str, dict[str, Any], str]]:
    """(kind referred to, map, key) of every reference in a resource."""
    body = resource.body
    spec = body.get("spec") if isinstance(body.get("spec"), dict) else {}
    assert isinstance(spec, dict)  # noqa: S101 - for the type checker
    for pod in _pods(resource.kind, spec):
        yield from _of_pod(pod)
    if resource.kind == "StatefulSet":
        yield "Service", spec, "serviceName"
    if resource.kind == "HorizontalPodAutoscaler":
        target = spec.get("scaleTargetRef") or {}
        yield str(target.get("kind", "")), target, "name"
    if resource.kind == "PersistentVolumeClaim":
        yield "PersistentVolume", spec, "volumeName"
        yield "StorageClass", spec, "storageClassName"
    if resource.kind == "Ingress":
        yield from _of_ingress(spec)
    if resource.kind in ("RoleBinding", "ClusterRoleBinding"):
        role = body.get("roleRef") or {}
        yield str(role.get("kind", "")), role, "name"
        for subject in body.get("subjects") or []:
            if subject.get("kind") == "ServiceAccount":
                yield "ServiceAccount", subject, "name"


def _pods(kind: str, spec: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if kind == "Pod":
        yield spec
    elif kind in _WORKLOADS or kind == "Job":
        yield (spec.get("template") or {}).get("spec") or {}
    elif kind == "CronJob":
        template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
        yield template.get("spec") or {}


def _of_pod(pod: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any], str]]:
    yield "ServiceAccount", pod, "serviceAccountName"
    yield "ServiceAccount", pod, "serviceAccount"
    yield "PriorityClass", pod, "priorityClassName"
    for secret in pod.get("imagePullSecrets") or []:
        yield "Secret", secret, "name"
    for container in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]:
        yield from _of_container(container)
    for volume in pod.get("volumes") or []:
        yield from _of_volume(volume)


def _of_container(container: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any], str]]:
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        yield "ConfigMap", source.get("configMapKeyRef") or {}, "name"
        yield "Secret", source.get("secretKeyRef") or {}, "name"
    for source in container.get("envFrom") or []:
        yield "ConfigMap", source.get("configMapRef") or {}, "name"
        yield "Secret", source.get("secretRef") or {}, "name"


def _of_volume(volume: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any], str]]:
    yield "PersistentVolumeClaim", volume.get("persistentVolumeClaim") or {}, "claimName"
    yield "ConfigMap", volume.get("configMap") or {}, "name"
    yield "Secret", volume.get("secret") or {}, "secretName"
    for source in (volume.get("projected") or {}).get("sources") or []:
        yield "ConfigMap", source.get("configMap") or {}, "name"
        yield "Secret", source.get("secret") or {}, "name"


def _of_ingress(spec: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any], str]]:
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or []]
    for backend in backends:
        yield "Service", backend.get("service") or {}, "name"
    for entry in spec.get("tls") or []:
        yield "Secret", entry, "secretName"
