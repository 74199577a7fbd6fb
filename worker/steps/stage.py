"""Stage: an empty staging claim for each source claim, never somebody else's."""

from cluster.values import Claim
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import strategies
from worker.context import LABEL, Context
from worker.outcomes import Again, Done, Outcome, Stop


def tick(context: Context) -> Outcome:
    pending = []
    for transfer in context.transfers:
        manifest = strategies.of(context.migration).staging_claim(context.migration, transfer)
        claim = context.cluster.get_claim(manifest.namespace, manifest.name)
        if claim is None:
            _create(context, transfer)
            return Again(f"Created staging claim {manifest.name}.", after_s=0.2)
        if not _ours(context, claim):
            return Stop(_foreign(claim))
        if not _ready(context, claim):
            pending.append(claim.name)
            continue
        _record(context, transfer, claim)
    if pending:
        return Again(f"Waiting for {', '.join(pending)} to be bound.")
    context.evidence(
        "staging",
        {
            t.source_name: {"claim": t.staging_name, "uid": t.staging_uid, "volume": t.staging_volume}
            for t in context.transfers
        },
    )
    number = len(context.transfers)
    return Done(f"{number} staging claims are there." if number > 1 else "The staging claim is there.")


def _create(context: Context, transfer: Transfer) -> None:
    manifest = strategies.of(context.migration).staging_claim(context.migration, transfer)
    key = f"stage/claim.create/{manifest.namespace}/{manifest.name}"
    context.create(manifest, key=key, verb="claim.create", after={"transfer": transfer.number})


def _ours(context: Context, claim: Claim) -> bool:
    return claim.labels.get(LABEL) == context.migration.reference and not claim.deleting


def _ready(context: Context, claim: Claim) -> bool:
    """Bound, or of a class that binds when the mover's pod comes."""
    if claim.phase == "Bound":
        return True
    storage_class = context.cluster.get_storage_class(claim.storage_class or "")
    return storage_class is not None and storage_class.binding_mode == "WaitForFirstConsumer"


def _record(context: Context, transfer: Transfer, claim: Claim) -> None:
    volume = context.cluster.get_volume(claim.volume_name) if claim.volume_name else None
    transfer.staging_name = claim.name
    transfer.staging_uid = claim.uid
    transfer.staging_volume = claim.volume_name
    transfer.staging_volume_uid = volume.uid if volume else ""
    fields = ["staging_name", "staging_uid", "staging_volume", "staging_volume_uid"]
    if context.migration.within_namespace:
        transfer.destination_uid = claim.uid
        fields.append("destination_uid")
    transfer.save(update_fields=fields)


def _foreign(claim: Claim) -> Problem:
    return Problem(
        f"Claim {claim.namespace}/{claim.name} is there and is not this migration's, or is being deleted.",
        "It was not touched. The source is unchanged.",
        "Find out whose it is. Remove it or choose another name, then retry.",
        f"kubectl describe pvc -n {claim.namespace} {claim.name}",
        "foreign-claim",
    )
