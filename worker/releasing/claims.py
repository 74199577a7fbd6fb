"""The source claims at release: is it still the one, is it marked, may it go, is it gone."""

from cluster.flux import PRUNE, RECONCILE, SSA
from cluster.values import Claim, Volume
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from migrations_app.states import IntentState
from worker import stillness
from worker.context import Context
from worker.outcomes import Again, Outcome, Stop, Wait

PROTECTION_KEYS = (PRUNE, RECONCILE, SSA)
# The acts after which a claim may go: Holdfast deletes it, or leaves it to Flux to do so.
FINAL = ("claim.delete", "claim.leave")
MAX_LIFTS = 3


def began(context: Context) -> bool:
    """True from the first act on after which a source claim may be gone. What was refused for certain is none."""
    acts = context.migration.intents.filter(step="release", verb__in=FINAL)
    return acts.exclude(state=IntentState.FAILED).exists()


def deleted_by(context: Context) -> dict[str, str]:
    """Who deleted each claim that is gone, by its name: what Holdfast was refused, whoever it was left to did, or somebody else."""
    found = {transfer.source_name: "somebody else" for transfer in context.transfers}
    for intent in context.migration.intents.filter(step="release", verb__in=FINAL).order_by("id"):
        if intent.state == IntentState.FAILED:
            if found[intent.name] != "somebody else":
                found[intent.name] += " or somebody else"
        else:
            found[intent.name] = "Holdfast" if intent.verb == "claim.delete" else intent.after["to"]
    return found


def left_to_flux(context: Context, transfer: Transfer) -> bool:
    """True when the claim was given to Flux for deletion."""
    return context.migration.intents.filter(key=f"release/claim.leave/{transfer.source_name}").exists()


def with_flux(context: Context, transfer: Transfer) -> bool:
    """Left to Flux, and not dropped by it: one that it dropped is Holdfast's to delete."""
    dropped = context.migration.evidence.filter(kind="dropped-by-flux", transfer=transfer)
    return left_to_flux(context, transfer) and not dropped.exists()


def get(context: Context, transfer: Transfer) -> Claim | Outcome | None:
    """The claim that was signed for; None when it is gone; a problem when another one bears its name."""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
    if claim is None or claim.uid == transfer.source_uid:
        return claim
    return Stop(
        Problem(
            f"Claim {claim.namespace}/{claim.name} is another one than was signed for: somebody made it again.",
            f"It was not touched. Volume {transfer.source_volume} is on Retain.",
            "Find out who made it. Remove it or keep it, then retry.",
            f"kubectl get pvc -n {claim.namespace} {claim.name} -o yaml",
            "source-replaced",
        )
    )


def remaining(context: Context) -> list[Transfer]:
    """The transfers whose source claim is still there and not on its way out."""
    found = []
    for transfer in context.transfers:
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        if claim is not None and claim.uid == transfer.source_uid and not claim.deleting:
            found.append(transfer)
    return found


def going(context: Context) -> bool:
    """True while a source claim is on its way out."""
    namespace = context.migration.source_namespace
    found = [context.cluster.get_claim(namespace, transfer.source_name) for transfer in context.transfers]
    uids = {transfer.source_uid for transfer in context.transfers}
    return any(claim is not None and claim.deleting and claim.uid in uids for claim in found)


def vanished(context: Context, transfer: Transfer) -> Stop:
    """Somebody else deleted it. From here on Undo is the way back, since there is nothing left to roll back to."""
    context.evidence("claim-vanished", {"claim": transfer.source_name, "uid": transfer.source_uid}, transfer)
    return Stop(
        Problem(
            f"Claim {transfer.source_name} was deleted before its time, not by Holdfast.",
            f"Its volume {transfer.source_volume} is on Retain: the data is there.",
            "Use Undo to rebuild the claim.",
            f"kubectl get pv {transfer.source_volume}",
            "claim-vanished",
        )
    )


def may_go(context: Context, transfer: Transfer, claim: Claim) -> Volume | Outcome:
    """The volume behind the claim, read now: on Retain, bound to this very claim, and no pod names it."""
    pods = stillness.holders(context, claim.namespace, claim.name)
    if pods:
        names = ", ".join(pod.name for pod in pods)
        return Wait(
            f"Delete {names}: a pod that names {claim.name}, finished or not, keeps the claim from going.",
            "migrations.edit",
            after_s=2,
        )
    volume = context.cluster.get_volume(transfer.source_volume)
    if volume is None or volume.reclaim_policy != "Retain" or volume.uid != transfer.source_volume_uid:
        return Again(f"Volume {transfer.source_volume} is not on Retain; it is set again.", after_s=0.2)
    if claim.volume_name != volume.name or volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
        return Stop(
            Problem(
                f"{claim.name} and volume {volume.name} do not name each other any more.",
                "The claim was not deleted.",
                "Find out who changed the binding.",
                f"kubectl get pv {volume.name} -o yaml",
                "binding-changed",
            )
        )
    return volume


def lift(context: Context, claim: Claim) -> Outcome | None:
    """Takes the marks off the claim that keep Flux and policies from deleting it; None when it has none.

    What puts a mark back each time is not fought: a person is asked.
    """
    lifts = context.memory.setdefault("lifts", {})
    for word, pairs in (("annotations", claim.annotations), ("labels", claim.labels)):
        marks = {key: pairs[key] for key in PROTECTION_KEYS if key in pairs}
        if not marks:
            continue
        if lifts.get(f"{claim.uid}/{word}", 0) >= MAX_LIFTS:
            return Stop(
                Problem(
                    f"Something puts {', '.join(marks)} back on {claim.name} each time that it is lifted.",
                    "The claim is not deleted. Its volume is on Retain.",
                    "Find out what sets it, and stop that; then retry.",
                    f"kubectl get pvc -n {claim.namespace} {claim.name} -o yaml --show-managed-fields",
                    "protected-again",
                )
            )
        lifts[f"{claim.uid}/{word}"] = lifts.get(f"{claim.uid}/{word}", 0) + 1
        change = context.cluster.annotate if word == "annotations" else context.cluster.label
        context.act(
            key=f"release/unprotect{'' if word == 'annotations' else '-label'}/{claim.name}",
            verb="claim.unprotect",
            ref=claim.ref,
            before={word: marks},
            call=lambda change=change, marks=marks: change(  # type: ignore[misc]
                claim.ref, dict.fromkeys(marks), resource_version=claim.resource_version
            ),
        )
        return Again(f"Lifted the protection of {claim.name}.", after_s=0.05)
    return None


def delete(context: Context, transfer: Transfer, claim: Claim) -> Outcome:
    """Unprotects, then deletes the very object that was signed for, by UID and resourceVersion."""
    volume = may_go(context, transfer, claim)
    if not isinstance(volume, Volume):
        return volume
    lifted = lift(context, claim)
    if lifted is not None:
        return lifted
    context.act(
        key=f"release/claim.delete/{claim.name}",
        verb="claim.delete",
        ref=claim.ref,
        before=_record(context, claim, volume),
        call=lambda: context.cluster.delete(claim.ref, resource_version=claim.resource_version),
    )
    return Again(f"Deleted {claim.name}; its volume {volume.name} stays.", after_s=0.2)


def leave(context: Context, transfer: Transfer, claim: Claim) -> Outcome | None:
    """Writes down that the claim is Flux's to delete from now on, with all that Undo could need. None when it is."""
    if left_to_flux(context, transfer):
        return None
    volume = may_go(context, transfer, claim)
    if not isinstance(volume, Volume):
        return volume
    owner = context.migration.source_owner
    context.act(
        key=f"release/claim.leave/{claim.name}",
        verb="claim.leave",
        ref=claim.ref,
        before=_record(context, claim, volume),
        after={"to": f"Kustomization {owner['namespace']}/{owner['name']}"},
        call=lambda: claim.ref,
    )
    return Again(f"{claim.name} is left to Flux; its volume {volume.name} stays.", after_s=0.05)


def _record(context: Context, claim: Claim, volume: Volume) -> dict[str, str]:
    manifest = context.cluster.get_object("v1", "PersistentVolumeClaim", claim.namespace, claim.name)
    return {
        "claim": manifest.body if manifest else "",
        "volume": volume.spec_json,
        "volume_name": volume.name,
    }


def ending(context: Context, claim: Claim) -> Outcome:
    """A claim that is on its way out, and what it waits for."""
    holders = stillness.holders(context, claim.namespace, claim.name)
    who = f" It is held by {', '.join(p.name for p in holders)}." if holders else ""
    return Again(f"Waiting for {claim.name} to be gone.{who}", after_s=0.5)


def check_released(context: Context, transfer: Transfer) -> Outcome | None:
    """The claim is gone; its volume must be there, on Retain, and Released."""
    volume = context.cluster.get_volume(transfer.source_volume)
    if volume is None or volume.uid != transfer.source_volume_uid or volume.reclaim_policy != "Retain":
        return Stop(
            Problem(
                f"Volume {transfer.source_volume} is gone, replaced or not on Retain after its claim was deleted.",
                "The destination has a proven copy of the data.",
                "Look at the volume now.",
                f"kubectl get pv {transfer.source_volume} -o yaml",
                "volume-lost",
            )
        )
    if volume.phase != "Released":
        return Again(f"Waiting for volume {volume.name} to be released: it is {volume.phase}.", after_s=0.5)
    return None
