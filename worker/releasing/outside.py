"""Nothing in Git declares the source claims: Holdfast deletes them, and nothing would bring them back."""

from collections.abc import Iterable, Sequence
from typing import Any

from cluster.values import Claim
from migrations_app.models import Migration, Transfer
from worker.context import Context
from worker.declarations import GitChange
from worker.outcomes import Outcome
from worker.releasing import claims, rows
from worker.releasing.misfits import Misfit, needs_kustomization


class Outside:
    """Delete, with preconditions. The other paths end the same way when a claim is left for Holdfast to delete."""

    def changes(self, migration: Migration) -> Sequence[GitChange]:
        return ()

    def planned(self, migration: Migration, transfer: Transfer) -> list[dict[str, Any]]:
        return [rows.lifted(migration, transfer), rows.deleted(migration, transfer)]

    def misfits(self, context: Context) -> Iterable[Misfit]:
        return needs_kustomization(context)

    def prepare(self, context: Context) -> Outcome | None:
        return None

    def destroy(self, context: Context) -> Outcome | None:
        for transfer in context.transfers:
            claim = claims.get(context, transfer)
            if claim is None:
                outcome = claims.check_released(context, transfer)
                if outcome is not None:
                    return outcome
                continue
            if not isinstance(claim, Claim):
                return claim
            if claim.deleting:
                return claims.ending(context, claim)
            return self.still_gone(context, transfer) or claims.delete(context, transfer, claim)
        return None

    def still_gone(self, context: Context, transfer: Transfer) -> Outcome | None:
        return None
