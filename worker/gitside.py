"""The Git side of a migration: which changes it needs, whether they have arrived, how they are pushed.

Whether a change has arrived is asked of the tree itself (is the claim declared there now?), not of a commit's name:
a squash, a rebase, or a person's own commit that says the same is as good.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from cluster.flux import commit_of
from cluster.values import Ref
from dashboard.credentials import why_not
from dashboard.models import GitRepository
from dashboard.states import CredentialsKind
from gitops.change import Change, Tree
from gitops.errors import GitOpsError, Reason, Refusal
from gitops.git import Credentials
from gitops.locate import locate
from gitops.relocate import Copy, copy_to
from gitops.remove import remove
from gitops.repository import Author, PushedCommit, Repository
from gitops.values import CLAIM, FluxPath, ObjectRef
from migrations_app.models import GitMode, Migration
from migrations_app.problems import Problem
from worker.context import Context
from worker.quantities import quantity
from worker.workload_list import all_workloads

AUTHOR = Author("Holdfast", "holdfast@holdfast.invalid")


@dataclass
class Changes:
    """The Git changes of a migration as they would be made now; `problems` where one cannot be made with certainty."""

    commit: str = ""
    deploy: Change | None = None
    release: Change | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def deploy_paths(self) -> tuple[str, ...]:
        return self.deploy.paths if self.deploy else ()

    @property
    def release_paths(self) -> tuple[str, ...]:
        return self.release.paths if self.release else ()


def row_for(migration: Migration) -> GitRepository | None:
    """The repository behind the source's Kustomization."""
    owner = migration.source_owner
    rows = GitRepository.objects.filter(cluster=migration.cluster)
    return rows.filter(
        source_namespace=owner.get("source_namespace", ""), source_name=owner.get("source_name", "")
    ).first()


def repository(row: GitRepository) -> Repository:
    """The worker's clone of it."""
    name = hashlib.sha256(f"{row.pk}:{row.url}:{row.branch}".encode()).hexdigest()[:16]
    directory = Path(settings.HOLDFAST_DATA) / "clones" / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    return Repository(row.url, row.branch, directory, _credentials(row))


def _credentials(row: GitRepository) -> Credentials:
    """References alone: a key for ssh URLs, a token for others."""
    if not row.credentials_name:
        return Credentials()
    # Asked here again: rows may be older than the rule, or not made by the form.
    if reason := why_not(row.credentials_kind, row.credentials_name):
        raise GitOpsError(
            f"The credentials of repository {row.name} cannot be used. {reason}",
            next_step="An admin corrects it under Settings, then retry.",
        )
    over_ssh = row.url.startswith("ssh://") or (":" in row.url and "://" not in row.url)
    if row.credentials_kind == CredentialsKind.FILE:
        return (
            Credentials(ssh_key_file=row.credentials_name)
            if over_ssh
            else Credentials(token_file=row.credentials_name)
        )
    return (
        Credentials(ssh_key_env=row.credentials_name)
        if over_ssh
        else Credentials(token_env=row.credentials_name)
    )


def source_objects(migration: Migration) -> list[ObjectRef]:
    """What Git declares of the application in the source: workloads first, so that nothing mounts what is removed."""
    namespace = migration.source_namespace
    transfers = list(migration.transfers.all())
    workloads = [ObjectRef(w["kind"], namespace, w["name"]) for w in all_workloads(transfers)]
    claims = [ObjectRef.claim(namespace, t.source_name) for t in transfers if t.declared_in_git]
    return workloads + claims


def destination_objects(migration: Migration) -> list[ObjectRef]:
    """The same objects where they go, claims under their new names."""
    names = _renamed(migration)
    return [
        ObjectRef(
            ref.kind,
            migration.destination_namespace,
            names.get(ref.name, ref.name) if ref.kind == CLAIM else ref.name,
        )
        for ref in source_objects(migration)
    ]


def _renamed(migration: Migration) -> dict[str, str]:
    return {t.source_name: t.destination_name for t in migration.transfers.all()}


def flux_path(facts: dict[str, Any]) -> FluxPath:
    """The directory that a Kustomization applies, with every option that changes names, from the facts of inspect."""
    return FluxPath(
        facts["path"].removeprefix("./").strip("/"),
        target_namespace=facts.get("target_namespace", ""),
        name_prefix=facts.get("name_prefix", ""),
        name_suffix=facts.get("name_suffix", ""),
        substitute=facts.get("substitute", {}),
        components=tuple(facts.get("components", ())),
        patches=tuple((target, patch) for target, patch in facts.get("patches", ())),
        common_annotations=facts.get("common_annotations", {}),
        common_labels=facts.get("common_labels", {}),
        source=facts.get("source_name", ""),
    )


def make_deploy(migration: Migration) -> Callable[[Tree], Change]:
    """A function that lays the deploy change over a tree: claims and workloads copied to the destination's path."""
    source, destination = flux_path(migration.source_owner), flux_path(migration.destination_owner)

    def make(tree: Tree) -> Change:
        options = Copy(rename=_renamed(migration), storage_class=_classes(migration), size=_sizes(migration))
        refs = source_objects(migration)
        copied = copy_to(tree, source, refs, destination, migration.destination_namespace, options)
        return tree.change(
            f"Run {migration.application} in {migration.destination_namespace}", notes=copied.notes
        )

    return make


def _classes(migration: Migration) -> dict[str, str]:
    """Only what differs: what is the same stays as it was written."""
    rows = migration.transfers.filter(declared_in_git=True)
    return {t.source_name: t.destination_class for t in rows if t.destination_class != t.source_class}


def _sizes(migration: Migration) -> dict[str, str]:
    rows = migration.transfers.filter(declared_in_git=True)
    return {
        t.source_name: quantity(t.destination_bytes)
        for t in rows
        if t.destination_bytes != t.facts["claim"]["requested_bytes"]
    }


def make_release(migration: Migration) -> Callable[[Tree], Change]:
    """A function that lays the release change over a tree: the application's objects leave the source's path."""
    source = flux_path(migration.source_owner)

    def make(tree: Tree) -> Change:
        for ref in source_objects(migration):
            if declared(tree, source, ref):
                remove(tree, source, ref)
        return tree.change(f"Remove {migration.application} from {migration.source_namespace}")

    return make


def declared(tree: Tree, flux: FluxPath, ref: ObjectRef) -> bool:
    """Whether the tree declares the object. Any doubt is raised, never taken for a no."""
    try:
        locate(tree, flux, ref)
    except Refusal as refusal:
        if refusal.reason is Reason.NOT_FOUND:
            return False
        raise
    return True


def deployed(tree: Tree, migration: Migration) -> bool:
    """The destination's path declares everything that it should."""
    flux = flux_path(migration.destination_owner)
    return all(declared(tree, flux, ref) for ref in destination_objects(migration))


def removed(tree: Tree, migration: Migration) -> bool:
    """The source's path declares nothing of it any more."""
    flux = flux_path(migration.source_owner)
    return not any(declared(tree, flux, ref) for ref in source_objects(migration))


def changes(context: Context) -> Changes:
    """Both changes as they would be made on the branch's head now."""
    migration = context.migration
    found = Changes()
    if migration.git_mode == GitMode.NONE or migration.source_owner.get("kind") != "Kustomization":
        return found
    row = row_for(migration)
    if row is None:
        owner = migration.source_owner
        found.problems.append(
            Problem(
                f"Holdfast knows no Git repository for {owner['source_kind']} {owner['source_namespace']}/{owner['source_name']}.",
                "Nothing was changed.",
                "An admin adds it under Settings, or choose to apply the patch by hand.",
                code="repository-unknown",
            )
        )
        return found
    try:
        clone = repository(row)
        found.commit = clone.refresh()
        if migration.destination_owner.get("path") and not migration.within_namespace:
            found.deploy = _attempt(found, make_deploy(migration), clone.tree(found.commit))
        found.release = _attempt(found, make_release(migration), clone.tree(found.commit))
    except GitOpsError as error:
        found.problems.append(Problem(error.what, error.safe, error.next_step, error.command, "git"))
    return found


def _attempt(found: Changes, make: Callable[[Tree], Change], tree: Tree) -> Change | None:
    try:
        return make(tree)
    except Refusal as refusal:
        found.problems.append(
            Problem(refusal.what, refusal.safe, refusal.next_step, refusal.by_hand, "git-refused")
        )
        return None


def push(context: Context, *, key: str, make: Callable[[Tree], Change], summary: str) -> PushedCommit:
    """Pushes the change, directly or as a branch for review. A commit that a dead tick pushed is found and adopted."""
    migration = context.migration
    row = row_for(migration)
    if row is None:
        raise GitOpsError(
            "The Git repository is no longer known to Holdfast.",
            next_step="Add it under Settings, then retry.",
        )
    clone = repository(row)
    branch = f"holdfast/{migration.reference}-{key}" if migration.git_mode == GitMode.BRANCH else None
    message = f"{summary}\n\nMigration {migration.reference}, requested by {migration.requested_by_name}."
    pushed: PushedCommit = context.act(
        key=f"{key}/git.push",
        verb="git.push",
        ref=Ref("", "GitRepository", "", row.name),
        after={"branch": branch or row.branch, "summary": summary, "change": key},
        call=lambda: clone.commit_change(
            make,
            message,
            AUTHOR,
            branch=branch,
            reference=migration.reference,
            key=key,
            # What was reviewed is what is pushed: a change that comes out otherwise by now is not.
            expected_effect=_reviewed_effect(migration, key),
        ),
    )
    context.remember(**{f"{key}_commit": pushed.commit, f"{key}_branch": branch or row.branch})
    return pushed


def _reviewed_effect(migration: Migration, key: str) -> str:
    return next((str(item["effect"]) for item in migration.plan.get("git", []) if item["step"] == key), "")


@dataclass(frozen=True)
class Arrival:
    """How far a change has come: in the branch that the cluster follows, and in the source controller's artifact."""

    in_branch: bool
    in_artifact: bool
    head: str
    artifact: str


def arrival(context: Context, arrived: Callable[[Tree, Migration], bool], owner: dict[str, str]) -> Arrival:
    """Whether the branch's head says it, and whether the artifact of the owner's source does: both are read as trees."""
    row = row_for(context.migration)
    if row is None:
        raise GitOpsError(
            "The Git repository is no longer known to Holdfast.",
            next_step="Add it under Settings, then retry.",
        )
    clone = repository(row)
    head = clone.refresh()
    in_branch = arrived(clone.tree(head), context.migration)
    source = context.cluster.get_git_source(
        owner["source_namespace"], owner["source_name"], owner["source_kind"]
    )
    artifact = commit_of(source.artifact_revision) if source else ""
    in_artifact = False
    if in_branch and artifact:
        in_artifact = artifact == head or arrived(clone.tree(artifact), context.migration)
    return Arrival(in_branch, in_artifact, head, artifact)


def make_undeploy(migration: Migration) -> Callable[[Tree], Change]:
    """A function that takes what Deploy added out of the destination's path again."""
    destination = flux_path(migration.destination_owner)

    def make(tree: Tree) -> Change:
        for ref in destination_objects(migration):
            if declared(tree, destination, ref):
                remove(tree, destination, ref)
        return tree.change(f"Take {migration.application} out of {migration.destination_namespace} again")

    return make


def undeployed(tree: Tree, migration: Migration) -> bool:
    """The destination's path declares nothing of it."""
    flux = flux_path(migration.destination_owner)
    return not any(declared(tree, flux, ref) for ref in destination_objects(migration))
