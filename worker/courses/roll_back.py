"""Roll back: puts back what was recorded and removes what this migration created, nothing else.

What the application may have written is put on Retain before anything else. Then it goes by the intents: Git and the
destination, so that nothing runs there (`leaving` says what happens when Git cannot be read); the source's volumes and
replicas, so that the application runs again; then our claims; suspension last. Each look finds the first thing that is not
as it was, and mends that one. A volume goes only where the source is whole and the volume holds nothing but our copy; and
nothing is taken away, nor Flux let go, while Git does not declare the source.
"""

from django.utils import timezone

from cluster.values import Claim, Workload
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import gitside, manifests, movers, suspension
from worker.context import LABEL, Context
from worker.courses import leaving, sources, volumes
from worker.outcomes import Again, Done, Outcome, Stop, Wait
from worker.releasing.claims import MAX_LIFTS
from worker.stillness import users


def tick(context: Context) -> Outcome:
    return (
        movers.remove_every(context)
        or _admit_loss(context)
        or volumes.keep_used(context)
        or leaving.leave(context)
        or _empty_destination(context)
        or volumes.restore_sources(context)
        or _restore_workloads(context)
        or leaving.settle(context)
        or sources.undeclared(context)
        or _remove_claims(context)
        or _resume(context)
        or _finish(context)
    )


def _admit_loss(context: Context) -> Outcome | None:
    """Says once that there is no source to go back to, before the application's other home is taken away."""
    lost = sources.lost(context)
    if not lost or context.migration.evidence.filter(kind="source-gone").exists():
        return None
    if not context.migration.intents.exists():
        return None
    names = ", ".join(transfer.source_name for transfer in lost)
    context.evidence("source-gone", {"claims": [transfer.source_name for transfer in lost]})
    return Stop(
        Problem(
            f"There is nothing to go back to: {names} or its volume is gone or on its way out, not by Holdfast.",
            "Nothing was removed. The copy is there.",
            "Put the source back on its volume, then retry. Retry as it is to roll back all the same: "
            "every volume that may hold the last copy is kept then.",
            f"kubectl get pvc,pv -n {context.migration.source_namespace}",
            "source-gone",
        )
    )


def _empty_destination(context: Context) -> Outcome | None:
    """Nothing may use the destination claims when they go."""
    for transfer in context.transfers:
        if not transfer.destination_uid and not volumes.made(
            context, context.migration.destination_namespace, transfer.destination_name
        ):
            continue
        pods = users(context, context.migration.destination_namespace, transfer.destination_name)
        if pods:
            names = ", ".join(p.name for p in pods)
            what = (
                f"Point the workload back at {transfer.source_name} in Git, push, and have Flux apply it: {names} uses"
                if context.migration.within_namespace
                else f"Stop {names}: it uses"
            )
            return Wait(
                f"{what} destination claim {transfer.destination_name}.", "migrations.edit", after_s=2
            )
    return None


def _remove_claims(context: Context) -> Outcome | None:
    """Destination and staging claims that this migration created, each by the UID that it got."""
    migration = context.migration
    for transfer in context.transfers:
        for namespace, name in (
            (migration.destination_namespace, transfer.destination_name),
            (migration.source_namespace, transfer.staging_name),
        ):
            claim = context.cluster.get_claim(namespace, name) if name else None
            if claim is not None and _created_by_us(context, claim):
                return _remove_claim(context, transfer, claim)
        outcome = volumes.settle(context, transfer)
        if outcome is not None:
            return outcome
    return None


def _created_by_us(context: Context, claim: Claim) -> bool:
    """Ours by label and by UID: a claim that Git applied over ours is still the object that we created."""
    made = volumes.made(context, claim.namespace, claim.name)
    return claim.labels.get(LABEL) == context.migration.reference and any(
        intent.uid in {"", claim.uid} for intent in made
    )


def _remove_claim(context: Context, transfer: Transfer, claim: Claim) -> Outcome:
    if claim.uid == transfer.source_uid or claim.volume_name == transfer.source_volume:
        return Stop(Problem("A source claim would be deleted.", "It was not.", "Report this.", code="guard"))
    if claim.deleting:
        return Again(f"Waiting for {claim.name} to be gone.", after_s=0.5)
    volume = context.cluster.get_volume(claim.volume_name) if claim.volume_name else None
    if volume is not None and (volume.claim_ref is None or volume.claim_ref.uid != claim.uid):
        return Again(f"Waiting for {claim.name} and {volume.name} to bind.", after_s=0.5)
    if volume is not None:
        wanted = "Delete" if volumes.may_go(context, transfer, claim, volume) else "Retain"
        if volume.reclaim_policy != wanted:
            volumes.set_policy(context, volume, wanted)
            return Again(f"Volume {volume.name}: {volumes.fate(wanted)}.", after_s=0.1)
    marks = {key: None for key in manifests.PROTECT if key in claim.annotations}
    lifts = context.memory.setdefault("lifts", {})
    # Where something puts the mark back each time, the deletion is tried as it is: what refuses it says who it is.
    if marks and lifts.get(claim.uid, 0) < MAX_LIFTS:
        lifts[claim.uid] = lifts.get(claim.uid, 0) + 1
        context.act(
            key=f"roll-back/unprotect/{claim.namespace}/{claim.name}",
            verb="claim.unprotect",
            ref=claim.ref,
            before=dict(manifests.PROTECT),
            call=lambda: context.cluster.annotate(claim.ref, marks, resource_version=claim.resource_version),
        )
        return Again(f"Lifted the protection of {claim.name}.", after_s=0.05)
    context.act(
        key=f"roll-back/claim.remove/{claim.namespace}/{claim.name}",
        verb="claim.remove",
        ref=claim.ref,
        before={"volume": volume.spec_json if volume else "", "volume_name": claim.volume_name},
        call=lambda: context.cluster.delete(claim.ref, resource_version=claim.resource_version),
    )
    return Again(f"Removed {claim.namespace}/{claim.name}.", after_s=0.2)


def _restore_workloads(context: Context) -> Outcome | None:
    for intent in volumes.open_intents(context, "quiesce/scale/"):
        found = context.cluster.get_workload(intent.kind, intent.namespace, intent.name)
        wanted = intent.before["replicas"]
        elsewhere = _points_at_destination(context, found) if found is not None else ""
        if found is not None and found.replicas == 0 and elsewhere:
            return Wait(elsewhere, "migrations.edit", after_s=5)
        if found is None or found.replicas != 0 or wanted == 0:
            # Gone, or scaled by somebody else since: theirs stands, and is said.
            if found is None and wanted:
                _note(context, "not_scaled", f"{intent.kind} {intent.namespace}/{intent.name}")
            elif found is not None and found.replicas not in {0, wanted}:
                _note(context, "left_scaled", f"{found.ref} at {found.replicas} (was {wanted})")
            volumes.undone(intent)
            continue
        context.act(
            key=f"roll-back/scale/{intent.kind}/{intent.name}",
            verb="workload.scale",
            ref=found.ref,
            before={"replicas": 0},
            after={"replicas": wanted},
            call=lambda found=found, wanted=wanted: context.cluster.scale(  # type: ignore[misc]
                found.kind, found.namespace, found.name, wanted, resource_version=found.resource_version
            ),
        )
        volumes.undone(intent)
        return Again(f"Scaled {intent.kind} {intent.name} back to {wanted}.", after_s=0.1)
    return None


def _points_at_destination(context: Context, found: Workload) -> str:
    """Within one namespace Git may have pointed the workload at a claim that goes: scaled up, its pods would wait for it for ever."""
    if not context.migration.within_namespace:
        return ""
    new = {
        t.destination_name: t.source_name for t in context.transfers if t.destination_name != t.source_name
    }
    named = sorted(set(found.claims) & set(new))
    if not named:
        return ""
    pairs = ", ".join(f"{name} → {new[name]}" for name in named)
    return f"Point {found.kind} {found.name} back at the source claims in Git ({pairs}), push, and have Flux apply it."


def _resume(context: Context) -> Outcome | None:
    # Asked again: claims may have taken a while to go.
    undeclared = sources.undeclared(context)
    if undeclared is not None:
        return undeclared
    for intent in volumes.open_intents(context, "quiesce/suspend/"):
        found = suspension.find(context, intent.kind, intent.namespace, intent.name)
        if found is None:
            _note(context, "not_resumed", f"{intent.kind} {intent.namespace}/{intent.name}")
        if found is None or not found.suspended:
            volumes.undone(intent)
            continue
        if not suspension.ours(context, found):
            # Not what we set: somebody suspended it anew, or changed it since. Theirs stands, and is said.
            _note(context, "left_suspended", str(found.ref))
            volumes.undone(intent)
            continue
        suspension.resume(context, found)
        return Again(f"Resumed {found.ref}.", after_s=0.1)
    return None


def _finish(context: Context) -> Outcome:
    kept = []
    for transfer in context.transfers:
        volume = context.cluster.get_volume(transfer.staging_volume) if transfer.staging_volume else None
        if volume is not None and volume.uid == transfer.staging_volume_uid and not volume.deleting:
            kept.append(volume.name)
    lost = sources.lost(context)
    kept += [name for transfer in lost if (name := sources.kept_volume(context, transfer))]
    if context.migration.is_down:
        context.migration.outage_ended_at = timezone.now()
        context.keep("outage_ended_at")
    notes = {note: _noted(context, note) for note in _NOTES}
    context.evidence("rolled-back", {"kept_volumes": kept, **notes})
    said = [f"{_NOTES[note]}: {', '.join(found)}." for note, found in notes.items() if found]
    whole = "Everything else is as it was" if said else "Everything is as it was"
    if lost:
        names = ", ".join(transfer.source_name for transfer in lost)
        whole += f" but the source: {names} was lost, not by Holdfast"
    said.append(f"{whole}.")
    if context.memory.get("git_unread"):
        said.append(
            f"Git could not be asked about {context.migration.destination_namespace}: Holdfast put nothing there."
        )
    if kept:
        said.append(
            f"Kept for you, since {volumes.WHY_KEPT}: {', '.join(kept)}. "
            "How to read or delete them: docs/how-to/get-data-back.md, A volume that Roll back kept."
        )
    return Done(" ".join(said) + gitside.open_branches(context, "deploy", "exempt", "release"))


# What is not as it was, in the words of the last sentence.
_NOTES = {
    "not_scaled": "Not found any more, so not scaled",
    "left_scaled": "Left as somebody else scaled it",
    "not_resumed": "Not found any more, so not resumed",
    "left_suspended": "Left suspended, since somebody else changed it meanwhile",
}


def _note(context: Context, note: str, what: str) -> None:
    """Notes it at once: the intent that led there is closed next, and is not looked at again."""
    context.remember(**{note: [*(one for one in context.memory.get(note, []) if one != what), what]})


def _noted(context: Context, note: str) -> list[str]:
    """What was noted, in earlier attempts too."""
    earlier = context.migration.runs.filter(step=context.run.step).exclude(pk=context.run.pk)
    memories = [*earlier.order_by("attempt").values_list("memory", flat=True), context.memory]
    return list(dict.fromkeys(what for memory in memories for what in memory.get(note, [])))
