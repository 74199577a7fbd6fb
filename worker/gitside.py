"""The Git side of a migration: its changes laid over the branch's head, whether they have arrived, how they are pushed."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from cluster.flux import commit_of
from cluster.values import Ref
from dashboard.credentials import why_not
from dashboard.models import GitRepository
from dashboard.states import CredentialsKind
from gitops.change import Change, Tree
from gitops.errors import GitOpsError, Refusal, ReviewOutdated
from gitops.git import Credentials
from gitops.repository import Author, PushedCommit, Repository
from migrations_app.models import GitMode, Migration
from migrations_app.problems import Problem
from migrations_app.rules import pushing
from worker.context import Context
from worker.declarations import GitChange, blind_spots, deployment
from worker.followed import not_followed

AUTHOR = Author("Holdfast", "holdfast@holdfast.invalid")


@dataclass
class Changes:
    """The Git changes of a migration as they would be made now; `problems` where one cannot be made with certainty."""

    commit: str = ""
    deploy: Change | None = None
    # In the order in which they are pushed, each made on what the one before it leaves.
    release: list[tuple[GitChange, Change]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    # What of the paths cannot be read, before any change.
    blind: dict[str, list[str]] = field(default_factory=dict)

    @property
    def deploy_paths(self) -> tuple[str, ...]:
        return self.deploy.paths if self.deploy else ()

    @property
    def release_paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for _, change in self.release for path in change.paths))


@dataclass(frozen=True)
class Limits:
    """Seconds that each git command may take, that the first fetch may, and that another process may use the clone."""

    git_s: float = 120
    clone_s: float = 120
    lock_s: float = 60


_LIMITS = Limits()


def row_for(migration: Migration) -> GitRepository | None:
    """The repository behind the source's Kustomization."""
    return pushing.row_of(migration.cluster_id, migration.source_owner)


def repository(row: GitRepository, limits: Limits = _LIMITS) -> Repository:
    """The worker's clone of it."""
    name = hashlib.sha256(f"{row.pk}:{row.url}:{row.branch}".encode()).hexdigest()[:16]
    directory = Path(settings.HOLDFAST_DATA) / "clones" / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    return Repository(
        row.url,
        row.branch,
        directory,
        _credentials(row),
        timeout_s=limits.git_s,
        lock_timeout_s=limits.lock_s,
        first_timeout_s=limits.clone_s,
    )


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


def changes(context: Context, releasing: Iterable[GitChange]) -> Changes:
    """All changes as they would be made on the branch's head now; `releasing` are those of the path of release."""
    migration = context.migration
    found = Changes()
    if migration.git_mode == GitMode.NONE or migration.source_owner.get("kind") != "Kustomization":
        return found
    row = row_for(migration)
    if row is None:
        found.problems.append(_unknown(migration))
        return found
    try:
        clone = repository(row)
        found.commit = clone.refresh()
        found.blind = blind_spots(clone.tree(found.commit), migration)
        migration.plan = {**migration.plan, "git_blind": found.blind}
        if migration.destination_owner.get("path") and not migration.within_namespace:
            found.deploy = _attempt(found, deployment(migration).make, clone.tree(found.commit))
        tree = clone.tree(found.commit)
        for wanted in releasing:
            made = _attempt(found, wanted.make, tree)
            if made is not None:
                found.release.append((wanted, made))
    except GitOpsError as error:
        found.problems.append(Problem(error.what, error.safe, error.next_step, error.command, "git"))
    return found


def _unknown(migration: Migration) -> Problem:
    owner = migration.source_owner
    return Problem(
        f"Holdfast knows no Git repository for {owner['source_kind']} {owner['source_namespace']}/{owner['source_name']}.",
        "Nothing was changed.",
        "An admin adds it under Settings, or choose to apply the patch by hand.",
        code="repository-unknown",
    )


def _attempt(found: Changes, make: Callable[[Tree], Change], tree: Tree) -> Change | None:
    try:
        return make(tree)
    except Refusal as refusal:
        found.problems.append(
            Problem(refusal.what, refusal.safe, refusal.next_step, refusal.by_hand, "git-refused")
        )
        return None


def push(context: Context, change: GitChange) -> PushedCommit:
    """Pushes the change, directly or as a branch for review. A commit that a dead tick pushed is found and adopted."""
    migration, key, summary = context.migration, change.key, change.summary
    row = row_for(migration)
    if row is None:
        raise GitOpsError(
            "The Git repository is no longer known to Holdfast.",
            next_step="Add it under Settings, then retry.",
        )
    clone = repository(row)
    _check_allowed(context, row, clone, change)
    branch = f"holdfast/{migration.reference}-{key}" if migration.git_mode == GitMode.BRANCH else None
    message = f"{summary}\n\nMigration {migration.reference}, requested by {migration.requested_by_name}."

    def commit() -> PushedCommit:
        try:
            return clone.commit_change(
                change.make,
                message,
                AUTHOR,
                branch=branch,
                reference=migration.reference,
                key=key,
                # What was reviewed is what is pushed: a change that comes out otherwise by now is not.
                expected_effect=_reviewed_effect(migration, key),
            )
        except ReviewOutdated as error:
            raise ReviewOutdated(
                error.what,
                diff=error.diff,
                safe="Nothing was pushed. The source is unchanged, and so are the claims of the destination.",
                next_step="Take the other change in Git back, retry, and make it again afterwards; or roll back and start again. "
                "Below is what would be pushed now.",
            ) from error

    pushed: PushedCommit = context.act(
        key=f"{key}/git.push",
        verb="git.push",
        ref=Ref("", "GitRepository", "", row.name),
        after={"branch": branch or row.branch, "summary": summary, "change": key},
        call=commit,
    )
    context.heads.pop(row.pk, None)
    context.remember(**{f"{key}_commit": pushed.commit, f"{key}_branch": branch or row.branch})
    return pushed


class NotAllowed(GitOpsError):
    """Holdfast may not push there. ``by_hand`` is the change that a person can apply instead."""

    def __init__(self, what: str, *, next_step: str, by_hand: str = "") -> None:
        super().__init__(what, safe="Nothing was pushed.", next_step=next_step)
        self.by_hand = by_hand


def _check_allowed(context: Context, row: GitRepository, clone: Repository, change: GitChange) -> None:
    """An admin may have changed what Holdfast knows of the repository since the plan, or Flux what it follows."""
    migration = context.migration
    if forbidden := pushing.too_much(row, migration.git_mode):
        raise NotAllowed(
            forbidden,
            next_step="Apply the change below to Git yourself, or ask an admin to allow it under Settings; then retry.",
            by_hand=change.make(clone.tree(clone.refresh())).diff,
        )
    # Roll back takes its own change out from where it put it, whatever Flux follows by now.
    if change.key != "rollback" and (other := not_followed(context.cluster, migration.source_owner, row)):
        raise NotAllowed(
            other, next_step="Mend what Holdfast knows of the repository under Settings, then retry."
        )


def open_branches(context: Context, *keys: str) -> str:
    """A sentence about branches for review that may still be open: merged later, they would do what is not wanted any more."""
    if context.migration.git_mode != GitMode.BRANCH:
        return ""
    pushed = context.migration.intents.filter(key__in=[f"{key}/git.push" for key in keys])
    names = ", ".join(
        sorted({str(intent.after["branch"]) for intent in pushed if intent.after.get("branch")})
    )
    return f" Close {names} without merging, where it is still open." if names else ""


def _reviewed_effect(migration: Migration, key: str) -> str:
    """Of a change that was not in the reviewed plan, that it does nothing. Roll back's is in no plan."""
    if key == "rollback" or "git" not in migration.plan:
        return ""
    effects = {item.get("key", item["step"]): str(item["effect"]) for item in migration.plan["git"]}
    return effects.get(key, Change((), "").effect)


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
    # Once a look: a release asks for each of its claims.
    if row.pk not in context.heads:
        context.heads[row.pk] = clone.refresh()
    head = context.heads[row.pk]
    in_branch = arrived(clone.tree(head), context.migration)
    source = context.cluster.get_git_source(
        owner["source_namespace"], owner["source_name"], owner["source_kind"]
    )
    artifact = commit_of(source.artifact_revision) if source else ""
    in_artifact = False
    if in_branch and artifact:
        in_artifact = artifact == head or arrived(clone.tree(artifact), context.migration)
    return Arrival(in_branch, in_artifact, head, artifact)
