"""What the two paths have in common on which Flux deletes the claims: they are left to it, and watched until they are gone.

A claim that Flux dropped without deleting it was protected again by somebody at the worst moment. It is neither gone nor
anybody's any more, so Holdfast deletes it, as on the first path: it was signed for.
"""

from collections.abc import Iterable

from cluster.values import Claim
from migrations_app.models import Transfer
from worker.context import Context
from worker.outcomes import Again, Outcome
from worker.releasing import arriving, claims
from worker.releasing.misfits import Misfit, needs_flux
from worker.releasing.outside import Outside


class Pruning(Outside):
    """Flux deletes; its inventory decides whether it still will."""

    def misfits(self, context: Context) -> Iterable[Misfit]:
        return needs_flux(context)

    def still_gone(self, context: Context, transfer: Transfer) -> Outcome | None:
        return arriving.still_gone(context, transfer)


def leave_all(context: Context) -> Outcome | None:
    """Each claim is written down as Flux's to delete, before anything is done that lets it."""
    for transfer in context.transfers:
        if claims.left_to_flux(context, transfer):
            continue
        claim = claims.get(context, transfer)
        if claim is None:
            return claims.vanished(context, transfer)
        if not isinstance(claim, Claim):
            return claim
        if claim.deleting:
            return claims.vanished(context, transfer)
        left = claims.leave(context, transfer, claim)
        if left is not None:
            return left
    return None


def settle(context: Context) -> Outcome | None:
    """Waits until Flux has deleted each claim; deletes what Flux has dropped without deleting it."""
    kustomization = arriving.owner_of(context)
    name = context.migration.source_owner["name"]
    for transfer in context.transfers:
        claim = claims.get(context, transfer)
        if claim is None:
            released = claims.check_released(context, transfer)
            if released is not None:
                return released
            continue
        if not isinstance(claim, Claim):
            return claim
        if claim.deleting:
            return claims.ending(context, claim)
        if arriving.holds(kustomization, context, transfer):
            return Again(f"Waiting until {name} has deleted {claim.name}.", after_s=0.5)
        if _note_dropped(context, transfer):
            # Looked at anew as one that Holdfast deletes: how old the last look at the source may be is another matter now.
            return Again(f"{name} dropped {claim.name} without deleting it: Holdfast does.", after_s=0.1)
        return arriving.still_gone(context, transfer) or claims.delete(context, transfer, claim)
    return None


def _note_dropped(context: Context, transfer: Transfer) -> bool:
    """That the claim was not deleted by whom it was left to. True the first time."""
    if context.migration.evidence.filter(kind="dropped-by-flux", transfer=transfer).exists():
        return False
    context.evidence(
        "dropped-by-flux",
        {
            "claim": transfer.source_name,
            "why": "Flux dropped it from its inventory without deleting it: it was protected then. Holdfast deletes it.",
        },
        transfer,
    )
    return True
