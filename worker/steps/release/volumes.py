"""Every source volume is on Retain, read back, before anything that may delete its claim."""

from migrations_app.problems import Problem
from worker.context import Context
from worker.outcomes import Again, Outcome, Stop

WAS_POLICY = "holdfast.dev/reclaim-policy"


def retain(context: Context) -> Outcome | None:
    """None when all are kept, whatever happens to their claims. Looked at in every tick."""
    for transfer in context.transfers:
        volume = context.cluster.get_volume(transfer.source_volume)
        if volume is None or volume.uid != transfer.source_volume_uid:
            return Stop(
                Problem(
                    f"Volume {transfer.source_volume} of {transfer.source_name} is gone or another one.",
                    "Nothing more is deleted.",
                    "Find out what happened to the volume.",
                    f"kubectl get pv {transfer.source_volume} -o yaml",
                    "volume-lost",
                )
            )
        if volume.reclaim_policy != "Retain":
            context.act(
                key=f"release/retain/{volume.name}",
                verb="volume.retain",
                ref=volume.ref,
                before={"reclaim_policy": volume.reclaim_policy},
                after={"reclaim_policy": "Retain"},
                call=lambda volume=volume: context.cluster.set_reclaim_policy(  # type: ignore[misc]
                    volume, "Retain", annotations={WAS_POLICY: volume.reclaim_policy}
                ),
            )
            return Again(f"Volume {volume.name} is kept, whatever happens to its claim.", after_s=0.1)
    return None
