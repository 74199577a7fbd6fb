"""Protection of a claim, a path of deletion at a time, computed as the controllers compute it. Pure: values in, values out.

Sections A1, A2, A6, A7, B and C1 of the domain facts are the specification; docs/reference/protection.md explains it to people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.flux import PRUNE, Kustomization, flux_protected
from cluster.values import Claim
from dashboard.admission import Guard, guards
from dashboard.ownership import OwnerFact, Surroundings, argo_application, labelled_kustomization, owner_of
from dashboard.states import Drift, Owner, Protection

FORCE = "kustomize.toolkit.fluxcd.io/force"
ARGO_OPTIONS = "argocd.argoproj.io/sync-options"
HELM_POLICY = "helm.sh/resource-policy"


@dataclass(frozen=True)
class Declared:
    """What Git says of the claim: whether a file declares it, whether its rendered form is protected, and where.

    `why`: not found, and what stands in the way. `once`: Flux made it once and corrects nothing of it (`ssa: IfNotPresent`).
    """

    found: bool
    protected: bool = False
    where: str = ""
    why: str = ""
    once: bool = False


@dataclass(frozen=True)
class Layer:
    """One path of deletion: its state, the fact behind it, what that leaves open, and the kubectl that shows the same."""

    path: str
    title: str
    state: Protection
    fact: str
    beyond: str = ""
    command: str = ""


@dataclass(frozen=True)
class Assessment:
    """Everything about one claim. `weakest` is the worst path of deletion, raised to partial where the volume is retained."""

    owner: OwnerFact
    layers: tuple[Layer, ...]
    weakest: Protection
    drift: Drift
    drift_fact: str

    def layer(self, path: str) -> Layer:
        return next(layer for layer in self.layers if layer.path == path)


def assess(claim: Claim, around: Surroundings, declared: Declared | None = None) -> Assessment:
    """Owner, protection a path, weakest path and drift of one claim."""
    owner = owner_of(claim, around)
    drift, drift_fact = _drift(claim, declared)
    found = () if claim.deleting_at else tuple(_claim_guards(claim, around))
    deletion = _kubectl_delete(claim, around, found)
    layers = (
        _flux_prune(claim, around, owner, drift),
        deletion,
        _namespace_delete(claim, around, deletion, found),
        _volume_reclaim(claim, around),
    )
    return Assessment(owner, layers, _weakest(layers), drift, drift_fact)


def _weakest(layers: tuple[Layer, ...]) -> Protection:
    """The claim's own paths count; a retained volume outlives the claim, so nothing is worse than partial then."""
    *paths, volume = layers
    worst = min((layer.state for layer in paths), key=lambda state: state.rank)
    retained = volume.state == Protection.PROTECTED
    return Protection.PARTIAL if retained and worst.rank < Protection.PARTIAL.rank else worst


def _drift(claim: Claim, declared: Declared | None) -> tuple[Drift, str]:
    live = flux_protected(claim.labels, claim.annotations)
    if declared is None:
        return Drift.UNKNOWN, "Git was not compared."
    if not declared.found:
        return Drift.UNKNOWN, declared.why or "No file that declares it was found in Git."
    if live and not declared.protected and declared.once:
        return (
            Drift.NONE,
            f"Protected in the cluster alone, and {declared.where} tells Flux to correct nothing of it (ssa: IfNotPresent).",
        )
    if live and not declared.protected:
        return (
            Drift.CLUSTER_ONLY,
            f"Protected in the cluster by {live[0]} {live[1]}, but not in {declared.where}: Git will undo it. What kubectl wrote goes "
            "with the next correction; whatever else set it, a claim that is made anew is bare.",
        )
    if declared.protected and not live:
        return (
            Drift.GIT_ONLY,
            f"Protected in {declared.where}, but not in the cluster: it was not applied, or taken away.",
        )
    return Drift.NONE, f"{declared.where} and the cluster agree."


# Flux prune and its likes --------------------------------------------------------------------------------------------


def _flux_prune(claim: Claim, around: Surroundings, owner: OwnerFact, drift: Drift) -> Layer:
    if owner.kind == Owner.KUSTOMIZATION:
        state, fact, beyond = _kustomization(claim, around, owner, drift)
    elif owner.kind in {Owner.HELM_RELEASE, Owner.HELM}:
        state, fact, beyond = _helm(claim, owner)
    elif owner.kind == Owner.ARGO_CD:
        state, fact, beyond = _argo(claim)
    else:
        state, fact, beyond = _nobody_prunes(claim, around, owner)
    command = f"kubectl get pvc {claim.name} -n {claim.namespace} -o yaml"
    return Layer("flux_prune", owner.kind.pruning, state, fact, beyond, command)


def _nobody_prunes(claim: Claim, around: Surroundings, owner: OwnerFact) -> tuple[Protection, str, str]:
    beyond = "Who makes it may still delete it." if owner.kind in {Owner.STATEFUL_SET, Owner.OPERATOR} else ""
    if owner.kind == Owner.ORPHAN:
        return (
            Protection.NOT_APPLICABLE,
            owner.detail,
            "It is in nobody's care: a removal from Git no longer shows.",
        )
    return (
        Protection.NOT_APPLICABLE,
        "No Kustomization holds it: Flux neither changes nor deletes it.",
        beyond,
    )


def _kustomization(
    claim: Claim, around: Surroundings, owner: OwnerFact, drift: Drift
) -> tuple[Protection, str, str]:
    holder = around.kustomization_by_key.get((owner.namespace, owner.name)) if owner.seen else None
    name = f"Kustomization {owner.namespace}/{owner.name}"
    beyond = "Flux prune only. People, the namespace's deletion and a spec.force change do not ask for it."
    pair = flux_protected(claim.labels, claim.annotations)
    if holder is None:
        return *_unseen(pair, owner), beyond
    if pair:
        where, key, value = pair
        fact = f"The {where} {key}: {value} is on the live object; {name} skips its deletion."
        weak = _weak_annotation(claim, holder, key, drift)
        return (
            (Protection.PARTIAL, f"{fact} But {weak}", beyond)
            if weak
            else (Protection.PROTECTED, fact, beyond)
        )
    if labelled_kustomization(claim) != (owner.namespace, owner.name):
        fact = f"Its owner labels do not name {name}, so a deletion is skipped today; the next apply puts the labels back."
        return Protection.PARTIAL, fact, beyond
    if not holder.prune:
        fact = f"{name} has prune: false, so it deletes nothing."
        return (
            Protection.PARTIAL,
            fact,
            "One setting for everything in it; its deletionPolicy is " + holder.deletion_policy + ".",
        )
    suspended = " It is suspended now, and deletes after it is resumed." if holder.suspended else ""
    return (
        Protection.UNPROTECTED,
        f"No protecting label or annotation: {name} deletes it once Git no longer has it.{suspended}",
        beyond,
    )


def _unseen(pair: tuple[str, str, str] | None, owner: OwnerFact) -> tuple[Protection, str]:
    """Of a Kustomization that was not read: Flux asks the live claim, whichever cluster it runs in."""
    if pair is None:
        return Protection.UNKNOWN, owner.detail
    where, key, value = pair
    fact = f"The {where} {key}: {value} is on the live object; Flux skips its deletion, whoever holds it. {owner.detail}"
    if key != PRUNE:
        return Protection.PROTECTED, fact
    return (
        Protection.PARTIAL,
        f"{fact} But whether force is on there, which deletes all the same, was not read.",
    )


def _weak_annotation(claim: Claim, holder: Kustomization, key: str, drift: Drift) -> str:
    if drift == Drift.CLUSTER_ONLY:
        return "Git does not have it: the next correction takes it away."
    forced = any(pairs.get(FORCE, "").casefold() == "enabled" for pairs in (claim.annotations, claim.labels))
    if key == PRUNE and (holder.force or forced):
        return (
            "force is on: a change of an immutable field deletes and makes it anew, whatever the annotation."
        )
    return ""


def _helm(claim: Claim, owner: OwnerFact) -> tuple[Protection, str, str]:
    name = f"{owner.kind.label} {owner.namespace}/{owner.name}"
    beyond = "Flux's prune annotation means nothing to Helm."
    if claim.annotations.get(HELM_POLICY, "").strip().lower() == "keep":
        fact = f"{HELM_POLICY}: keep is on the live object; {name} keeps it when an upgrade drops it."
        return (
            Protection.PARTIAL,
            fact,
            "An uninstall reads the stored manifest instead, which was not seen. " + beyond,
        )
    if not owner.seen:
        return Protection.UNKNOWN, owner.detail, beyond
    return Protection.UNPROTECTED, f"{name} deletes it when it is uninstalled or the chart drops it.", beyond


def _argo(claim: Claim) -> tuple[Protection, str, str]:
    options = {option.strip() for option in claim.annotations.get(ARGO_OPTIONS, "").split(",")}
    name = f"Argo CD application {argo_application(claim)}"
    beyond = "Flux's prune annotation means nothing to Argo CD."
    held = [option for option in ("Prune=false", "Delete=false") if option in options]
    asked = [option for option in ("Prune=confirm", "Delete=confirm") if option in options]
    if len(held) == 2:
        return Protection.PROTECTED, f"{name} has Prune=false and Delete=false for it.", beyond
    if held or asked:
        return Protection.PARTIAL, f"{name} has only {', '.join([*held, *asked])} for it.", beyond
    return Protection.UNPROTECTED, f"{name} prunes it when Git no longer has it.", beyond


# Deletions through the API -------------------------------------------------------------------------------------------


def _kubectl_delete(claim: Claim, around: Surroundings, found: Sequence[Guard]) -> Layer:
    title, command = (
        "kubectl delete",
        f"kubectl delete pvc {claim.name} -n {claim.namespace} --dry-run=server",
    )
    if claim.deleting_at:
        fact = f"Its deletion was accepted at {claim.deleting_at:%Y-%m-%d %H:%M} UTC and cannot be taken back; only pods hold it."
        return Layer(
            "kubectl_delete", title, Protection.UNPROTECTED, fact, "Set its volume to Retain now.", command
        )
    state, fact = _best(found, around, "No policy is about deleting claims here.")
    beyond = "Asked only at the moment of deletion. Taking the annotation away first is not denied by it."
    lost = _owned_deletion(claim, around)
    if lost and state == Protection.PROTECTED and not found[0].stops_system:
        state, fact = Protection.PARTIAL, f"{fact} But {lost}"
    elif lost:
        fact = f"{fact} Also, {lost}"
    return Layer("kubectl_delete", title, state, fact, beyond, command)


def _claim_guards(claim: Claim, around: Surroundings) -> list[Guard]:
    return guards(around.admission, claim, claim.namespace, _namespace_labels(claim.namespace, around))


def _namespace_labels(name: str, around: Surroundings) -> Mapping[str, str] | None:
    namespace = around.namespace_by_name.get(name)
    return namespace.labels if namespace else None


def _best(found: Sequence[Guard], around: Surroundings, none: str) -> tuple[Protection, str]:
    if found and found[0].state != Protection.UNPROTECTED:
        return found[0].state, found[0].fact
    unreadable = [kind for kind in around.admission.unreadable if kind.endswith(("Policy", "Binding"))]
    if unreadable:
        return Protection.UNKNOWN, f"Policies could not be read: {', '.join(unreadable)}."
    return Protection.UNPROTECTED, found[0].fact if found else none


def _owned_deletion(claim: Claim, around: Surroundings) -> str:
    """Which controller deletes the claim by itself."""
    for maker in around.makers(claim):
        if maker.when_scaled == "Delete":
            return f"StatefulSet {maker.name} deletes it when it is scaled down (whenScaled: Delete)."
        if maker.when_deleted == "Delete":
            return f"it is deleted with StatefulSet {maker.name} (whenDeleted: Delete)."
    owner = next(iter(claim.owner_references), None)
    return f"it is deleted with {owner.kind} {owner.name}, which owns it." if owner else ""


def _namespace_delete(claim: Claim, around: Surroundings, deletion: Layer, found: Sequence[Guard]) -> Layer:
    state, fact = _namespace_state(claim, around, deletion, found)
    pruned = _namespace_pruned(claim.namespace, around)
    if pruned:
        fact = f"{fact} {pruned}"
    command = f"kubectl delete namespace {claim.namespace} --dry-run=server"
    beyond = "The volume is then decided by its reclaim policy."
    return Layer("namespace_delete", "Namespace delete", state, fact, beyond, command)


def _namespace_state(
    claim: Claim, around: Surroundings, deletion: Layer, found: Sequence[Guard]
) -> tuple[Protection, str]:
    namespace = around.namespace_by_name.get(claim.namespace)
    if namespace is None:
        return Protection.UNKNOWN, "The namespace was not seen."
    if namespace.phase == "Terminating" or namespace.deleting:
        return Protection.UNPROTECTED, "The namespace is being deleted now."
    own = guards(around.admission, namespace, namespace.name, _namespace_labels(namespace.name, around))
    state, fact = _best(own, around, "Deleting the namespace deletes the claim: nothing denies either.")
    if state == Protection.PROTECTED:
        return Protection.PROTECTED, f"The namespace itself is guarded. {fact}"
    held = [g for g in found if g.state in {Protection.PROTECTED, Protection.PARTIAL}]
    if any(guard.stops_system for guard in held):
        return (
            Protection.PARTIAL,
            f"The namespace may be deleted; the claim stays ({deletion.fact}), but everything else in it goes, and it hangs.",
        )
    if state == Protection.PARTIAL:
        return Protection.PARTIAL, f"The namespace itself is guarded, but not wholly. {fact}"
    if any(guard.stops_system is None for guard in held):
        return (
            Protection.UNKNOWN,
            "Whether the policy also stops the namespace controller cannot be told from what was read.",
        )
    unknown = next((guard for guard in found if guard.state == Protection.UNKNOWN), None)
    if state == Protection.UNKNOWN or unknown:
        return Protection.UNKNOWN, fact if state == Protection.UNKNOWN else unknown.fact if unknown else ""
    if held:
        return (
            Protection.UNPROTECTED,
            "The policy engine lets the namespace controller pass: the claim goes with its namespace.",
        )
    return Protection.UNPROTECTED, "Deleting the namespace deletes the claim: nothing denies either."


def _namespace_pruned(name: str, around: Surroundings) -> str:
    """Says that Flux would delete the namespace itself, and with it every claim in it."""
    namespace = around.namespace_by_name.get(name)
    holders = [k for k in around.holders.get(("Namespace", "", name), ()) if k.prune]
    if namespace is None or not holders or flux_protected(namespace.labels, namespace.annotations):
        return ""
    holder = holders[0]
    return f"Kustomization {holder.namespace}/{holder.name} holds the namespace and deletes it once Git no longer has it."


# The volume ----------------------------------------------------------------------------------------------------------


def _volume_reclaim(claim: Claim, around: Surroundings) -> Layer:
    state, fact = _volume_state(claim, around)
    beyond = "Deleting the volume object, its pool or its backend asks nobody here."
    command = f"kubectl get pv {claim.volume_name} -o yaml" if claim.volume_name else ""
    return Layer("volume_reclaim", "Volume reclaim", state, fact, beyond, command)


def _volume_state(claim: Claim, around: Surroundings) -> tuple[Protection, str]:
    if not claim.volume_name:
        return Protection.NOT_APPLICABLE, "It has no volume yet."
    volume = around.volume_by_name.get(claim.volume_name)
    if volume is None:
        return Protection.UNKNOWN, f"Volume {claim.volume_name} was not seen."
    if volume.deleting:
        return Protection.UNPROTECTED, f"Volume {volume.name} is being deleted."
    if volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
        return Protection.UNKNOWN, f"Volume {volume.name} does not name this claim as its holder."
    if volume.reclaim_policy == "Retain":
        return Protection.PROTECTED, f"Volume {volume.name} is on Retain: the data outlives the claim."
    return (
        Protection.UNPROTECTED,
        f"Volume {volume.name} is on {volume.reclaim_policy}: the data is destroyed as soon as the claim is gone.",
    )
