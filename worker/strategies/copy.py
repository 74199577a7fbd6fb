"""Copy: the mover fills an empty claim, from any storage class to any storage class."""

from cluster.values import Manifest
from migrations_app.models import Migration, Transfer
from migrations_app.problems import Problem
from worker import beside, copying, manifests, movers, stillness
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Skipped, Stop


class Copy:
    """Always possible: asks for nothing but that a pod can mount both claims."""

    def staging_claim(self, migration: Migration, transfer: Transfer) -> Manifest:
        return manifests.target_claim(migration, transfer)

    def warm(self, context: Context) -> Outcome:
        """Passes of the mover beside the application: they shrink the outage and prove nothing."""
        passes = context.migration.warm_passes
        if passes == 0:
            return Skipped("No warm pass was asked for.")
        number = context.memory.setdefault("pass", 1)
        # Each set of Jobs has names of its own: a pass that begins anew shares no log with the one before.
        sequence = context.memory.setdefault("sequence", 1)
        if context.memory.get("places") is None:
            outcome = _place(context)
            if outcome is not None:
                return outcome
        places = context.memory["places"]

        def render(transfer: Transfer) -> Manifest:
            return manifests.mover_job(
                context.migration,
                transfer,
                purpose="warm",
                attempt=context.run.attempt,
                sequence=sequence,
                final=False,
                place=places[str(transfer.number)],
            )

        # Results first: what is removed below was read in an earlier tick.
        if not context.memory.get("read"):
            anew = _anew(context, places)
            if anew is not None:
                context.memory.update(sequence=sequence + 1, places=None)
                return anew
            results = copying.run_all(context, render)
            if not isinstance(results, dict):
                return results
            copying.remember_results(context, results, copying.WARM)
            context.memory["read"] = True
            return Again(f"Warm pass {number} of {passes} is done.", after_s=0.1)
        removing = copying.remove_all(context, render)
        if removing is not None:
            return removing
        if number < passes:
            context.memory.update(
                {"pass": number + 1, "sequence": sequence + 1, "read": False, "places": None}
            )
            return Again(f"Warm pass {number + 1} of {passes} begins.", after_s=0.1)
        done = "1 warm pass." if passes == 1 else f"{passes} warm passes."
        return Done(f"{done} {copying.not_kept(context)}".strip())

    def fill(self, context: Context) -> Outcome:
        """The final pass, on a source that nothing uses.

        After a verify, claims that it found equal carry no mark of the mover any more, though they have to be copied again with the others.
        """
        verified = context.migration.runs.filter(step="verify").exists()

        def render(transfer: Transfer) -> Manifest:
            return manifests.mover_job(
                context.migration,
                transfer,
                purpose="copy",
                attempt=context.run.attempt,
                final=True,
                adopt=verified,
            )

        if context.migration.runs.filter(step="deploy").exists():
            # The application has its data there by now: a pass would throw that away.
            return Stop(_handed_over())
        problem = stillness.check(context) or (_staging_is_ours(context) if verified else None)
        if problem is not None:
            return problem
        if not context.memory.get("read"):
            results = copying.run_all(context, render)
            if not isinstance(results, dict):
                return results
            copying.remember_results(context, results, "copy")
            context.memory["read"] = True
            return Again("The final pass is done.", after_s=0.1)
        return copying.remove_all(context, render) or Done("The final pass is done.")


def _place(context: Context) -> Outcome | None:
    """Decides where the movers of a pass go, when none of an earlier one holds a claim any more. None when that is known."""
    outcome = movers.remove_every(context) or beside.moved_too_often(context)
    if outcome is not None:
        return outcome
    found = beside.places(context)
    if not isinstance(found, dict):
        return found
    context.remember(places=found)
    return None


def _anew(context: Context, places: beside.Places) -> Outcome | None:
    """What is said when the pass begins anew elsewhere, or with other rights on its node; None as long as the movers stay."""
    if why := beside.in_the_way(context, places):
        moves = context.memory.get("moves", 0) + 1
        context.memory.update(moves=moves, why=why, cordoned=[])
        return Again(f"{why}: the mover makes way, and begins the pass anew.", after_s=0.1)
    if why := beside.kept_off(context, places):
        return Again(f"{why}: the pass begins anew with a mover that tolerates it.", after_s=0.1)
    return None


def _staging_is_ours(context: Context) -> Outcome | None:
    """None when every staging claim is the one that we made: what is in it without a mark is then our copy, and nobody's else."""
    for transfer in context.transfers:
        namespace = context.migration.source_namespace
        claim = context.cluster.get_claim(namespace, transfer.staging_name)
        if claim is None or claim.uid != transfer.staging_uid:
            return Stop(
                Problem(
                    f"Claim {transfer.staging_name} is not the one that Stage made.",
                    "The source is unchanged. Nothing was written to the claim that is there now.",
                    "Find out who replaced it. Then roll back and start again.",
                    f"kubectl get pvc -n {namespace} {transfer.staging_name} -o yaml",
                    "staging-replaced",
                )
            )
    return None


def _handed_over() -> Problem:
    return Problem(
        "The application was deployed on the copy already, so it is not copied to again.",
        "Source and destination are both there.",
        "Roll back to start again from the source.",
        code="handed-over",
    )
