"""Verify: the proof that staging equals source, from the disk, content and metadata, in both directions."""

from cluster.values import Manifest
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import copying, manifests, movers, stillness
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop


def tick(context: Context) -> Outcome:
    def render(transfer: Transfer) -> Manifest:
        return manifests.mover_job(context.migration, transfer, purpose="verify", attempt=context.run.attempt)

    problem = stillness.check(context)
    if problem is not None:
        return problem
    if not context.memory.get("read"):
        results = copying.run_all(context, render, failed=lambda t, v: _different(context, t, v))
        if not isinstance(results, dict):
            return results
        for transfer in context.transfers:
            doubt = _doubt(results[transfer.number])
            if doubt:
                return Stop(_unproven(transfer, doubt))
            transfer.content_digest = results[transfer.number]["content_digest"]
            transfer.metadata_digest = results[transfer.number]["metadata_digest"]
            transfer.save(update_fields=["content_digest", "metadata_digest"])
            _learn_volume(context, transfer)
        copying.remember_results(context, results, "verify")
        context.memory["read"] = True
        return Again("Source and staging are equal.", after_s=0.1)
    return copying.remove_all(context, render) or Done("Source and staging are equal: content and metadata.")


def _learn_volume(context: Context, transfer: Transfer) -> None:
    """A WaitForFirstConsumer claim got its volume only when the mover ran: what was proven is what is recorded."""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.staging_name)
    volume = context.cluster.get_volume(claim.volume_name) if claim and claim.volume_name else None
    if claim is not None and volume is not None and claim.uid == transfer.staging_uid:
        transfer.staging_volume, transfer.staging_volume_uid = volume.name, volume.uid
        transfer.save(update_fields=["staging_volume", "staging_volume_uid"])


def _doubt(result: dict[str, object]) -> str:
    """Why a result that says equal is not believed, or an empty string. The verdict is recomputed from its facts."""
    source, destination = result.get("source"), result.get("destination")
    if result.get("outcome") != "equal" or result.get("differences_total") != 0:
        return f"its outcome is {result.get('outcome')}"
    if not isinstance(source, dict) or not isinstance(destination, dict):
        return "it does not carry both sides"
    for key in ("content_digest", "metadata_digest"):
        if not source.get(key) or source.get(key) != destination.get(key):
            return f"the two sides differ in {key}"
    return ""


def _different(context: Context, transfer: Transfer, verdict: movers.Verdict) -> Outcome | None:
    result = verdict.result
    if not result or result.get("outcome") != "different":
        return None
    context.evidence("differences", {k: v for k, v in result.items() if k != "t"}, transfer)
    shown = "; ".join(f"{d['path']} ({d['class']})" for d in result.get("differences", [])[:5])
    return Stop(
        Problem(
            f"{transfer.source_name}: {result.get('differences_total')} differences between source and staging. {shown}",
            "The source is unchanged. Nothing was handed over. The staging copy counts for nothing.",
            "Retry from Copy: the next pass repairs the copy, and verify proves it again. If it comes again, suspect the storage.",
            code="differences",
        )
    )


def _unproven(transfer: Transfer, doubt: str) -> Problem:
    return Problem(
        f"The proof of {transfer.source_name} is not accepted: {doubt}.",
        "The source is unchanged. Nothing was handed over.",
        "Retry.",
        code="unproven",
    )
