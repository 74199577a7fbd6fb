"""Brings a change of release into the branch that the cluster follows, and notices when somebody takes it back."""

from cluster.flux import Kustomization
from migrations_app.models import GitMode, Transfer
from migrations_app.problems import Problem
from worker import gitside, owners
from worker.context import Context
from worker.declarations import GitChange, deployed, removal
from worker.gitside import Arrival
from worker.outcomes import Again, Outcome, Stop, Wait


def owner_of(context: Context) -> Kustomization | None:
    """The source's Kustomization as it is now."""
    owner = context.migration.source_owner
    return context.cluster.get_kustomization(owner["namespace"], owner["name"])


def holds(kustomization: Kustomization | None, context: Context, transfer: Transfer) -> bool:
    """Whether the Kustomization has the source claim in its inventory."""
    return kustomization is not None and kustomization.holds(
        "PersistentVolumeClaim", context.migration.source_namespace, transfer.source_name
    )


def unmoved(context: Context) -> Outcome | None:
    """The Kustomizations are those that were inspected, and Git still wants the application in the destination."""
    moved = owners.check(context, context.migration.source_owner)
    if moved is not None:
        return moved
    made = context.migration.evidence.filter(kind="deployed").order_by("-id").first()
    if made is None or not made.data.get("in_git"):
        return None
    moved = owners.check(context, context.migration.destination_owner)
    if moved is not None:
        return moved
    if gitside.arrival(context, deployed, context.migration.destination_owner).in_branch:
        return None
    return Stop(
        Problem(
            f"Git does not declare {context.migration.application} in {context.migration.destination_namespace} any more.",
            "No source claim is deleted by Holdfast. The destination claims are protected.",
            "Find out who removed it. Put it back and retry, or use Undo.",
            code="destination-undeclared",
        )
    )


def reach(context: Context, change: GitChange) -> Arrival | Outcome:
    """How far the change has come once the branch says it; until then what is done, or awaited, to get it there."""
    found = gitside.arrival(context, change.arrived, context.migration.source_owner)
    if not found.in_branch:
        return _push(context, change)
    if not arrived_once(context, change):
        context.evidence("git-arrived", {"change": change.key, "head": found.head})
    return found


def _push(context: Context, change: GitChange) -> Outcome:
    """The branch does not say it yet: it is on its way, or somebody took it back."""
    if arrived_once(context, change):
        return Stop(taken_back(context, change))
    migration = context.migration
    if migration.git_mode == GitMode.MANUAL:
        return Wait(
            f"Apply “{change.summary}” to Git (the patch is under Plan).", "migrations.edit", after_s=10
        )
    if not context.memory.get(f"{change.key}_commit"):
        pushed = gitside.push(context, change)
        branch = context.memory[f"{change.key}_branch"]
        return Again(f"Pushed {pushed.commit[:12]} to {branch}.", after_s=0.5)
    if migration.git_mode == GitMode.DIRECT:
        return Stop(taken_back(context, change))
    return Wait(f"Merge branch {context.memory[f'{change.key}_branch']}.", "migrations.edit", after_s=10)


def arrived_once(context: Context, change: GitChange) -> bool:
    """The change was seen in the branch that the cluster follows, in this or an earlier attempt."""
    seen = context.migration.evidence.filter(kind="git-arrived").values_list("data", flat=True)
    return any(data.get("change", "release") == change.key for data in seen)


def taken_back(context: Context, change: GitChange) -> Problem:
    """The problem when Git no longer says what it has said."""
    migration = context.migration
    if change.key == "exempt":
        return Problem(
            f"Somebody took “{change.summary}” out of Git again.",
            "No source claim is deleted. Its volumes are on Retain.",
            "Find out who did it and why. Put it back, then retry; or leave it and use Undo.",
            code="exemption-taken-back",
        )
    return Problem(
        f"Somebody declared {migration.application} in {migration.source_namespace} in Git again, after it was removed there.",
        "No source claim is deleted while Git declares it. Its volumes are on Retain.",
        "Find out who did it and why. Remove it from Git again, then retry; or leave it there and use Undo.",
        code="source-readded",
    )


def still_gone(context: Context, transfer: Transfer) -> Outcome | None:
    """Right before each act against a claim, and at the end: Flux does not hold it, and Git does not declare it."""
    change = removal(context.migration)
    if holds(owner_of(context), context, transfer):
        return Stop(taken_back(context, change))
    if not gitside.arrival(context, change.arrived, context.migration.source_owner).in_branch:
        return Stop(taken_back(context, change))
    return None
