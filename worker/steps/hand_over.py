"""Hand over: the staging volume becomes the destination claim's, without a moment in which it could be deleted.

The order is that of domain fact C2: Retain first and read back, delete the staging claim, wait for Released, replace
the reservation whole, create the claim, wait for both sides, restore the reclaim policy last.
"""

from cluster.values import Claim, ClaimRef, Volume
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import manifests, movers
from worker.context import LABEL, Context
from worker.outcomes import Again, Done, Outcome, Skipped, Stop

WAS_POLICY = "holdfast.dev/reclaim-policy"


def tick(context: Context) -> Outcome:
    if context.migration.within_namespace:
        _evidence(context)
        return Skipped(
            "Source and destination are in one namespace: the copy is the destination claim already."
        )
    left = movers.remove_every(context)
    if left is not None:
        return left
    for transfer in context.transfers:
        outcome = _one(context, transfer)
        if outcome is not None:
            return outcome
    _evidence(context)
    return Done("Every staging volume belongs to its destination claim.")


def _one(context: Context, transfer: Transfer) -> Outcome | None:
    migration = context.migration
    if not (transfer.content_digest and transfer.metadata_digest):
        return Stop(
            Problem(
                f"There is no proof of {transfer.source_name}.",
                "Nothing was handed over.",
                "Roll back, and start again.",
                code="unproven",
            )
        )
    volume = context.cluster.get_volume(transfer.staging_volume) if transfer.staging_volume else None
    if volume is None:
        return _learn_volume(context, transfer)
    if volume.uid != (transfer.staging_volume_uid or volume.uid):
        return Stop(_strange(volume, "is another volume than the one that was filled"))
    destination = context.cluster.get_claim(migration.destination_namespace, transfer.destination_name)
    if destination is not None and destination.deleting:
        return _outlast(context, transfer, destination, volume)
    if destination is not None and _bound_together(destination, volume):
        return _settle(context, transfer, destination, volume)
    staging = context.cluster.get_claim(migration.source_namespace, transfer.staging_name)
    if destination is not None and destination.labels.get(LABEL) != migration.reference:
        # Before the staging claim goes: until then the copy is held twice.
        return Stop(_foreign(destination))
    if staging is not None and volume.reclaim_policy != "Retain":
        _retain(context, transfer, volume)
        return Again(f"Volume {volume.name} is kept, whatever happens to its claim.", after_s=0.1)
    if staging is not None:
        return _delete_staging(context, transfer, staging, volume)
    return _reserve_and_create(context, transfer, volume, destination)


def _outlast(context: Context, transfer: Transfer, destination: Claim, volume: Volume) -> Outcome:
    """Somebody deletes the destination claim: its volume must not go with it."""
    ours = volume.claim_ref is not None and volume.claim_ref.uid == destination.uid
    if ours and volume.reclaim_policy != "Retain":
        _retain(context, transfer, volume)
        return Again(f"Volume {volume.name} is kept, whatever happens to its claim.", after_s=0.1)
    return Again(f"Waiting for {destination.name} to be gone: somebody deletes it.", after_s=0.5)


def _learn_volume(context: Context, transfer: Transfer) -> Outcome:
    """A WaitForFirstConsumer claim got its volume only when the mover ran."""
    staging = context.cluster.get_claim(context.migration.source_namespace, transfer.staging_name)
    found = context.cluster.get_volume(staging.volume_name) if staging and staging.volume_name else None
    if staging is None or found is None or staging.uid != transfer.staging_uid:
        return Stop(
            Problem(
                f"The staging claim {transfer.staging_name} or its volume is gone.",
                "The source is unchanged.",
                "Roll back, and start again.",
                code="staging-gone",
            )
        )
    transfer.staging_volume, transfer.staging_volume_uid = found.name, found.uid
    transfer.save(update_fields=["staging_volume", "staging_volume_uid"])
    return Again(f"The staging volume is {found.name}.", after_s=0.1)


def _retain(context: Context, transfer: Transfer, volume: Volume) -> None:
    context.act(
        key=f"hand-over/retain/{volume.name}",
        verb="volume.retain",
        ref=volume.ref,
        before={"reclaim_policy": volume.reclaim_policy},
        after={"reclaim_policy": "Retain"},
        call=lambda: context.cluster.set_reclaim_policy(
            volume, "Retain", annotations={WAS_POLICY: volume.reclaim_policy}
        ),
    )


def _delete_staging(context: Context, transfer: Transfer, staging: Claim, volume: Volume) -> Outcome:
    """Deletes the staging claim; its volume, read again a moment ago, is on Retain."""
    if staging.deleting:
        return Again(f"Waiting for staging claim {staging.name} to be gone.", after_s=0.5)
    if staging.uid != transfer.staging_uid or staging.labels.get(LABEL) != context.migration.reference:
        return Stop(_strange(volume, f"is held by claim {staging.name}, which is not this migration's"))
    if volume.reclaim_policy != "Retain" or volume.claim_ref is None or volume.claim_ref.uid != staging.uid:
        return Stop(_strange(volume, "is not held safely by the staging claim"))
    context.act(
        key=f"hand-over/claim.delete/{staging.namespace}/{staging.name}",
        verb="staging.delete",
        ref=staging.ref,
        # The only map back until the destination claim is bound.
        before={"volume": volume.spec_json, "volume_name": volume.name, "volume_uid": volume.uid},
        call=lambda: context.cluster.delete(staging.ref, resource_version=staging.resource_version),
    )
    return Again(f"Deleted staging claim {staging.name}; its volume stays.", after_s=0.2)


def _reserve_and_create(
    context: Context, transfer: Transfer, volume: Volume, destination: Claim | None
) -> Outcome:
    migration = context.migration
    reserved = (
        volume.claim_ref is not None
        and volume.claim_ref.namespace == migration.destination_namespace
        and volume.claim_ref.name == transfer.destination_name
    )
    if not reserved:
        if destination is not None:
            return Stop(_foreign(destination))
        if volume.phase != "Released":
            return Again(
                f"Waiting for volume {volume.name} to be released: it is {volume.phase}.", after_s=0.5
            )
        context.act(
            key=f"hand-over/reserve/{volume.name}",
            verb="volume.reserve",
            ref=volume.ref,
            before={"claim_uid": transfer.staging_uid},
            after={"namespace": migration.destination_namespace, "claim": transfer.destination_name},
            call=lambda: context.cluster.reserve_volume(
                volume,
                expected_claim_uid=transfer.staging_uid,
                namespace=migration.destination_namespace,
                name=transfer.destination_name,
            ),
        )
        return Again(f"Volume {volume.name} is reserved for {transfer.destination_name}.", after_s=0.1)
    stale = _stale_reservation(volume, destination)
    if stale is not None:
        _reserve_again(context, volume, stale)
        return Again(f"Volume {volume.name} is reserved again: the claim that had it is gone.", after_s=0.1)
    if destination is None:
        _create(context, transfer, volume)
        return Again(f"Created claim {transfer.destination_name}.", after_s=0.2)
    if destination.volume_name and destination.volume_name != volume.name:
        return Stop(_foreign(destination))
    return Again(f"Waiting for {transfer.destination_name} and {volume.name} to bind.", after_s=0.5)


def _stale_reservation(volume: Volume, destination: Claim | None) -> ClaimRef | None:
    """The reservation, when it names the UID of a destination claim that somebody deleted meanwhile."""
    held = volume.claim_ref
    if held is None or not held.uid or volume.phase != "Released":
        return None
    return held if destination is None or destination.uid != held.uid else None


def _reserve_again(context: Context, volume: Volume, stale: ClaimRef) -> None:
    context.act(
        key=f"hand-over/reserve-again/{volume.name}/{stale.uid}",
        verb="volume.reserve",
        ref=volume.ref,
        before={"claim_uid": stale.uid},
        after={"namespace": stale.namespace, "claim": stale.name},
        call=lambda: context.cluster.restore_claim_ref(
            volume, expected=stale, wanted=ClaimRef(stale.namespace, stale.name)
        ),
    )


def _create(context: Context, transfer: Transfer, volume: Volume) -> None:
    manifest = manifests.destination_claim(context.migration, transfer, volume_name=volume.name)
    key = f"hand-over/claim.create/{manifest.namespace}/{manifest.name}"
    after = {"volume": volume.name, "transfer": transfer.number}
    context.create(manifest, key=key, verb="claim.create", after=after)


def _bound_together(claim: Claim, volume: Volume) -> bool:
    return (
        claim.phase == "Bound"
        and claim.volume_name == volume.name
        and volume.claim_ref is not None
        and volume.claim_ref.uid == claim.uid
    )


def _settle(context: Context, transfer: Transfer, destination: Claim, volume: Volume) -> Outcome | None:
    """Both sides hold each other: the policy goes back to what it was, last of all."""
    if transfer.destination_uid != destination.uid:
        transfer.destination_uid = destination.uid
        transfer.save(update_fields=["destination_uid"])
    was = volume.annotations.get(WAS_POLICY, "")
    if was and was != volume.reclaim_policy:
        context.act(
            key=f"hand-over/restore-policy/{volume.name}",
            verb="volume.policy",
            ref=volume.ref,
            before={"reclaim_policy": volume.reclaim_policy},
            after={"reclaim_policy": was},
            call=lambda: context.cluster.set_reclaim_policy(volume, was, annotations={WAS_POLICY: None}),
        )
        return Again(f"Volume {volume.name} has its reclaim policy {was} again.", after_s=0.1)
    return None


def _evidence(context: Context) -> None:
    for transfer in context.transfers:
        context.evidence(
            "handed-over",
            {
                "claim": f"{context.migration.destination_namespace}/{transfer.destination_name}",
                "claim_uid": transfer.destination_uid,
                "volume": transfer.staging_volume,
                "volume_uid": transfer.staging_volume_uid,
            },
            transfer,
        )


def _foreign(claim: Claim) -> Problem:
    return Problem(
        f"Claim {claim.namespace}/{claim.name} is there and holds {claim.volume_name or 'no volume'}, not the staging volume.",
        "The copy is complete and its volume is kept (Retain). The source is unchanged.",
        "Remove that claim if it holds nothing you need, then retry. Something may have created it from Git too early.",
        f"kubectl describe pvc -n {claim.namespace} {claim.name}",
        "destination-taken",
    )


def _strange(volume: Volume, what: str) -> Problem:
    return Problem(
        f"Volume {volume.name} {what}.",
        "Nothing more was changed. The source is unchanged.",
        "Look at the volume. Roll back when you do not know who changed it.",
        f"kubectl get pv {volume.name} -o yaml",
        "volume-strange",
    )
