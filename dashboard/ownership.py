"""Who owns a claim: labels alone are no proof, operators copy them (A3 of the domain facts). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cluster.base import Object
from cluster.flux import (
    HELM_OWNER_NAME,
    HELM_OWNER_NAMESPACE,
    OWNER_NAME,
    OWNER_NAMESPACE,
    HelmRelease,
    Kustomization,
)
from cluster.policies import Admission
from cluster.values import Claim, Namespace, Volume, Workload
from dashboard.states import Owner

KIND = "PersistentVolumeClaim"
HELM_NAME = "meta.helm.sh/release-name"
HELM_NAMESPACE = "meta.helm.sh/release-namespace"
MANAGED_BY = "app.kubernetes.io/managed-by"
ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
ELSEWHERE = "It was deleted, or it lives in another cluster and applies the claim from there."
Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True)
class Surroundings:
    """What a claim is judged by, as lists; looked up by key."""

    volumes: tuple[Volume, ...] = ()
    workloads: tuple[Workload, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    kustomizations: tuple[Kustomization, ...] = ()
    helm_releases: tuple[HelmRelease, ...] = ()
    admission: Admission = field(default_factory=Admission)
    unreadable: tuple[str, ...] = ()  # kinds that we may not list: what they would say is unknown, not absent

    @cached_property
    def volume_by_name(self) -> Mapping[str, Volume]:
        return {volume.name: volume for volume in self.volumes}

    @cached_property
    def namespace_by_name(self) -> Mapping[str, Namespace]:
        return {namespace.name: namespace for namespace in self.namespaces}

    @cached_property
    def kustomization_by_key(self) -> Mapping[Key, Kustomization]:
        return {(k.namespace, k.name): k for k in self.kustomizations}

    @cached_property
    def helm_release_by_key(self) -> Mapping[Key, HelmRelease]:
        return {(h.namespace, h.name): h for h in self.helm_releases}

    @cached_property
    def holders(self) -> Mapping[tuple[str, str, str], tuple[Kustomization, ...]]:
        """(kind, namespace, name) -> the Kustomizations of this cluster whose inventory names it (core group)."""
        found: dict[tuple[str, str, str], tuple[Kustomization, ...]] = {}
        for one in self.kustomizations:
            for entry in () if one.remote else one.inventory:
                if not entry.group:
                    key = (entry.kind, entry.namespace, entry.name)
                    found[key] = (*found.get(key, ()), one)
        return found

    @cached_property
    def stateful_sets(self) -> Mapping[str, tuple[Workload, ...]]:
        """By namespace."""
        found: dict[str, tuple[Workload, ...]] = {}
        for workload in self.workloads:
            if workload.kind == "StatefulSet" and workload.claim_templates:
                found[workload.namespace] = (*found.get(workload.namespace, ()), workload)
        return found

    def makers(self, claim: Claim) -> tuple[Workload, ...]:
        """StatefulSets whose templates make or adopt the claim."""
        return tuple(w for w in self.stateful_sets.get(claim.namespace, ()) if w.makes_claim(claim.name))

    def holding(self, claim: Claim) -> tuple[Kustomization, ...]:
        return self.holders.get((KIND, claim.namespace, claim.name), ())


@dataclass(frozen=True)
class OwnerFact:
    """`kind` is what pages show; namespace and name say which; `detail` is how it is known.

    `seen` is False where only labels name the owner, and what it would do with the claim was not read.
    """

    kind: Owner
    namespace: str = ""
    name: str = ""
    detail: str = ""
    seen: bool = True


def labelled_kustomization(claim: Claim) -> Key | None:
    """(namespace, name) of the Kustomization that the owner labels name."""
    name, namespace = claim.labels.get(OWNER_NAME), claim.labels.get(OWNER_NAMESPACE)
    return (namespace, name) if name and namespace else None


def argo_application(found: Object) -> str:
    """The application of the tracking annotation, when it is about this very object; copies name another one."""
    application, _, about = found.annotations.get(ARGO_TRACKING, "").partition(":")
    group, _, _ = found.ref.api_version.rpartition("/")
    itself = f"{group}/{found.ref.kind}:{found.namespace}/{found.name}"
    return application if about == itself else ""


def owner_of(claim: Claim, around: Surroundings) -> OwnerFact:
    """Who made the claim, and would make or delete it again."""
    for judge in (_by_flux, _by_helm_release, _by_helm, _by_argo, _by_controller, _by_template):
        found = judge(claim, around)
        if found:
            return found
    key = labelled_kustomization(claim)
    if key:
        return _by_labels(claim, key, around)
    return OwnerFact(Owner.NOBODY, detail="No label, inventory, template or owner reference names a maker.")


def application_of(claim: Claim, around: Surroundings) -> str:
    """`namespace/name` of who applies the StatefulSet whose template makes the claim; empty where that is not known.

    The claim belongs to that application, although nobody but the StatefulSet makes it.
    """
    for maker in around.makers(claim):
        labels, annotations = maker.labels, maker.annotations
        key = labels.get(OWNER_NAMESPACE, ""), labels.get(OWNER_NAME, "")
        applied_by = around.kustomization_by_key.get(key)
        if applied_by and not applied_by.remote and applied_by.holds(maker.kind, *_place(maker), "apps"):
            return "/".join(key)
        if name := labels.get(HELM_OWNER_NAME, ""):
            return f"{labels.get(HELM_OWNER_NAMESPACE, '')}/{name}"
        if labels.get(MANAGED_BY) == "Helm" and (name := annotations.get(HELM_NAME, "")):
            return f"{annotations.get(HELM_NAMESPACE, '')}/{name}"
    return ""


def _place(workload: Workload) -> Key:
    return workload.namespace, workload.name


def _by_labels(claim: Claim, key: Key, around: Surroundings) -> OwnerFact:
    """Of a claim that no Kustomization of this cluster holds. One of another cluster may: its inventory is there."""
    where = f"{key[0]}/{key[1]}"
    named = around.kustomization_by_key.get(key)
    if "Kustomization" in around.unreadable:
        detail = "Its labels say so; Kustomizations may not be read to confirm it."
    elif named is None:
        detail = f"Its labels name Kustomization {where}, which is not in this cluster. {ELSEWHERE}"
    elif named.remote and named.holds(KIND, claim.namespace, claim.name):
        detail = f"Kustomization {where} holds a claim of this name, and applies by a kubeconfig: to which cluster is not known here."
    else:
        return OwnerFact(
            Owner.ORPHAN,
            *key,
            detail=f"Its labels name Kustomization {where}, whose inventory does not hold it. Flux will neither change nor delete it.",
        )
    return OwnerFact(Owner.KUSTOMIZATION, *key, detail=detail, seen=False)


def _by_flux(claim: Claim, around: Surroundings) -> OwnerFact | None:
    holders = around.holding(claim)
    if not holders:
        return None
    key = labelled_kustomization(claim)
    holder = next((k for k in holders if (k.namespace, k.name) == key), holders[0])
    agree = (holder.namespace, holder.name) == key
    detail = (
        "Labels and inventory agree."
        if agree
        else "The inventory holds it, but its owner labels do not say so."
    )
    if len(holders) > 1:
        names = ", ".join(f"{k.namespace}/{k.name}" for k in holders)
        detail += f" Several Kustomizations hold it and will fight over it: {names}."
    return OwnerFact(Owner.KUSTOMIZATION, holder.namespace, holder.name, detail)


def _by_helm_release(claim: Claim, around: Surroundings) -> OwnerFact | None:
    name, namespace = claim.labels.get(HELM_OWNER_NAME), claim.labels.get(HELM_OWNER_NAMESPACE)
    if not name or not namespace or around.makers(claim):
        return None
    where = f"{namespace}/{name}"
    release = around.helm_release_by_key.get((namespace, name))
    if "HelmRelease" in around.unreadable:
        detail = "Its labels say so; HelmReleases may not be read to confirm it."
        return OwnerFact(Owner.HELM_RELEASE, namespace, name, detail, seen=False)
    if release is None:
        detail = f"Its labels name HelmRelease {where}, which is not in this cluster. {ELSEWHERE}"
        return OwnerFact(Owner.HELM_RELEASE, namespace, name, detail, seen=False)
    if release.remote:
        detail = f"Its labels name HelmRelease {where}, which applies by a kubeconfig: to which cluster is not known here."
        return OwnerFact(Owner.HELM_RELEASE, namespace, name, detail, seen=False)
    held = [
        e for e in release.inventory if (e.kind, e.namespace, e.name) == (KIND, claim.namespace, claim.name)
    ]
    if release.inventory and not held:
        return OwnerFact(
            Owner.ORPHAN,
            namespace,
            name,
            f"Its labels name HelmRelease {where}, whose inventory does not hold it.",
        )
    proof = (
        "Labels and inventory agree."
        if held
        else "Labels say so; this HelmRelease keeps no inventory to confirm it."
    )
    return OwnerFact(Owner.HELM_RELEASE, namespace, name, proof)


def _by_helm(claim: Claim, around: Surroundings) -> OwnerFact | None:
    name = claim.annotations.get(HELM_NAME)
    if not name or claim.labels.get(MANAGED_BY) != "Helm":
        return None
    return OwnerFact(
        Owner.HELM, claim.annotations.get(HELM_NAMESPACE, ""), name, "Helm's label and annotations say so."
    )


def _by_argo(claim: Claim, around: Surroundings) -> OwnerFact | None:
    application = argo_application(claim)
    return (
        OwnerFact(Owner.ARGO_CD, "", application, "The tracking annotation says so.") if application else None
    )


def _by_controller(claim: Claim, around: Surroundings) -> OwnerFact | None:
    owner = claim.controller or next(iter(claim.owner_references), None)
    if owner is None or owner.kind == "StatefulSet":
        return None
    if owner.kind == "Pod":
        return OwnerFact(
            Owner.OPERATOR, claim.namespace, owner.name, "A generic ephemeral volume: it goes with its pod."
        )
    return OwnerFact(
        Owner.OPERATOR,
        claim.namespace,
        owner.name,
        f"Owner reference: {owner.kind} {owner.name} of {owner.api_version}.",
    )


def _by_template(claim: Claim, around: Surroundings) -> OwnerFact | None:
    makers = around.makers(claim)
    if not makers:
        return None
    maker = makers[0]
    detail = f"StatefulSet {maker.name} makes it from a template; whenScaled {maker.when_scaled}, whenDeleted {maker.when_deleted}."
    return OwnerFact(Owner.STATEFUL_SET, maker.namespace, maker.name, detail)
