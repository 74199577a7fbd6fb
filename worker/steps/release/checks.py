"""The data's new home is looked at before each act against the old one."""

from migrations_app.problems import Problem
from worker.context import Context
from worker.outcomes import Outcome, Stop


def destination(context: Context) -> Outcome | None:
    """None while every destination claim is the one that was handed over, bound to the volume that was proven."""
    namespace = context.migration.destination_namespace
    for transfer in context.transfers:
        claim = context.cluster.get_claim(namespace, transfer.destination_name)
        lost = claim is None or claim.uid != transfer.destination_uid or claim.deleting
        if lost or claim.phase != "Bound" or claim.volume_name != transfer.staging_volume:  # type: ignore[union-attr]
            return Stop(
                Problem(
                    f"Destination claim {transfer.destination_name} is gone, replaced or no longer bound.",
                    "The source still has its data: nothing more of it is deleted.",
                    "Find out what happened to the destination. Roll back if nothing was deleted yet.",
                    f"kubectl describe pvc -n {namespace} {transfer.destination_name}",
                    "destination-lost",
                )
            )
    return None
