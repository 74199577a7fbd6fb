"""Makes values of the cluster for pure tests: a claim and what stands around it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cluster.flux import (
    HELM_OWNER_NAME,
    HELM_OWNER_NAMESPACE,
    OWNER_NAME,
    OWNER_NAMESPACE,
    PRUNE,
    InventoryEntry,
    Kustomization,
)
from cluster.policies import Admission, AdmissionPolicy, AdmissionRule, Match, Webhook
from cluster.values import Claim, ClaimRef, Namespace, OwnerReference, Ref, Volume, Workload
from dashboard.ownership import Surroundings

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
DISABLED = {PRUNE: "disabled"}
OWNED = {OWNER_NAME: "apps", OWNER_NAMESPACE: "flux-system"}
HELM_OWNED = {HELM_OWNER_NAME: "redis", HELM_OWNER_NAMESPACE: "media"}
ENTRY = InventoryEntry("media", "data", "", "PersistentVolumeClaim", "v1")
DEFAULT_FILTERS = (
    *(
        "[Event,*,*]",
        "[*/*,kube-system,*]",
        "[*/*,kube-public,*]",
        "[Node,*,*]",
        "[Node/*,*,*]",
        "[Pod/binding,*,*]",
    ),
    *("[ReplicaSet/*,*,*]", "[ConfigMap,kyverno,kyverno]", "[*/*,kyverno,*]"),
)


def deny(*keys: str, operator: str = "Equals", value: Any = "disabled") -> str:
    """A Kyverno rule that denies where one of the variables has the value."""
    entries = [{"key": "{{ " + key + " }}", "operator": operator, "value": value} for key in keys]
    return json.dumps({"deny": {"any": entries}})


ANNOTATION = f"request.oldObject.metadata.annotations.\"{PRUNE}\" || ''"
CONDITION = deny(ANNOTATION)


def claim(**fields: Any) -> Claim:
    return replace(
        Claim(
            ref=Ref("v1", "PersistentVolumeClaim", "media", "data", "uid-1"),
            phase="Bound",
            volume_name="pv-1",
            labels=OWNED,
            annotations=DISABLED,
        ),
        **fields,
    )


def volume(**fields: Any) -> Volume:
    made = Volume(
        ref=Ref("v1", "PersistentVolume", "", "pv-1", "uid-pv"),
        phase="Bound",
        reclaim_policy="Delete",
        claim_ref=ClaimRef("media", "data", "uid-1"),
    )
    return replace(made, **fields)


def namespace(**fields: Any) -> Namespace:
    return replace(Namespace(ref=Ref("v1", "Namespace", "", "media", "uid-ns")), **fields)


def kustomization(**fields: Any) -> Kustomization:
    made = Kustomization(
        ref=Ref("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux-system", "apps", "uid-k"),
        prune=True,
        inventory=(ENTRY,),
    )
    return replace(made, **fields)


def stateful_set(**fields: Any) -> Workload:
    made = Workload(
        ref=Ref("apps/v1", "StatefulSet", "media", "db", "uid-sts"), replicas=1, claim_templates=("data",)
    )
    return replace(made, **fields)


def rule(
    kinds: tuple[str, ...] = ("PersistentVolumeClaim",),
    operations: tuple[str, ...] = ("DELETE",),
    namespaces: tuple[str, ...] = (),
    **fields: Any,
) -> AdmissionRule:
    match = Match(kinds, operations, namespaces=namespaces)
    made = AdmissionRule("protect", (match,), enforces=True, sort="deny", condition=CONDITION)
    return replace(made, **fields)


def exclude(**fields: Any) -> dict[str, Any]:
    """An exclude block of one entry, as fields of a rule."""
    return {"excludes": ((Match(**fields),),), "leaves_out": json.dumps(fields)}


def policy(*rules: AdmissionRule, **fields: Any) -> AdmissionPolicy:
    made = AdmissionPolicy(
        ref=Ref("kyverno.io/v1", "ClusterPolicy", "", "keep", "uid-p"),
        engine="kyverno-cluster-policy",
        rules=rules or (rule(),),
        ready=True,
    )
    return replace(made, **fields)


def native(**fields: Any) -> AdmissionPolicy:
    return replace(policy(), engine="native-policy", ready=None, **fields)  # its rule stands for one in CEL


def webhook(**fields: Any) -> Webhook:
    made = Webhook(
        ref=Ref(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            "",
            "kyverno-resource",
            "uid-w",
        ),
        webhook="validate.kyverno.svc-fail",
        rules=(("DELETE", "persistentvolumeclaims"), ("DELETE", "namespaces")),
    )
    return replace(made, **fields)


def admission(**fields: Any) -> Admission:
    """A healthy Kyverno with the recommended policy."""
    made = Admission(
        policies=(policy(),),
        webhooks=(webhook(),),
        kyverno_served=True,
        kyverno_ready_replicas=3,
        excluded_groups=("system:nodes",),
    )
    return replace(made, **fields)


def around(**fields: Any) -> Surroundings:
    made = Surroundings(
        volumes=(volume(),),
        namespaces=(namespace(),),
        kustomizations=(kustomization(),),
        admission=admission(),
    )
    return replace(made, **fields)


def owned_by(kind: str, *, api_version: str = "v1", controller: bool = True) -> tuple[OwnerReference, ...]:
    return (OwnerReference(api_version, kind, "owner", "uid-owner", controller),)
