"""Undo: rebuilds each source claim on its kept volume, protected. The destination and its workload are not touched."""

from collections.abc import Callable

from cluster.flux import flux_protected
from cluster.values import Claim, ClaimRef, Volume
from gitops.errors import GitOpsError
from migrations_app.models import GitMode, ReleasePath, Transfer
from migrations_app.problems import Problem
from worker import declarations, flux, gitside, manifests, movers, suspension
from worker.context import LABEL, Context
from worker.outcomes import Again, Done, Outcome, Stop
from worker.releasing import arriving

WAS_POLICY = "holdfast.dev/reclaim-policy"


def tick(context: Context) -> Outcome:
    return (
        movers.remove_every(context)
        or _each(context, _rebuild)
        or _as_git_says(context)
        or _admit_loss(context)
        or _finish(context)
    )


def _as_git_says(context: Context) -> Outcome | None:
    """Owner and policies. Where Git does not answer, what is lost is said all the same: no answer brings it back."""
    try:
        return _settle_git(context) or _each(context, _restore_policy)
    except GitOpsError:
        lost = _admit_loss(context)
        if lost is None:
            raise
        return lost


def _each(context: Context, act: Callable[[Context, Transfer], Outcome | None]) -> Outcome | None:
    for transfer in context.transfers:
        outcome = act(context, transfer)
        if outcome is not None:
            return outcome
    return None


def _lost(volume: Volume | None, transfer: Transfer) -> bool:
    """Whether the kept volume is gone; another one of its name holds other data."""
    return volume is None or volume.uid != transfer.source_volume_uid


def _admit_loss(context: Context) -> Outcome | None:
    """What can be rebuilt is rebuilt by now."""
    lost = [t for t in context.transfers if _lost(context.cluster.get_volume(t.source_volume), t)]
    if not lost:
        return None
    back = [t.source_name for t in context.transfers if t not in lost]
    rest = f" Back on their volumes: {', '.join(back)}." if back else ""
    names = ", ".join(f"{t.source_volume} of {t.source_name}" for t in lost)
    return Stop(
        Problem(
            f"Kept and gone, not by Undo: volume {names}.",
            f"The destination has a proven copy of the data.{rest}",
            "Restore the source from the destination or a snapshot. Then close the migration as it is.",
            code="volume-lost",
        )
    )


def _finish(context: Context) -> Outcome:
    context.evidence(
        "undone",
        {"claims": [f"{context.migration.source_namespace}/{t.source_name}" for t in context.transfers]},
    )
    left = context.memory.get("left", "")
    stays = f"What is in {context.migration.destination_namespace}, claims and application, stays as it is."
    stays += gitside.open_branches(context, "exempt", "release")
    return Done(
        "The source claims are back on their volumes, protected. Git does not declare them: nothing will prune them. "
        f"{_declare_again(context)}{stays}"
        if not left
        else f"The source claims are on their volumes. {left} {stays}"
    )


def _declare_again(context: Context) -> str:
    """How Git comes to declare the source again, where Git no longer does. Holdfast leaves that to a person: it starts the application."""
    migration = context.migration
    if migration.git_mode == GitMode.NONE or migration.source_owner.get("kind") != "Kustomization":
        return ""
    if migration.git_mode == GitMode.MANUAL:
        how = "revert in Git the commit with which you applied the Release change (the patch is under Plan)"
    else:
        # Found by its trailers: what was pushed as a branch may have another commit by now.
        find = (
            f"git log -E --all-match --format=%H --grep '^Holdfast-Migration: {migration.reference}$' "
            "--grep '^Holdfast-Change: (release|exempt)$'"
        )
        how = f"revert the Release change in Git: git revert $({find})"
    runs = (
        ""
        if migration.within_namespace
        else (
            f" This starts the application in {migration.source_namespace} again, too: take it out of "
            f"{migration.destination_namespace} first, so that only one of them is written to."
        )
    )
    return f"To declare them again, {how}.{runs} "


def _rebuild(context: Context, transfer: Transfer) -> Outcome | None:
    namespace = context.migration.source_namespace
    volume = context.cluster.get_volume(transfer.source_volume)
    if volume is None or volume.uid != transfer.source_volume_uid:
        return None  # said when the others are back
    claim = context.cluster.get_claim(namespace, transfer.source_name)
    if volume.reclaim_policy != "Retain" and (claim is None or claim.deleting):
        context.act(
            key=f"undo/retain/{volume.name}",
            verb="volume.retain",
            ref=volume.ref,
            before={"reclaim_policy": volume.reclaim_policy},
            after={"reclaim_policy": "Retain"},
            call=lambda: context.cluster.set_reclaim_policy(volume, "Retain"),
        )
        return Again(f"Volume {volume.name} is kept.", after_s=0.1)
    if claim is not None:
        return _check_claim(context, transfer, claim, volume)
    reserved = volume.claim_ref == ClaimRef(namespace, transfer.source_name)
    if not reserved:
        old = volume.claim_ref
        if old is not None and old.uid != transfer.source_uid and not _rebuilt(context, volume, old):
            return Stop(_taken(volume, old))
        if volume.phase == "Bound":
            return Again(f"Waiting for volume {volume.name} to be released.", after_s=0.5)
        context.act(
            key=f"undo/reserve/{volume.name}",
            verb="volume.reserve",
            ref=volume.ref,
            before={"claim_uid": transfer.source_uid},
            after={"namespace": namespace, "claim": transfer.source_name},
            call=lambda: context.cluster.restore_claim_ref(
                volume, expected=old, wanted=ClaimRef(namespace, transfer.source_name)
            ),
        )
        return Again(f"Volume {volume.name} is reserved for {transfer.source_name}.", after_s=0.1)
    _create(context, transfer)
    return Again(f"Created claim {transfer.source_name}.", after_s=0.2)


def _rebuilt(context: Context, volume: Volume, held: ClaimRef) -> bool:
    """Whether the volume was held last by a claim that this Undo made, and that somebody deleted since."""
    made = context.migration.intents.filter(key=f"undo/claim.create/{held.name}", uid=held.uid)
    return volume.phase == "Released" and bool(held.uid) and made.exists()


def _settle_git(context: Context) -> Outcome | None:
    """What Git and Flux make of the claims from now on, and the owner that a stopped release left suspended.

    The artifact first: resumed on an old one, Flux would start the application on the source again, beside the destination.
    """
    migration, owner = context.migration, context.migration.source_owner
    if migration.git_mode == GitMode.NONE or owner.get("kind") != "Kustomization":
        return flux.resume_owner(context, owner)
    arrived = gitside.arrival(context, declarations.removed, owner)
    if not suspension.rests(context, migration.source_owner) and not _held(context):
        if not arrived.in_branch:
            context.memory.setdefault("left", "They are protected, and Git declares them.")
        return None
    if not arrived.in_branch:
        return _declared_still(context)
    context.memory["left"] = ""
    if not arrived.in_artifact:
        return flux.bring(context, owner, arrived, key="undo")
    resumed = flux.resume_owner(context, owner)
    if resumed is not None or not _held(context):
        return resumed
    # Nothing is settled before Flux has made up its mind about each claim.
    return flux.apply(context, owner, arrived.artifact, key="undo")


def _held(context: Context) -> bool:
    """Whether Flux still answers for one of the claims: then it could yet delete it."""
    kustomization = arriving.owner_of(context)
    return any(arriving.holds(kustomization, context, transfer) for transfer in context.transfers)


def _declared_still(context: Context) -> Outcome | None:
    """Git declares the source as a whole, or only its claims, free to be pruned (the first of two commits)."""
    migration = context.migration
    if _exempt(context):
        context.memory["left"] = (
            "Git still declares them, and lets Flux prune them as soon as it does not: their volumes stay on Retain. "
            "Take the change that lifted the protection out of Git again, then set the reclaim policy back."
        )
    elif suspension.rests(context, migration.source_owner):
        owner = migration.source_owner
        context.memory["left"] = (
            f"They are protected. {owner['kind']} {owner['namespace']}/{owner['name']} stays suspended: "
            "Git still declares the application there, and would start it."
        )
    else:
        context.memory["left"] = "They are protected, and Git declares them."
    return None


def _exempt(context: Context) -> bool:
    """The release lifted the protection in Git, and Git still says so: a mark on the live claim would not last."""
    migration = context.migration
    if migration.release_path != ReleasePath.COMMITS or migration.source_owner.get("kind") != "Kustomization":
        return False
    # Git is asked, not what was seen: a branch may have been merged when nobody looked any more.
    tried = migration.git_mode == GitMode.MANUAL or migration.intents.filter(key="exempt/git.push").exists()
    if not tried or migration.evidence.filter(kind="released").exists():
        return False
    found = gitside.arrival(context, declarations.removed, migration.source_owner)
    if found.in_branch:
        return False
    return gitside.arrival(context, declarations.exempted, migration.source_owner).in_branch


def _create(context: Context, transfer: Transfer) -> None:
    manifest = manifests.source_claim_again(context.migration, transfer)
    key = f"undo/claim.create/{manifest.name}"
    context.create(manifest, key=key, verb="claim.create", after={"volume": transfer.source_volume})


def _check_claim(context: Context, transfer: Transfer, claim: Claim, volume: Volume) -> Outcome | None:
    """Bound to the kept volume on both sides, and protected."""
    if claim.deleting:
        return Again(f"Waiting for the old claim {claim.name} to be gone.", after_s=0.5)
    # A person may have rebuilt it by hand, on the very volume.
    held = volume.claim_ref
    there = claim.volume_name == volume.name and held is not None and held.uid == claim.uid
    ours = there or claim.uid == transfer.source_uid or claim.labels.get(LABEL) == context.migration.reference
    if not ours or (claim.volume_name and claim.volume_name != volume.name):
        return Stop(_taken(volume, ClaimRef(claim.namespace, claim.name, claim.uid)))
    if claim.phase != "Bound" or volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
        return Again(f"Waiting for {claim.name} and {volume.name} to bind.", after_s=0.5)
    if not flux_protected(claim.labels, claim.annotations) and not _exempt(context):
        # Release had lifted it when it stopped.
        context.act(
            key=f"undo/protect/{claim.name}",
            verb="claim.protect",
            ref=claim.ref,
            after=dict(manifests.PROTECT),
            call=lambda: context.cluster.annotate(
                claim.ref, manifests.PROTECT, resource_version=claim.resource_version
            ),
        )
        return Again(f"{claim.name} is protected again.", after_s=0.1)
    return None


def _restore_policy(context: Context, transfer: Transfer) -> Outcome | None:
    """The volume gets the policy back that it had, unless Flux could still delete its claim: then it stays on Retain."""
    volume = context.cluster.get_volume(transfer.source_volume)
    if volume is None or _lost(volume, transfer) or volume.phase != "Bound" or _exempt(context):
        return None
    was = volume.annotations.get(WAS_POLICY, "")
    if was and volume.reclaim_policy != was:
        context.act(
            key=f"undo/restore-policy/{volume.name}",
            verb="volume.policy",
            ref=volume.ref,
            before={"reclaim_policy": volume.reclaim_policy},
            after={"reclaim_policy": was},
            call=lambda: context.cluster.set_reclaim_policy(volume, was, annotations={WAS_POLICY: None}),
        )
        return Again(f"Volume {volume.name} has its reclaim policy {was} again.", after_s=0.1)
    return None


def _taken(volume: Volume, holder: ClaimRef) -> Problem:
    return Problem(
        f"{holder.namespace}/{holder.name} stands in the way: it is not the source claim on volume {volume.name}.",
        "Nothing was deleted. The kept volume is on Retain.",
        "Find out whose it is. Remove it if it holds nothing you need, then retry.",
        f"kubectl get pv {volume.name} -o yaml",
        "taken",
    )
