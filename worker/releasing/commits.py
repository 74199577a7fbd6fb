"""P2 of domain fact A6: two commits. The first lifts the protection in Git, the second removes the claims; Flux deletes.

The workloads leave with the first commit already. The owner is resumed for it, and would start them on the source again.
"""

from collections.abc import Sequence
from typing import Any

from cluster.flux import flux_protected
from cluster.values import Claim
from migrations_app.models import Migration, Transfer
from worker import flux
from worker.context import Context
from worker.declarations import GitChange, exemption, removal
from worker.gitside import Arrival
from worker.outcomes import Again, Outcome
from worker.releasing import arriving, claims, pruning, rows
from worker.releasing.pruning import Pruning

# So often is a protection lifted that something puts back; then a person is asked what does.


class Commits(Pruning):
    """Every deletion comes from Git."""

    def changes(self, migration: Migration) -> Sequence[GitChange]:
        return (exemption(migration), removal(migration))

    def planned(self, migration: Migration, transfer: Transfer) -> list[dict[str, Any]]:
        return [rows.pruned(migration, transfer, "after the second commit")]

    def prepare(self, context: Context) -> Outcome | None:
        """The first commit is applied: each claim is in the inventory and unprotected, and nothing else has happened."""
        moved = arriving.unmoved(context)
        if moved is not None or claims.began(context) or context.memory.get("exempted"):
            return moved
        owner = context.migration.source_owner
        found = arriving.reach(context, exemption(context.migration))
        if not isinstance(found, Arrival):
            return found
        if not found.in_artifact:
            return flux.bring(context, owner, found, key="exempt")
        return (
            flux.resume_owner(context, owner)
            or flux.apply(context, owner, found.artifact, key="exempt")
            or _check_exempted(context)
        )

    def destroy(self, context: Context) -> Outcome | None:
        left = pruning.leave_all(context)
        if left is not None:
            return left
        # A removal holds the exemption, too. Taken back before that, Flux protects the claims again.
        exempt = arriving.reach(context, exemption(context.migration))
        if not isinstance(exempt, Arrival):
            return exempt
        found = arriving.reach(context, removal(context.migration))
        if not isinstance(found, Arrival):
            return found
        owner = context.migration.source_owner
        return flux.bring(context, owner, found, key="release") or pruning.settle(context)


def _check_exempted(context: Context) -> Outcome | None:
    """What Git says has become true in the cluster: detected, never assumed."""
    kustomization = arriving.owner_of(context)
    for transfer in context.transfers:
        claim = claims.get(context, transfer)
        if claim is None:
            return claims.vanished(context, transfer)
        if not isinstance(claim, Claim):
            return claim
        mark = flux_protected(claim.labels, claim.annotations)
        if mark is not None and arriving.holds(kustomization, context, transfer):
            # Not from Git, or Flux would have changed it: somebody's, or the stopgap of Protect.
            return claims.lift(context, claim)
    owner = context.migration.source_owner
    context.evidence(
        "git-exempted",
        {
            "kustomization": f"{owner['namespace']}/{owner['name']}",
            "applied": kustomization.applied_revision if kustomization else "",
            "claims": [t.source_name for t in context.transfers],
        },
    )
    context.memory["exempted"] = True
    return Again("Flux may prune the claims when they leave Git. They are still there.", after_s=0.1)
