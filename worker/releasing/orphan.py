"""P1 of domain fact A6, the default: Flux forgets the claims while they are protected, then Holdfast deletes them.

There is no moment at which Flux may delete anything: what it skips it drops from its inventory for ever, and that is
wanted here. Only then is each claim unprotected and deleted, by UID and resourceVersion.
"""

from collections.abc import Sequence

from cluster.flux import flux_protected
from cluster.values import Claim
from migrations_app.models import Migration, Transfer
from worker import flux, manifests
from worker.context import Context
from worker.declarations import GitChange, removal
from worker.gitside import Arrival
from worker.outcomes import Again, Outcome
from worker.releasing import arriving, claims
from worker.releasing.misfits import Misfit
from worker.releasing.outside import Outside


class Orphan(Outside):
    """Removal from Git first, deletion by Holdfast after that."""

    def changes(self, migration: Migration) -> Sequence[GitChange]:
        return (removal(migration),)

    def misfits(self, context: Context) -> list[Misfit]:
        return []

    def prepare(self, context: Context) -> Outcome | None:
        """The removal is applied while the claims are still protected, so Flux drops them and deletes nothing."""
        moved = arriving.unmoved(context)
        if moved is not None or context.memory.get("git_done"):
            return moved
        if not claims.began(context):
            protect = _protect_all(context)
            if protect is not None:
                return protect
        owner = context.migration.source_owner
        found = arriving.reach(context, removal(context.migration))
        if not isinstance(found, Arrival):
            return found
        # The artifact first: resumed on an old one, Flux would start the application on the source again.
        if not found.in_artifact:
            return flux.bring(context, owner, found, key="release")
        return (
            flux.resume_owner(context, owner)
            or flux.apply(context, owner, found.artifact, key="release")
            or _check_dropped(context)
        )

    def still_gone(self, context: Context, transfer: Transfer) -> Outcome | None:
        return arriving.still_gone(context, transfer)


def _protect_all(context: Context) -> Outcome | None:
    """Every source claim carries the mark before Flux sees the removal."""
    for transfer in context.transfers:
        claim = claims.get(context, transfer)
        if isinstance(claim, Claim) and not flux_protected(claim.labels, claim.annotations):
            context.act(
                key=f"release/protect/{claim.name}",
                verb="claim.protect",
                ref=claim.ref,
                before={
                    "annotations": {
                        key: claim.annotations[key]
                        for key in claims.PROTECTION_KEYS
                        if key in claim.annotations
                    }
                },
                after=dict(manifests.PROTECT),
                call=lambda claim=claim: context.cluster.annotate(  # type: ignore[misc]
                    claim.ref, manifests.PROTECT, resource_version=claim.resource_version
                ),
            )
            return Again(f"{claim.name} is protected while Git changes.", after_s=0.1)
    return None


def _check_dropped(context: Context) -> Outcome | None:
    """The claims have left the inventory and are still there: from now on Flux has nothing to do with them."""
    owner = context.migration.source_owner
    kustomization = arriving.owner_of(context)
    for transfer in context.transfers:
        claim = claims.get(context, transfer)
        if claim is None and claims.began(context):
            continue
        if claim is None:
            return claims.vanished(context, transfer)
        if not isinstance(claim, Claim):
            return claim
        if arriving.holds(kustomization, context, transfer) and transfer.declared_in_git:
            return Again(
                f"Waiting until {owner['name']} has dropped {claim.name} from its inventory.", after_s=1.0
            )
    context.evidence(
        "git-removed",
        {
            "kustomization": f"{owner['namespace']}/{owner['name']}",
            "applied": kustomization.applied_revision if kustomization else "",
            "claims_still_there": [t.source_name for t in context.transfers],
        },
    )
    context.memory["git_done"] = True
    return Again("Git and Flux no longer know the source. Its claims are still there.", after_s=0.1)
