"""P3 of domain fact A6: the owner is suspended, the protection is lifted, the owner is resumed on the removal; Flux deletes.

The protection is lifted last, when the removal is in the artifact already: the claims are unprotected for seconds, not
for as long as a review takes, and a pass on the old artifact could not put the mark back unseen.
"""

from collections.abc import Sequence
from typing import Any

from cluster.flux import flux_protected
from cluster.values import Claim
from migrations_app.models import Migration, Transfer
from worker import flux, suspension
from worker.context import Context
from worker.declarations import GitChange, removal
from worker.gitside import Arrival
from worker.outcomes import Outcome
from worker.releasing import arriving, claims, pruning, rows
from worker.releasing.pruning import Pruning


class Suspended(Pruning):
    """One commit; the protection is never lifted in Git."""

    def changes(self, migration: Migration) -> Sequence[GitChange]:
        return (removal(migration),)

    def planned(self, migration: Migration, transfer: Transfer) -> list[dict[str, Any]]:
        when = "resumed on the artifact that holds the removal"
        return [rows.lifted(migration, transfer), rows.pruned(migration, transfer, when)]

    def prepare(self, context: Context) -> Outcome | None:
        """The removal is in the artifact, and the owner is suspended, so that nothing has been made of it."""
        moved = arriving.unmoved(context)
        if moved is not None or claims.began(context):
            return moved
        rests = _suspend(context)
        if rests is not None:
            return rests
        found = arriving.reach(context, removal(context.migration))
        if not isinstance(found, Arrival):
            return found
        if not found.in_artifact:
            return flux.bring(context, context.migration.source_owner, found, key="release")
        return None

    def destroy(self, context: Context) -> Outcome | None:
        left = pruning.leave_all(context)
        if left is not None:
            return left
        found = arriving.reach(context, removal(context.migration))
        if not isinstance(found, Arrival):
            return found
        owner = context.migration.source_owner
        if not found.in_artifact:
            return flux.bring(context, owner, found, key="release")
        return (
            _lift_all(context)
            or flux.resume_owner(context, owner)
            or flux.apply(context, owner, found.artifact, key="release")
            or pruning.settle(context)
        )


def _suspend(context: Context) -> Outcome | None:
    """Quiesce suspended the owner. Where it runs again, it is suspended again, and the pass that it is in ends first."""
    kustomization = arriving.owner_of(context)
    if kustomization is None or _dropped(context):
        # Somebody resumed it on the removal: the claims are nobody's now, which `settle` deals with.
        return None
    parents = suspension.suspend_parents(context, context.migration.source_owner)
    if parents is not None:
        return parents
    if not kustomization.suspended:
        return suspension.again(context, kustomization)
    return suspension.passing(kustomization)


def _dropped(context: Context) -> bool:
    kustomization = arriving.owner_of(context)
    return not any(arriving.holds(kustomization, context, transfer) for transfer in context.transfers)


def _lift_all(context: Context) -> Outcome | None:
    """While the owner rests because of us. Otherwise its next pass decides, and what that drops is found."""
    kustomization = arriving.owner_of(context)
    if kustomization is None or not suspension.ours(context, kustomization):
        return None
    for transfer in context.transfers:
        claim = claims.get(context, transfer)
        if claim is None or not isinstance(claim, Claim) or claim.deleting:
            continue
        if flux_protected(claim.labels, claim.annotations) is not None:
            return claims.lift(context, claim)
    return None
