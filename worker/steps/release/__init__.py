"""Release: the source goes, in an order in which neither Flux nor a crash can lose its data.

Before anything: the destination is there, the signature still holds, the source hashes to what was proven, and every
source volume is on Retain and was read back so. Then the path of release that was chosen does the rest (`releasing`).
"""

from worker import flux, releasing
from worker.context import Context
from worker.outcomes import Done, Outcome
from worker.releasing import claims
from worker.steps.release import checks, hashing, signature, volumes


def tick(context: Context) -> Outcome:
    path = releasing.of(context.migration)
    return (
        checks.destination(context)
        or signature.check(context)
        or hashing.check(context)
        or volumes.retain(context)
        or signature.use(context)
        or path.prepare(context)
        or hashing.again(context)
        or path.destroy(context)
        or _finish(context, path)
    )


def _finish(context: Context, path: releasing.Releases) -> Outcome:
    for transfer in context.transfers:
        back = path.still_gone(context, transfer)
        if back is not None:
            return back
    # Where the path did not resume the owner nothing has; suspended for ever would be a trap for the next person.
    resumed = flux.resume_owner(context, context.migration.source_owner)
    if resumed is not None:
        return resumed
    context.evidence(
        "released",
        {
            "path": str(context.migration.release_path),
            "claims": [f"{context.migration.source_namespace}/{t.source_name}" for t in context.transfers],
            "deleted_by": claims.deleted_by(context),
            "volumes": {t.source_volume: "Retain, Released" for t in context.transfers},
        },
    )
    return Done("The source is released. Its volumes are kept.")
