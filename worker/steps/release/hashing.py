"""The source must still be what was proven: a write since then would be lost with it.

Asked of everything that is still there in each attempt, and once more right before the first claim may go when the
look is old by then: a merge may take days.
"""

from datetime import datetime, timedelta

from django.utils import timezone

from cluster.values import Manifest
from migrations_app.models import GitMode, Transfer
from migrations_app.problems import Problem
from migrations_app.states import IntentState
from worker import copying, manifests, movers, stillness, suspension
from worker.context import Context
from worker.declarations import removal
from worker.outcomes import Again, Outcome, Stop
from worker.releasing import arriving, claims
from worker.steps.release import signature

# How old the look at the source may be when the first claim may go.
HASH_HOLDS = timedelta(minutes=15)
# How long nobody may have looked who uses the source: a pod may have come, written and gone meanwhile.
UNSEEN = timedelta(minutes=5)


def check(context: Context) -> Outcome | None:
    """None while nothing uses the source, and it has hashed to what was proven in this attempt."""
    remaining = claims.remaining(context) if claims.began(context) else context.transfers
    gone = next((t for t in remaining if _is_gone(context, t)), None)
    still = claims.vanished(context, gone) if gone else stillness.check(context, remaining)
    if still is not None:
        if gone is None and _went_meanwhile(context, remaining):
            return Again(
                "A source claim went while the source was looked at: it is looked at again.", after_s=0.1
            )
        signature.void(context, "The source is in use again or was replaced: it may have been written to.")
        return still
    unseen = _unseen(context)
    finished = _finished(context, remaining)
    if context.memory.get("hashed_at"):
        return _since(context, remaining, unseen, finished)
    number = context.memory.setdefault("hash_number", 1)
    context.memory.setdefault("finished", sorted(finished))
    if not context.memory.get("hash_read"):
        outcome = _compare(context, remaining, number)
        if outcome is not None:
            return outcome
        context.memory["hash_read"] = True
    # A finished pod would hold the source claim for ever.
    left = movers.remove_every(context)
    if left is not None:
        return left
    context.memory["hashed_at"] = timezone.now().isoformat()
    return Again("The source still hashes to what was proven.", after_s=0.1)


def _went_meanwhile(context: Context, looked_at: list[Transfer]) -> bool:
    """Whether a claim that may go went between two reads: Flux does not wait for us."""
    return claims.began(context) and len(claims.remaining(context)) < len(looked_at)


def _since(
    context: Context, remaining: list[Transfer], unseen: timedelta, finished: dict[str, str]
) -> Outcome | None:
    """None while what was hashed is what is there, as far as can be seen."""
    came = sorted(finished[uid] for uid in finished.keys() - set(context.memory.get("finished", ())))
    if not (came or unseen >= UNSEEN) or not remaining or _being_pruned(context, remaining):
        return None
    if came:
        return _once_more(
            context,
            f"{', '.join(came)} used the source since it was hashed, and ended: it is hashed again.",
        )
    return _once_more(context, "Nobody looked for a while: the source is hashed again.")


def _finished(context: Context, transfers: list[Transfer]) -> dict[str, str]:
    """Pods, ours left out, that used the source and ended, by UID: one that is new may have written between two looks."""
    namespace = context.migration.source_namespace
    return {
        pod.uid: pod.name
        for transfer in transfers
        for pod in stillness.holders(context, namespace, transfer.source_name)
        if pod.finished
    }


def _being_pruned(context: Context, remaining: list[Transfer]) -> bool:
    """Left to Flux, and Git says so: there is nothing to stop any more. Until a person has merged it, or Holdfast resumed it, there is."""
    if suspension.rests(context, context.migration.source_owner):
        return False
    left = any(claims.with_flux(context, transfer) for transfer in remaining)
    return left and arriving.arrived_once(context, removal(context.migration))


def _is_gone(context: Context, transfer: Transfer) -> bool:
    """The claim was deleted when its volume was on Retain already: that is what Undo mends."""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
    volume = context.cluster.get_volume(transfer.source_volume)
    kept = volume is not None and volume.uid == transfer.source_volume_uid
    return claim is None and kept and volume is not None and volume.reclaim_policy == "Retain"


def again(context: Context) -> Outcome | None:
    """None when the look is young enough for what comes next, or nothing comes next that could still be held back."""
    age = timezone.now() - datetime.fromisoformat(context.memory["hashed_at"])
    # A clock that was set back makes it look younger than nothing.
    if timedelta(0) <= age < HASH_HOLDS or (claims.began(context) and _nothing_next(context)):
        return None
    return _once_more(context, "It took long to get here: the source is hashed again.")


def _nothing_next(context: Context) -> bool:
    """Every claim goes without another act of ours, or the next one waits until the one before it is gone."""
    remaining = claims.remaining(context)
    return not remaining or claims.going(context) or _out_of_hand(context, remaining)


def _out_of_hand(context: Context, remaining: list[Transfer]) -> bool:
    """All are left to Flux, and the removal was pushed or asked for: when it arrives is up to others, in minutes or days.

    Not while the owner rests: that it is resumed is up to Holdfast.
    """
    migration = context.migration
    if suspension.rests(context, migration.source_owner) or not all(
        claims.with_flux(context, transfer) for transfer in remaining
    ):
        return False
    change = removal(migration)
    pushed = migration.intents.filter(key=f"{change.key}/git.push", state=IntentState.DONE).exists()
    return pushed or migration.git_mode == GitMode.MANUAL or arriving.arrived_once(context, change)


def _once_more(context: Context, why: str) -> Again:
    context.memory.update(hashed_at="", hash_read=False, hash_number=context.memory["hash_number"] + 1)
    context.memory.pop("finished", None)
    return Again(why, after_s=0.1)


def _unseen(context: Context) -> timedelta:
    """How long ago the source was last seen still in this attempt. Notes that it is now."""
    now = timezone.now()
    seen = context.memory.get("still_at")
    context.memory["still_at"] = now.isoformat()
    return abs(now - datetime.fromisoformat(seen)) if seen else timedelta(0)


def _compare(context: Context, transfers: list[Transfer], number: int) -> Outcome | None:
    def render(transfer: Transfer) -> Manifest:
        attempt = context.run.attempt
        return manifests.mover_job(
            context.migration, transfer, purpose="digest", attempt=attempt, sequence=number
        )

    results = copying.run_all(context, render, transfers=transfers)
    if not isinstance(results, dict):
        return results
    copying.remember_results(context, results, "source-digest")
    for transfer in transfers:
        result = results[transfer.number]
        for key, proven in (
            ("content_digest", transfer.content_digest),
            ("metadata_digest", transfer.metadata_digest),
        ):
            if result.get("outcome") != "done" or not proven or result.get(key) != proven:
                signature.void(context, f"{transfer.source_name} was written to after it was proven.")
                return Stop(
                    Problem(
                        f"{transfer.source_name} is no longer what was proven: its {key.replace('_', ' ')} has changed.",
                        "Nothing of it was deleted. Source and destination are both there, and they differ.",
                        "Find out who wrote to the source. Roll back to bring the application back to it, or abort and compare by hand.",
                        code="source-written",
                    )
                )
    return None
