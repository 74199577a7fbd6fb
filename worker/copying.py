"""What warm copy, copy, verify and the digest of release share: one mover Job a transfer, all at once."""

from collections.abc import Callable
from typing import Any

from cluster.values import Manifest
from migrations_app.models import Transfer
from worker import movers
from worker.context import Context
from worker.outcomes import Again, Outcome, Stop

Results = dict[int, dict[str, Any]]
# How soon a running mover is looked at again. A mover speaks once a second and the page looks once a second; what it said
# is seen within two.
TICK_S = 0.5
WARM = "warm-copy"
# What the mover cannot see with its capabilities: it can be neither counted nor found different.
UNSEEN = "xattr:trusted"


def run_all(
    context: Context,
    render: Callable[[Transfer], Manifest],
    *,
    failed: Callable[[Transfer, movers.Verdict], Outcome | None] | None = None,
    transfers: list[Transfer] | None = None,
) -> Results | Outcome:
    """Runs one Job a transfer. The results by transfer number when all are done, else the outcome of this tick.

    `failed` may turn a failed Job into an outcome of its own, such as differences that verify found.
    """
    transfers = context.transfers if transfers is None else transfers
    others = movers.remove_others(context, {render(transfer).name for transfer in transfers})
    if others is not None:
        return others
    results: Results = {}
    messages = []
    for transfer in transfers:
        verdict = movers.run(context, transfer, render(transfer))
        if verdict.state == "failed":
            own = failed(transfer, verdict) if failed else None
            if own is not None:
                return own
            assert verdict.problem is not None  # noqa: S101 - a failed verdict carries its problem
            return Stop(verdict.problem)
        if verdict.state == "running":
            messages.append(verdict.message)
        elif verdict.result is not None:
            results[transfer.number] = verdict.result
            _ended(transfer, render(transfer).name, verdict.result)
    if messages:
        return Again(_together(messages), after_s=TICK_S)
    return results


def _ended(transfer: Transfer, job: str, result: dict[str, Any]) -> None:
    """The last word about a mover that is done while others still work: it is silent because it ended."""
    said = transfer.progress
    if said.get("job") != job or said.get("ended"):
        return
    size, files = result.get("bytes"), result.get("counts", {}).get("files")
    transfer.progress = {
        **said,
        "ended": True,
        "bytes": size,
        "bytes_total": size,
        "files": files,
        "files_total": files,
        "rate_bytes_per_second": result.get("rate_bytes_per_second"),
        "totals": "",
        "path": "",
    }
    transfer.save(update_fields=["progress"])


def _together(messages: list[str]) -> str:
    """One sentence for the page. Movers at work have a line each there, so they are only counted."""
    rest = [message for message in messages if not message.endswith(movers.AT_WORK)]
    at_work = len(messages) - len(rest)
    if at_work < 2:
        return " ".join(messages)
    return " ".join([f"{at_work} movers are at work.", *rest])


def remove_all(context: Context, render: Callable[[Transfer], Manifest]) -> Outcome | None:
    """Removes the Jobs of this attempt and their pods; None when they are gone."""
    gone = [movers.remove(context, render(transfer)) for transfer in context.transfers]
    return (
        None
        if all(gone)
        else Again("Removing the mover's pods: a finished pod still holds its claims.", after_s=0.5)
    )


def not_kept(context: Context) -> str:
    """A sentence about what the movers could not keep of entries that have it; empty where all was kept.

    Known from the warm passes while the application still runs: verify would find each of these entries different.
    """
    counts: dict[tuple[str, str, str], list[int]] = {}
    for evidence in context.migration.evidence.filter(kind=WARM).select_related("transfer"):
        claim = evidence.transfer.source_name if evidence.transfer else ""
        for item in evidence.data.get("not_kept", ()):
            found = counts.setdefault((claim, item["class"], item["why"]), [])
            # A pass that went on after an interrupted one does not know what that one found.
            found += [item["entries"]] if item.get("entries") is not None else []
    lost = [
        f"{name}: {kind} of {_entries(found)} ({why})"
        for (name, kind, why), found in sorted(counts.items())
        if (not found and kind != UNSEEN) or any(found)
    ]
    return (
        f"Not kept by the mover here, so that Verify will find it different: {'; '.join(lost)}."
        if lost
        else ""
    )


def _entries(found: list[int]) -> str:
    if not found:
        return "any entry that has it"
    return "1 entry" if max(found) == 1 else f"{max(found)} entries"


def remember_results(context: Context, results: Results, kind: str) -> None:
    """Keeps each result as evidence, and on the transfer the numbers that pages show."""
    for transfer in (t for t in context.transfers if t.number in results):
        result = {key: value for key, value in results[transfer.number].items() if key != "t"}
        context.evidence(kind, result, transfer)
