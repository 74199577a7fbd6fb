"""Undo: rebuilds each source claim on its kept volume, protected. The destination and its workload are not touched."""

from cluster.errors import AlreadyExists
from cluster.values import Claim, ClaimRef, Volume
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import manifests
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop

WAS_POLICY = "holdfast.dev/reclaim-policy"


def tick(context: Context) -> Outcome:
    for transfer in context.transfers:
        outcome = _one(context, transfer)
        if outcome is not None:
            return outcome
    context.evidence(
        "undone",
        {"claims": [f"{context.migration.source_namespace}/{t.source_name}" for t in context.transfers]},
    )
    return Done(
        "The source claims are back on their volumes, protected. Git does not declare them: nothing will prune them."
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


def _create(context: Context, transfer: Transfer) -> None:
    manifest = manifests.source_claim_again(context.migration, transfer)
    try:
        context.act(
            key=f"undo/claim.create/{manifest.name}",
            verb="claim.create",
            ref=manifest.ref,
            call=lambda: context.cluster.create(manifest),
            after={"volume": transfer.source_volume},
        )
    except AlreadyExists as error:
        if error.labels.get(manifests.LABEL) != context.migration.reference:
            raise


def _check_claim(context: Context, transfer: Transfer, claim: Claim, volume: Volume) -> Outcome | None:
    """Bound to the kept volume on both sides; then the volume gets the policy back that it had."""
    if claim.deleting:
        return Again(f"Waiting for the old claim {claim.name} to be gone.", after_s=0.5)
    if claim.volume_name and claim.volume_name != volume.name:
        return Stop(_taken(volume, ClaimRef(claim.namespace, claim.name, claim.uid)))
    if claim.phase != "Bound" or volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
        return Again(f"Waiting for {claim.name} and {volume.name} to bind.", after_s=0.5)
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
