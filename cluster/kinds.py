"""Where each kind lives in the API. Built-in kinds are known; everything else is found by discovery."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Resource:
    """One kind as served: `plural` is its name in paths."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of the collection, the object, or its subresource; an empty `namespace` means all."""
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        elif self.namespaced and name:
            raise ValueError(f"{self.kind} {name} needs a namespace.")
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)


def _core(kind: str, plural: str, namespaced: bool = True) -> Resource:
    return Resource("", "v1", kind, plural, namespaced)


BUILT_IN = {
    (resource.group, resource.kind): resource
    for resource in [
        _core("PersistentVolumeClaim", "persistentvolumeclaims"),
        _core("PersistentVolume", "persistentvolumes", namespaced=False),
        _core("Pod", "pods"),
        _core("Namespace", "namespaces", namespaced=False),
        _core("Node", "nodes", namespaced=False),
        _core("Event", "events"),
        _core("ConfigMap", "configmaps"),
        _core("ResourceQuota", "resourcequotas"),
        _core("LimitRange", "limitranges"),
        _core("ServiceAccount", "serviceaccounts"),
        Resource("apps", "v1", "Deployment", "deployments"),
        Resource("apps", "v1", "StatefulSet", "statefulsets"),
        Resource("apps", "v1", "DaemonSet", "daemonsets"),
        Resource("apps", "v1", "ReplicaSet", "replicasets"),
        Resource("batch", "v1", "Job", "jobs"),
        Resource("batch", "v1", "CronJob", "cronjobs"),
        Resource("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False),
        Resource("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", namespaced=False),
        Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        Resource(
            "authorization.k8s.io",
            "v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            namespaced=False,
        ),
        Resource("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False),
    ]
}

# Groups of kinds that Holdfast names without a group.
GROUP_OF = {resource.kind: resource.group for resource in BUILT_IN.values()} | {
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
    "GitRepository": "source.toolkit.fluxcd.io",
    "OCIRepository": "source.toolkit.fluxcd.io",
    "Bucket": "source.toolkit.fluxcd.io",
    "HelmRepository": "source.toolkit.fluxcd.io",
    "HelmChart": "source.toolkit.fluxcd.io",
    "VolumeSnapshot": "snapshot.storage.k8s.io",
    "VolumeSnapshotContent": "snapshot.storage.k8s.io",
    "VolumeSnapshotClass": "snapshot.storage.k8s.io",
    "ScaledObject": "keda.sh",
    "ClusterPolicy": "kyverno.io",
    "Policy": "kyverno.io",
    "PolicyException": "kyverno.io",
    "ValidatingPolicy": "policies.kyverno.io",
    "ValidatingAdmissionPolicy": "admissionregistration.k8s.io",
    "ValidatingAdmissionPolicyBinding": "admissionregistration.k8s.io",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io",
}
