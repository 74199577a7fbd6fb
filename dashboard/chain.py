"""The chain that a claim hangs on, from Git down to the volume, as the watcher saw it."""

from collections.abc import Iterator
from dataclasses import dataclass

from dashboard.models import Claim, GitOpsFact
from dashboard.states import Owner

_FLUX = {Owner.KUSTOMIZATION: "Kustomization", Owner.HELM_RELEASE: "HelmRelease"}
_OTHER = {
    Owner.HELM: "Helm release",
    Owner.STATEFUL_SET: "StatefulSet",
    Owner.OPERATOR: "Operator's object",
    Owner.ARGO_CD: "Argo CD application",
}


@dataclass(frozen=True)
class Link:
    """One link: what it is, and what is known of it. `tone` and `label` make its badge; empty where nothing was asked."""

    kind: str
    name: str
    fact: str
    tone: str = ""
    label: str = ""


def of(claim: Claim) -> list[Link]:
    """From the top: the Git repository, who applies it, the claim, its volume."""
    return [*_owners(claim), _claim(claim), *_volume(claim)]


def _owners(claim: Claim) -> Iterator[Link]:
    owner = claim.owner
    name = f"{claim.owner_namespace}/{claim.owner_name}".strip("/")
    if owner in _FLUX:
        yield from _flux(claim, _FLUX[owner], name)
    elif owner in _OTHER:
        yield Link(_OTHER[owner], name, claim.owner_detail)
    elif owner == Owner.ORPHAN:
        yield Link("Flux object", name, claim.owner_detail, "attention", "does not hold it")


def _flux(claim: Claim, kind: str, name: str) -> Iterator[Link]:
    present = GitOpsFact.objects.filter(cluster=claim.cluster, gone_at__isnull=True)
    fact = present.filter(kind=kind, namespace=claim.owner_namespace, name=claim.owner_name).first()
    if fact is None:
        yield Link(kind, name, claim.owner_detail)
        return
    source = present.filter(
        kind=fact.source_kind, namespace=fact.source_namespace or fact.namespace, name=fact.source_name
    ).first()
    if source is not None:
        where = " ".join(part for part in (source.url, source.branch and f"branch {source.branch}") if part)
        yield Link(source.kind, f"{source.namespace}/{source.name}", where, *_standing(source))
    yield Link(kind, name, _applied(fact, claim.owner_detail), *_standing(fact))


def _applied(fact: GitOpsFact, detail: str) -> str:
    path = f"Applies {fact.path}. " if fact.path else ""
    prune = "Prunes what leaves Git. " if fact.prune else ""
    return f"{path}{prune}{detail}"


def _standing(fact: GitOpsFact) -> tuple[str, str]:
    if fact.suspended:
        return "attention", "suspended"
    if fact.ready == "False":
        return "danger", "not ready"
    if fact.behind:
        return "busy", "behind Git"
    return ("good", "ready") if fact.ready == "True" else ("neutral", "in a pass")


def _claim(claim: Claim) -> Link:
    tone, label = ("good", "Bound") if claim.phase == "Bound" else ("attention", claim.phase)
    return Link("PersistentVolumeClaim", claim.key, claim.drift_fact or "Not compared with Git.", tone, label)


def _volume(claim: Claim) -> Iterator[Link]:
    if claim.volume_name:
        fact = f"Reclaim policy {claim.reclaim_policy or 'unknown'}, class {claim.storage_class or 'none'}."
        yield Link("PersistentVolume", claim.volume_name, fact)
