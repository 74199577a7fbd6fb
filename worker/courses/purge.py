"""Purge: deletes the kept source volumes for good, each re-read as Released and still the one that was signed for."""

from cluster.values import Volume
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop


def tick(context: Context) -> Outcome:
    found = [(transfer, context.cluster.get_volume(transfer.source_volume)) for transfer in context.transfers]
    left = [(transfer, volume) for transfer, volume in found if volume is not None]
    # What is gone needs no copy any more: a person may have deleted it because nobody needs the data.
    last = _check_destination(context, [transfer for transfer, _ in left])
    if last is not None:
        return last
    for transfer, volume in left:
        if volume.uid != transfer.source_volume_uid:
            return Stop(_strange(volume.name, "is another one than the source's"))
        if volume.deleting:
            return Again(f"Waiting for volume {volume.name} to be gone.", after_s=1.0)
        holder = volume.claim_ref
        if volume.phase == "Bound" or holder is None or holder.uid != transfer.source_uid:
            return Stop(_strange(volume.name, "is not Released by the source claim: somebody uses it"))
        twins = _twins(context, volume)
        if twins:
            return Stop(_strange(volume.name, f"has its data in common with volume {', '.join(twins)}"))
        # Deleting a Released volume whose policy is Delete is the controllers' work: they remove the storage behind it too.
        if volume.reclaim_policy != "Delete":
            context.act(
                key=f"purge/volume.purge/{volume.name}",
                verb="volume.purge",
                ref=volume.ref,
                before={"reclaim_policy": volume.reclaim_policy, "volume": volume.spec_json},
                after={"reclaim_policy": "Delete"},
                call=lambda volume=volume: context.cluster.set_reclaim_policy(volume, "Delete"),  # type: ignore[misc]
            )
            return Again(f"Volume {volume.name} is given to its driver for deletion.", after_s=0.5)
        if volume.phase == "Failed":
            return Stop(
                Problem(
                    f"Volume {volume.name} could not be deleted: nothing in this cluster can, or its driver failed.",
                    "The storage behind it is still there. The destination has a proven copy of the data.",
                    "Read the reason, mend it and retry; or delete the volume object and its storage by hand, then retry.",
                    f"kubectl describe pv {volume.name}",
                    "volume-failed",
                )
            )
        return Again(f"Waiting for the driver to delete {volume.name}.", after_s=1.0)
    context.evidence("purged", {"volumes": [t.source_volume for t in context.transfers]})
    return Done("The source volumes are deleted.")


def _check_destination(context: Context, transfers: list[Transfer]) -> Outcome | None:
    """Without the destination's volume, what would be purged may be the last copy."""
    for transfer in transfers:
        volume = context.cluster.get_volume(transfer.staging_volume) if transfer.staging_volume else None
        same = volume is not None and volume.uid == transfer.staging_volume_uid and not volume.deleting
        if volume is None or not same or not _stays(context, volume):
            return Stop(
                Problem(
                    f"Volume {transfer.staging_volume} of {transfer.destination_name} is gone or about to go: {transfer.source_volume} may be the last copy.",
                    "Nothing more is purged.",
                    "Use Undo to have the source back. If the data is not needed anywhere, delete the volume yourself, then retry.",
                    f"kubectl get pv {transfer.source_volume} -o yaml",
                    "last-copy",
                )
            )
    return None


def _stays(context: Context, volume: Volume) -> bool:
    """Retained, or held by a claim that nobody has deleted: one that waits for its last pod takes its volume along."""
    held = volume.claim_ref
    claim = context.cluster.get_claim(held.namespace, held.name) if held else None
    in_use = claim is not None and held is not None and claim.uid == held.uid and not claim.deleting
    return in_use or volume.reclaim_policy == "Retain"


def _twins(context: Context, volume: Volume) -> list[str]:
    """Other volumes for the same storage, as people make them to reach a Released one: it would be destroyed under them."""
    if not volume.volume_handle:
        return []
    same = (volume.driver, volume.volume_handle)
    volumes = context.cluster.list_volumes()
    return [v.name for v in volumes if v.name != volume.name and (v.driver, v.volume_handle) == same]


def _strange(name: str, what: str) -> Problem:
    return Problem(
        f"Volume {name} {what}.",
        "It was not purged.",
        "Look at it.",
        f"kubectl get pv {name} -o yaml",
        "volume-strange",
    )
