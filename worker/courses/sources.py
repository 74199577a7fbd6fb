"""Whether the sources are whole: what goes back to them, or gives a copy away, asks first."""

from migrations_app.models import Transfer
from worker.context import Context


def intact(context: Context, transfer: Transfer) -> bool:
    """The volume that was inspected is there, bound to a claim of the source's name, and neither is on its way out."""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
    volume = context.cluster.get_volume(transfer.source_volume) if transfer.source_volume else None
    if claim is None or volume is None or claim.deleting or volume.deleting:
        return False
    held = volume.claim_ref
    together = held is not None and held.uid == claim.uid and claim.volume_name == volume.name
    return together and volume.uid == transfer.source_volume_uid and claim.phase == "Bound"


def lost(context: Context) -> list[Transfer]:
    """The transfers whose source is not whole."""
    return [transfer for transfer in context.transfers if not intact(context, transfer)]


def kept_volume(context: Context, transfer: Transfer) -> str:
    """The name of a source volume that outlived its claim; empty where there is none."""
    volume = context.cluster.get_volume(transfer.source_volume) if transfer.source_volume else None
    same = volume is not None and volume.uid == transfer.source_volume_uid and not volume.deleting
    return transfer.source_volume if same else ""
