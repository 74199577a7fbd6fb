"""The volumes of a roll back: which are kept, which go with their claims, which get their reclaim policy again."""

from django.utils import timezone

from cluster.values import Claim, ClaimRef, Volume
from migrations_app.models import Intent, Transfer
from migrations_app.states import IntentState
from worker.context import Context
from worker.courses import sources
from worker.outcomes import Again, Outcome

WAS_POLICY = "holdfast.dev/reclaim-policy"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
# What a mover left that had taken the staging volume for its copy.
_TAKEN = ("warm-copy", "copy", "verify")
WHY_KEPT = "the application may have written to it, or it may hold what is nowhere else"


def open_intents(context: Context, prefix: str) -> list[Intent]:
    states = [IntentState.INTENDED, IntentState.DONE]
    return list(context.migration.intents.filter(key__startswith=prefix, state__in=states).order_by("-id"))


def undone(intent: Intent) -> None:
    Intent.objects.filter(pk=intent.pk).update(state=IntentState.UNDONE, answered_at=timezone.now())


def began(context: Context, step: str) -> bool:
    return context.migration.runs.filter(step=step).exists()


def made(context: Context, namespace: str, name: str) -> list[Intent]:
    return list(context.migration.intents.filter(verb="claim.create", namespace=namespace, name=name))


def keep_used(context: Context) -> Outcome | None:
    """Before Git lets go of the destination: from then on Flux may prune a claim, and what was written would go with its volume."""
    for transfer in context.transfers:
        if not was_used(context, context.migration.destination_namespace, transfer.destination_name):
            continue
        volume = context.cluster.get_volume(transfer.staging_volume) if transfer.staging_volume else None
        if volume is None or volume.uid != transfer.staging_volume_uid or volume.reclaim_policy == "Retain":
            continue
        set_policy(context, volume, "Retain")
        return Again(f"Volume {volume.name}: {fate('Retain')}.", after_s=0.1)
    return None


def may_go(context: Context, transfer: Transfer, claim: Claim | None, volume: Volume) -> bool:
    """Whether the data of a claim of ours is a copy that nobody needs: the source is whole, and it holds nothing else."""
    namespace = claim.namespace if claim else context.migration.destination_namespace
    name = claim.name if claim else transfer.destination_name
    if was_used(context, namespace, name) or not sources.intact(context, transfer):
        return False
    # The mover takes an empty volume alone. Until it did, a volume that was there before its claim may hold anything.
    if context.migration.evidence.filter(transfer=transfer, kind__in=_TAKEN).exists():
        return True
    both = claim is not None and claim.created_at and volume.created_at
    return bool(both) and PROVISIONED_BY in volume.annotations and volume.created_at >= claim.created_at  # type: ignore[operator, union-attr]


def was_used(context: Context, namespace: str, name: str) -> bool:
    """Once the application could use a destination claim it may have written there: that is kept, and said."""
    if began(context, "deploy"):
        return True
    migration = context.migration
    handed_over = namespace == migration.destination_namespace and not migration.within_namespace
    return handed_over and bool(made(context, namespace, name))


def fate(policy: str) -> str:
    return f"kept, since {WHY_KEPT}" if policy == "Retain" else "goes with its claim"


def set_policy(context: Context, volume: Volume, policy: str) -> None:
    context.act(
        key=f"roll-back/policy/{volume.name}",
        verb="volume.policy",
        ref=volume.ref,
        before={"reclaim_policy": volume.reclaim_policy},
        after={"reclaim_policy": policy},
        call=lambda: context.cluster.set_reclaim_policy(volume, policy, annotations={WAS_POLICY: None}),
    )


def settle(context: Context, transfer: Transfer) -> Outcome | None:
    """A staging volume caught between two claims: Released, on Retain. It goes too, unless the application used it."""
    if not transfer.staging_volume or transfer.staging_volume == transfer.source_volume:
        return None
    volume = context.cluster.get_volume(transfer.staging_volume)
    if volume is None or volume.uid != transfer.staging_volume_uid or volume.deleting:
        return None
    if volume.reclaim_policy == "Retain" and not may_go(context, transfer, None, volume):
        return None
    held = volume.claim_ref
    if (
        volume.phase == "Bound"
        and volume.reclaim_policy == "Delete"
        and held is not None
        and held.uid in _our_uids(context)
    ):
        return Again(f"Waiting for volume {volume.name} to be released.", after_s=0.5)
    if volume.phase == "Available" and held is not None and not held.uid and transfer.staging_uid:
        _unreserve(context, transfer, volume, held)
        return Again(f"Volume {volume.name} is not reserved any more.", after_s=0.2)
    if volume.phase == "Released" and volume.reclaim_policy == "Retain":
        set_policy(context, volume, "Delete")
        return Again(f"Volume {volume.name} goes with the copy.", after_s=0.2)
    if volume.phase in {"Available", "Released"} and volume.reclaim_policy == "Delete":
        return Again(f"Waiting for volume {volume.name} to be gone.", after_s=0.5)
    return None


def _our_uids(context: Context) -> set[str]:
    return set(
        context.migration.intents.filter(verb="claim.create").exclude(uid="").values_list("uid", flat=True)
    )


def _unreserve(context: Context, transfer: Transfer, volume: Volume, held: ClaimRef) -> None:
    """Gives a reserved volume back to the staging claim that is gone: it is Released then, and can go."""
    wanted = ClaimRef(context.migration.source_namespace, transfer.staging_name, transfer.staging_uid)
    context.act(
        key=f"roll-back/unreserve/{volume.name}",
        verb="volume.reserve",
        ref=volume.ref,
        before={"namespace": held.namespace, "claim": held.name},
        after={"namespace": wanted.namespace, "claim": wanted.name},
        call=lambda: context.cluster.restore_claim_ref(volume, expected=held, wanted=wanted),
    )


def restore_sources(context: Context) -> Outcome | None:
    """Release sets Retain before it begins to delete; when it did not begin, the policy goes back.

    Not on a volume that lost its claim meanwhile: with the policy Delete its data would be destroyed at once.
    """
    whole = {t.source_volume for t in context.transfers if sources.intact(context, t)}
    for intent in open_intents(context, "release/retain/"):
        volume = context.cluster.get_volume(intent.name)
        if (
            volume is not None
            and volume.uid == intent.uid
            and volume.name in whole
            and _bound(volume)
            and volume.reclaim_policy != intent.before["reclaim_policy"]
        ):
            set_policy(context, volume, intent.before["reclaim_policy"])
            return Again(f"Volume {volume.name} has its reclaim policy again.", after_s=0.1)
        undone(intent)
    return None


def _bound(volume: Volume) -> bool:
    return volume.phase == "Bound" and not volume.deleting
