"""Roll back and Git: the Deploy change leaves it again, so that nothing runs in the destination.

That comes before the application is started in the source. Where Git does not answer, cannot be read with certainty, or does
not take the change (a policy, a protected branch), the application does not stay down for it as long as the destination is
still for another reason: the change never came into Git, or the destination's Kustomization holds nothing of it and rests by
a suspension of ours. Git is settled afterwards then.
"""

from celery.exceptions import SoftTimeLimitExceeded

from gitops.errors import GitOpsError
from migrations_app.models import GitMode
from worker import declarations, facts, flux, gitside, suspension
from worker.context import Context
from worker.courses import volumes
from worker.outcomes import Again, Outcome, Wait


def leave(context: Context) -> Outcome | None:
    """None when nothing of the application can start in the destination any more."""
    if not _concerned(context) or context.memory.get("git_left"):
        return None
    if context.memory.get("git_later"):
        return _kept_still(context)
    untouched = _untouched(context)  # asked first: Git may use up the time of this tick
    try:
        found = _look(context)
    except (GitOpsError, SoftTimeLimitExceeded):
        # The application may be what Git needs to answer again, or what it waits for.
        if untouched:
            context.remember(git_left=True, git_unread=True)
            return Again(
                "Git cannot be read. Holdfast put nothing into it, so it is not waited for.", after_s=0.1
            )
        if not _can_be_kept_still(context):
            raise
        return _later(context, "Git cannot be read. The destination is kept still until it can be.")
    if found.in_branch or not _pushes(context):
        return _take_out(context, found)
    try:
        return _push(context)
    except (GitOpsError, SoftTimeLimitExceeded):
        # Somebody who has to allow it, or make the change, is not waited for with the application down.
        if not _can_be_kept_still(context):
            raise
        return _later(
            context, "Git does not take the change. The destination is kept still until it is in Git."
        )


def settle(context: Context) -> Outcome | None:
    """What `leave` had to put off. The application runs in the source by now, so that Git may take as long as it will."""
    if not context.memory.get("git_later"):
        return None
    try:
        return _take_out(context, _look(context))
    except GitOpsError as error:
        owner = context.migration.destination_owner
        if suspension.rests(context, owner):
            rests = f"Kustomization {owner['namespace']}/{owner['name']}"
            error.safe += (
                f" The workloads in {context.migration.source_namespace} were scaled back before this. Leave {rests} "
                "suspended until the Deploy change is out of Git: resumed before, it would start the application in "
                f"{context.migration.destination_namespace} too."
            )
        raise


def _later(context: Context, message: str) -> Again:
    context.remember(git_later=True)
    return Again(message, after_s=0.1)


def _concerned(context: Context) -> bool:
    migration = context.migration
    return (
        migration.git_mode != GitMode.NONE
        and bool(migration.destination_owner)
        # Deploy changed nothing in Git otherwise.
        and migration.source_owner.get("kind") == "Kustomization"
        # Within one namespace the destination's workload is the source's: it is never taken out.
        and not migration.within_namespace
        and volumes.began(context, "deploy")
    )


def _look(context: Context) -> gitside.Arrival:
    return gitside.arrival(context, declarations.undeployed, context.migration.destination_owner)


def _take_out(context: Context, found: gitside.Arrival) -> Outcome | None:
    migration, owner = context.migration, context.migration.destination_owner
    if not found.in_branch:
        if migration.git_mode == GitMode.MANUAL:
            return Wait("Take the Deploy change out of Git again.", "migrations.edit", after_s=10)
        if _pushes(context):
            return _push(context)
        if migration.git_mode == GitMode.DIRECT:
            return Wait(
                "Somebody put the Deploy change back into Git. Take it out again.",
                "migrations.edit",
                after_s=10,
            )
        return Wait(f"Merge branch {context.memory['rollback_branch']}.", "migrations.edit", after_s=10)
    pushed_once = migration.intents.filter(key="deploy/git.push").exists()
    if (pushed_once or suspension.rests(context, owner)) and not _let_go(context, found):
        # A suspension of ours is lifted only on an artifact that holds nothing of it.
        resumed = flux.resume_owner(context, owner) if found.in_artifact else None
        applied = resumed or flux.bring(context, owner, found, key="rollback")
        if applied is not None:
            return applied
    context.memory.update(git_left=True, git_later=False)
    return None


def _pushes(context: Context) -> bool:
    """Whether Holdfast takes the change out itself, and has not done so in this attempt."""
    return context.migration.git_mode != GitMode.MANUAL and not context.memory.get("rollback_commit")


def _push(context: Context) -> Again:
    pushed = gitside.push(context, declarations.undeployment(context.migration))
    return Again(f"Pushed {pushed.commit[:12]} to {context.memory['rollback_branch']}.", after_s=0.5)


def _untouched(context: Context) -> bool:
    """Whether the Deploy change never came into Git as far as is known, and Flux holds nothing of it: Git need not be asked then."""
    migration = context.migration
    return (
        # By hand, a person may have made the change unseen.
        migration.git_mode != GitMode.MANUAL
        # Whatever became of it: it is written down before each push.
        and not migration.intents.filter(key="deploy/git.push").exists()
        and not migration.runs.filter(step="deploy", memory__in_git=True).exists()
        and not _held(context)
    )


def _can_be_kept_still(context: Context) -> bool:
    """Whether a suspension of the destination's Kustomization, and of nothing else, keeps the application from starting there."""
    owner = context.migration.destination_owner
    found = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    if found is None or _held(context):
        return found is None
    if found.suspended:
        return suspension.ours(context, found)
    return not facts.parents_of(context.cluster, owner)


def _kept_still(context: Context) -> Outcome | None:
    """None while the destination's Kustomization rests because of us, in no pass, with nothing of the application."""
    owner = context.migration.destination_owner
    found = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    if found is None:
        return None
    if not found.suspended:
        return suspension.again(context, found)
    ended = suspension.passing(found)
    if ended is not None:
        return ended
    if _held(context) or not suspension.ours(context, found):
        context.memory["git_later"] = False
        return Again("The destination cannot be kept still, so Git is waited for.", after_s=0.1)
    return None


def _let_go(context: Context, found: gitside.Arrival) -> bool:
    """Whether the destination's Kustomization can do no more: it is gone, or holds nothing of ours and will fetch nothing of ours.

    Whether it is ready does not matter then: it may fail over objects of others for ever.
    """
    owner = context.migration.destination_owner
    gone = context.cluster.get_kustomization(owner["namespace"], owner["name"]) is None
    return gone or (found.in_artifact and not _held(context))


def _held(context: Context) -> bool:
    """Whether the destination's Kustomization has something of the application in its inventory."""
    owner = context.migration.destination_owner
    kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    objects = declarations.destination_objects(context.migration)
    return kustomization is not None and any(
        kustomization.holds(ref.kind, ref.namespace, ref.name, None) for ref in objects
    )
