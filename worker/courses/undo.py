"""Undo: rebuilds each source claim on its kept volume, protected. The destination and its workload are not touched."""

from cluster.flux import flux_protected
from cluster.values import Claim, ClaimRef, Volume
from migrations_app.models import GitMode, Transfer
from migrations_app.problems import Problem
from worker import flux, gitside, manifests, movers, suspension
from worker.context import LABEL, Context
from worker.outcomes import Again, Done, Outcome, Stop

WAS_POLICY = "holdfast.dev/reclaim-policy"


def tick(context: Context) -> Outcome:
    left = movers.remove_every(context)
    if left is not None:
        return left
    for transfer in context.transfers:
        outcome = _one(context, transfer)
        if outcome is not None:
            return outcome
    resumed = _resume(context)
    if resumed is not None:
        return resumed
    context.evidence(
        "undone",
        {"claims": [f"{context.migration.source_namespace}/{t.source_name}" for t in context.transfers]},
    )
    left = context.memory.get("left", "")
    return Done(
        "The source claims are back on their volumes, protected. Git does not declare them: nothing will prune them."
        if not left
        else f"The source claims are on their volumes, protected. {left}"
    )


def _one(context: Context, transfer: Transfer) -> Outcome | None:
    namespace = context.migration.source_namespace
    volume = context.cluster.get_volume(transfer.source_volume)
    if volume is None or volume.uid != transfer.source_volume_uid:
        return Stop(
            Problem(
                f"The kept volume {transfer.source_volume} is gone.",
                "The destination has a proven copy of the data.",
                "Restore the source from the destination or a snapshot.",
                code="volume-lost",
            )
        )
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
        if old is not None and old.uid != transfer.source_uid:
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


def _resume(context: Context) -> Outcome | None:
    """A release that stopped half-way may have left the owner suspended. It is resumed where Git has let go of the source.

    The artifact first: on an old one Flux would start the application on the source again, beside the destination.
    """
    migration, owner = context.migration, context.migration.source_owner
    found = suspension.find(context, owner["kind"], owner["namespace"], owner["name"]) if owner else None
    if found is None or not suspension.ours(context, found):
        return None
    if migration.git_mode != GitMode.NONE and owner["kind"] == "Kustomization":
        arrived = gitside.arrival(context, gitside.removed, owner)
        if not arrived.in_branch:
            context.memory["left"] = (
                f"{found.ref} stays suspended: Git still declares the application there, and would start it."
            )
            return None
        if not arrived.in_artifact:
            return flux.bring(context, owner, arrived, key="undo")
    return flux.resume_owner(context, owner)


def _create(context: Context, transfer: Transfer) -> None:
    manifest = manifests.source_claim_again(context.migration, transfer)
    key = f"undo/claim.create/{manifest.name}"
    context.create(manifest, key=key, verb="claim.create", after={"volume": transfer.source_volume})


def _check_claim(context: Context, transfer: Transfer, claim: Claim, volume: Volume) -> Outcome | None:
    """Bound to the kept volume on both sides; then the volume gets the policy back that it had."""
    if claim.deleting:
        return Again(f"Waiting for the old claim {claim.name} to be gone.", after_s=0.5)
    ours = claim.uid == transfer.source_uid or claim.labels.get(LABEL) == context.migration.reference
    if not ours or (claim.volume_name and claim.volume_name != volume.name):
        return Stop(_taken(volume, ClaimRef(claim.namespace, claim.name, claim.uid)))
    if claim.phase != "Bound" or volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
        return Again(f"Waiting for {claim.name} and {volume.name} to bind.", after_s=0.5)
    if not flux_protected(claim.labels, claim.annotations):
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
