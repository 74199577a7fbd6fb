"""What a protecting change is about: the repository, the directory, the object, and how to tell that it is protected."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.client import Cluster
from cluster.flux import GitSource, Kustomization, commit_of, flux_protected
from cluster.values import Claim
from dashboard import models
from dashboard.models import GitRepository, ProtectionChange
from dashboard.protecting import advice_for
from dashboard.protecting_states import How
from dashboard.states import Owner
from gitops.change import Change, Tree
from gitops.errors import Reason, Refusal, RepositoryError
from gitops.locate import locate
from gitops.protect import protect, protect_helm_release
from gitops.renderers import HELM_KEEP
from gitops.repository import Repository
from gitops.values import FluxPath, ObjectRef
from worker.declared import flux_of
from worker.followed import NOT_COMPARED, repository_problem
from worker.gitside import repository

HELM_GROUP = "helm.toolkit.fluxcd.io"


@dataclass(frozen=True)
class Target:
    """A claim that a Kustomization declares."""

    owner: Kustomization
    repository_name: str
    clone: Repository
    flux: FluxPath
    claim: ObjectRef
    how: str

    def make(self, tree: Tree) -> Change:
        return protect(tree, self.flux, self.claim, self.how)

    def says(self, tree: Tree) -> bool:
        """Whether the tree protects the claim. Any doubt is raised, never taken for a no."""
        found = locate(tree, self.flux, self.claim)
        return flux_protected(found.labels, found.annotations) is not None

    def says_at(self, commit: str) -> bool:
        """The same of a commit that Flux names; False where it is not to be had or cannot be read."""
        try:
            return self.says(self.clone.tree(commit))
        except (RepositoryError, Refusal, ValueError):
            return False

    def carried(self, claim: Claim) -> bool:
        """Whether the live claim carries the protection."""
        return flux_protected(claim.labels, claim.annotations) is not None

    def artifact(self, source: GitSource | None) -> str:
        return commit_of(source.artifact_revision) if source else ""


@dataclass(frozen=True)
class HelmTarget(Target):
    """A claim of a chart: its HelmRelease, which a Kustomization declares, gets a post-renderer."""

    release: ObjectRef

    def make(self, tree: Tree) -> Change:
        return protect_helm_release(tree, self.flux, self.release, self.claim.name)

    def says(self, tree: Tree) -> bool:
        """Whether a post-renderer of ours for this claim, or one that does the same, is there."""
        try:
            protect_helm_release(tree.fork(), self.flux, self.release, self.claim.name)
        except Refusal as refusal:
            if refusal.reason is Reason.EXISTS:
                return True
            raise
        return False

    def carried(self, claim: Claim) -> bool:
        return claim.annotations.get(HELM_KEEP, "").strip().lower() == "keep"


def target_of(change: ProtectionChange, cluster: Cluster) -> Target:
    """By the claim's owner as the watcher has it. Raises `Refusal` with the reason and what to do by hand."""
    row = change.claim
    if row is None or row.gone_at is not None or row.uid != change.uid:
        raise _refusal(f"Claim {change.key} is gone, or another one has its name now.")
    claim = ObjectRef.claim(change.namespace, change.name)
    if row.owner_kind == Owner.KUSTOMIZATION:
        owner = cluster.get_kustomization(row.owner_namespace, row.owner_name)
        if owner is None:
            raise _refusal(
                f"Kustomization {row.owner_namespace}/{row.owner_name} is not in this cluster: it was deleted, or it lives in another "
                "one. Protect the claim in the repository that it applies."
            )
        repo = _repository(change, owner, cluster)
        how = How.AUTO.value if change.how == How.RELEASE else change.how
        return Target(owner, repo.name, repository(repo), flux_of(owner), claim, how)
    if row.owner_kind == Owner.HELM_RELEASE:
        return _helm(
            change, row, cluster, claim, ObjectRef("HelmRelease", row.owner_namespace, row.owner_name)
        )
    what, by_hand = advice_for(row)
    raise _refusal(what, by_hand=by_hand)


def _helm(
    change: ProtectionChange, row: models.Claim, cluster: Cluster, claim: ObjectRef, release: ObjectRef
) -> HelmTarget:
    held = [
        k
        for k in cluster.list_kustomizations()
        if not k.remote and k.holds("HelmRelease", release.namespace, release.name, HELM_GROUP)
    ]
    if not held:
        what, by_hand = advice_for(row)
        raise _refusal(
            f"No Kustomization holds {release}, so no file of a Git repository is known to declare it. {what}",
            by_hand=by_hand,
        )
    owner = held[0]
    repo = _repository(change, owner, cluster)
    return HelmTarget(owner, repo.name, repository(repo), flux_of(owner), claim, change.how, release)


def _repository(change: ProtectionChange, owner: Kustomization, cluster: Cluster) -> GitRepository:
    rows = {(r.source_namespace, r.source_name): r for r in change.cluster.repositories.all()}
    key = (owner.source_namespace, owner.source_name)
    source = cluster.get_git_source(*key) if owner.source_kind == "GitRepository" else None
    why = repository_problem(owner, rows, {key: source} if source else {})
    if why:
        by_hand = (
            f"python -m gitops protect --repo . --path {owner.path.removeprefix('./') or '.'} "
            f"--namespace {change.namespace} --claim {change.name}"
        )
        raise _refusal(why.removeprefix(NOT_COMPARED), by_hand=by_hand)
    return rows[key]


def commits_applied(owner: Kustomization) -> list[str]:
    """Commits whose objects Flux has applied. Health is checked after apply and prune (A4): a failed check has applied, too."""
    found = [commit_of(owner.applied_revision)]
    if owner.ready and owner.ready.reason == "HealthCheckFailed":
        found.append(commit_of(owner.attempted_revision))
    return [commit for commit in found if commit]


def _refusal(what: str, *, by_hand: str = "") -> Refusal:
    return Refusal(Reason.NOT_FOUND, what, by_hand=by_hand)
