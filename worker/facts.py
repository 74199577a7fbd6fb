"""What inspect reads of a claim, in the form in which it is kept: plain JSON, in the order of names, without times or
resource versions, so that the same cluster gives the same facts."""

from collections.abc import Mapping
from typing import Any

from cluster.base import Object
from cluster.client import Cluster
from cluster.flux import (
    HELM_OWNER_NAME,
    HELM_OWNER_NAMESPACE,
    OWNER_NAME,
    OWNER_NAMESPACE,
    Kustomization,
    flux_protected,
)
from cluster.values import Claim, Consumers, Pod, Volume, Workload
from dashboard.ownership import HELM_NAME, HELM_NAMESPACE, MANAGED_BY, argo_application

# Written by controllers for the volume that a claim has now: never copied to another claim.
_NOT_COPIED = (
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "kubectl.kubernetes.io/",
)
# Flux's field manager: what it owns of an object is stated in Git.
CONTROLLER = "kustomize-controller"
# Argo CD's older way to track; charts and people set it for themselves.
ARGO_INSTANCE = "app.kubernetes.io/instance"
_OWNER_LABELS = ("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "argocd.argoproj.io/")


def claim_facts(claim: Claim, volume: Volume, consumers: Consumers, owner: dict[str, Any]) -> dict[str, Any]:
    """Facts about one source claim: identity, size, protection, owner, who uses it."""
    protected = flux_protected(claim.labels, claim.annotations)
    return {
        "claim": {
            "namespace": claim.namespace,
            "name": claim.name,
            "uid": claim.uid,
            "class": claim.storage_class or "",
            "access_modes": list(claim.access_modes),
            "volume_mode": claim.volume_mode,
            "requested_bytes": claim.requested_bytes,
            "capacity_bytes": claim.capacity_bytes,
            "labels": portable_labels(claim),
            "annotations": portable_annotations(claim),
            "owner_references": [f"{o.kind}/{o.name}" for o in claim.owner_references],
        },
        "volume": {
            "name": volume.name,
            "uid": volume.uid,
            "driver": volume.driver,
            "handle": volume.volume_handle,
            "reclaim_policy": volume.reclaim_policy,
        },
        "protected_by": list(protected) if protected else [],
        "owner": owner,
        "workloads": sorted(
            (workload_facts(w) for w in top_workloads(consumers)), key=lambda w: (w["kind"], w["name"])
        ),
        "loose_pods": sorted(pod.name for pod in loose_pods(consumers)),
        "owner_chain": sorted(str(ref) for ref in consumers.owner_chain),
        "autoscalers": sorted(f"{a.kind}/{a.name}" for a in consumers.autoscalers if not a.paused),
        "paused_autoscalers": sorted(f"{a.kind}/{a.name}" for a in consumers.autoscalers if a.paused),
    }


def workload_facts(workload: Workload) -> dict[str, Any]:
    """One workload, with what has to be put back exactly."""
    return {
        "api_version": workload.ref.api_version,
        "kind": workload.kind,
        "namespace": workload.namespace,
        "name": workload.name,
        "uid": workload.uid,
        "replicas": workload.replicas,
        "suspended": workload.suspended,
        "when_scaled": workload.when_scaled,
        "claims": sorted(workload.claims),
        "claim_templates": sorted(workload.claim_templates),
        "template_claims": sorted(workload.template_claims()),
        "node_selector": workload.node_selector_json,
        "affinity": workload.affinity_json,
        "tolerations": workload.tolerations_json,
        "owners": [f"{o.kind}/{o.name}" for o in workload.owner_references],
    }


def top_workloads(consumers: Consumers) -> list[Workload]:
    """The workloads that decide about replicas: those that no other listed workload controls."""
    known = {workload.uid for workload in consumers.workloads}
    return [w for w in consumers.workloads if w.controller is None or w.controller.uid not in known]


def loose_pods(consumers: Consumers) -> list[Pod]:
    """Pods that nothing would bring back, and nothing scales down."""
    return [pod for pod in consumers.pods if pod.controller is None]


def portable_labels(claim: Claim) -> dict[str, str]:
    """Labels that belong to the data, not to whoever applied the claim."""
    return {k: v for k, v in claim.labels.items() if not k.startswith(_OWNER_LABELS)}


def portable_annotations(claim: Claim) -> dict[str, str]:
    """Annotations that may be written to another claim."""
    return {k: v for k, v in claim.annotations.items() if not k.startswith((*_NOT_COPIED, *_OWNER_LABELS))}


def owner_of(cluster: Cluster, claim: Claim) -> dict[str, Any]:
    """Who declares the claim: Kustomization (labels and inventory), HelmRelease, Helm release, Argo CD; empty when nobody does."""
    name, namespace = claim.labels.get(OWNER_NAME, ""), claim.labels.get(OWNER_NAMESPACE, "")
    if name and namespace:
        kustomization = cluster.get_kustomization(namespace, name)
        if kustomization is not None and kustomization.holds(
            "PersistentVolumeClaim", claim.namespace, claim.name
        ):
            return kustomization_facts(kustomization)
        return {"kind": "orphan", "namespace": namespace, "name": name}
    return _helm_of(claim.labels, claim.annotations) or _argo_of(claim)


def _helm_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """The HelmRelease, or the release of Helm alone, that made an object; empty when none did."""
    if name := labels.get(HELM_OWNER_NAME, ""):
        return {"kind": "HelmRelease", "namespace": labels.get(HELM_OWNER_NAMESPACE, ""), "name": name}
    if labels.get(MANAGED_BY) == "Helm" and (name := annotations.get(HELM_NAME, "")):
        return {"kind": "Helm", "namespace": annotations.get(HELM_NAMESPACE, ""), "name": name}
    return {}


def _argo_of(found: Object) -> dict[str, Any]:
    name = argo_application(found)
    return {"kind": "Application", "namespace": "", "name": name} if name else {}


def kustomization_facts(kustomization: Kustomization) -> dict[str, Any]:
    """What a Git change and a suspension need to know of a Kustomization."""
    return {
        "kind": "Kustomization",
        "namespace": kustomization.namespace,
        "name": kustomization.name,
        "uid": kustomization.uid,
        "path": kustomization.path,
        "prune": kustomization.prune,
        "source_kind": kustomization.source_kind,
        "source_namespace": kustomization.source_namespace or kustomization.namespace,
        "source_name": kustomization.source_name,
        "target_namespace": kustomization.target_namespace,
        "name_prefix": kustomization.name_prefix,
        "name_suffix": kustomization.name_suffix,
        "substitute": dict(kustomization.substitute),
        "substitute_from": list(kustomization.substitute_from),
        "components": list(kustomization.components),
        "patches": [[dict(target), patch] for target, patch in kustomization.patches],
        "common_annotations": dict(kustomization.common_annotations),
        "common_labels": dict(kustomization.common_labels),
        "wait": kustomization.wait,
    }


def parents_of(cluster: Cluster, owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Kustomizations that would lift the owner's suspension, the topmost first: those whose Git states spec.suspend (A4).

    Others leave the field alone, and are not suspended for it: whatever else they apply would rest with them.
    """
    found: list[dict[str, Any]] = []
    child = dict(owner)
    while (parent := _reverting(cluster, child)) is not None:
        here = {"kind": "Kustomization", "namespace": parent.namespace, "name": parent.name}
        if here in found or (parent.namespace, parent.name) == (owner["namespace"], owner["name"]):
            break
        found.insert(0, here)
        child = here
    return found


def _reverting(cluster: Cluster, child: Mapping[str, Any]) -> Kustomization | None:
    """The Kustomization that applies the child and would set its suspension back; None where none does, or it rests itself."""
    kind, namespace, name = child["kind"], child["namespace"], child["name"]
    look = cluster.get_helm_release if kind == "HelmRelease" else cluster.get_kustomization
    found = look(namespace, name)
    if found is None or CONTROLLER not in cluster.suspend_stated_by(kind, namespace, name):
        return None
    key = found.labels.get(OWNER_NAMESPACE, ""), found.labels.get(OWNER_NAME, "")
    if not all(key) or (kind == "Kustomization" and key == (namespace, name)):
        return None
    parent = cluster.get_kustomization(*key)
    group = found.ref.api_version.partition("/")[0]
    if parent is None or parent.suspended or not parent.holds(kind, namespace, name, group):
        return None
    return parent


def workload_owner(cluster: Cluster, workload: Workload) -> dict[str, Any]:
    """The Kustomization whose inventory holds the workload, else its Helm release or Argo CD application; empty when none does."""
    name, namespace = workload.labels.get(OWNER_NAME, ""), workload.labels.get(OWNER_NAMESPACE, "")
    group = workload.ref.api_version.partition("/")[0] if "/" in workload.ref.api_version else ""
    if name and namespace:
        kustomization = cluster.get_kustomization(namespace, name)
        if kustomization is not None and kustomization.holds(
            workload.kind, workload.namespace, workload.name, group
        ):
            return kustomization_facts(kustomization)
    return _helm_of(workload.labels, workload.annotations) or _argo_of(workload)


def elsewhere(cluster: Cluster, found: Object) -> str:
    """The Kustomization that the object's labels name and that is not in this cluster: another cluster's may apply it from there."""
    name, namespace = found.labels.get(OWNER_NAME, ""), found.labels.get(OWNER_NAMESPACE, "")
    if not name or not namespace or cluster.get_kustomization(namespace, name) is not None:
        return ""
    return f"{namespace}/{name}"


def argo_instance(cluster: Cluster, found: Object) -> str:
    """The application that tracks the object if Argo CD, where there is one, tracks by label. Others set that label, too."""
    instance = found.labels.get(ARGO_INSTANCE, "")
    return instance if instance and cluster.serves("argoproj.io", "Application") else ""
