"""What the pages say of the proof of each claim: no more than is still so."""

from dataclasses import dataclass
from typing import Any

from migrations_app import procedure
from migrations_app.models import Course, Evidence, Migration, Transfer
from migrations_app.states import State

_DIGESTS = ("content_digest", "metadata_digest")
_GIVEN_UP = frozenset({Course.ROLL_BACK, Course.UNDO})


@dataclass(frozen=True)
class Proof:
    """One claim's last proof, as a badge: digests and counts of both sides, and the differences, are in `evidence`."""

    transfer: Transfer
    evidence: Evidence | None
    release: Evidence | None
    label: str
    tone: str
    icon: str

    @property
    def result(self) -> dict[str, Any] | None:
        return self.evidence.data if self.evidence else None

    @property
    def holds(self) -> bool:
        return self.tone == "good"


def proofs(migration: Migration) -> list[Proof]:
    """The proof of each claim, in their order."""
    last = _newest(migration, "verify", "differences")
    release = _newest(migration, "source-digest")
    attempts = migration.runs.filter(step="verify").order_by("-attempt").values_list("attempt", flat=True)
    attempt = attempts.first() or 0
    found = []
    for transfer in migration.transfers.all():
        proof, hashed = last.get(transfer.pk), release.get(transfer.pk)
        found.append(Proof(transfer, proof, hashed, *_badge(migration, proof, hashed, attempt)))
    return found


def _newest(migration: Migration, *kinds: str) -> dict[int | None, Evidence]:
    """The newest evidence of these kinds, by claim."""
    rows = migration.evidence.filter(kind__in=kinds, transfer__isnull=False)
    newest = rows.order_by("transfer_id", "-id").distinct("transfer_id")
    return {evidence.transfer_id: evidence for evidence in newest}


def _badge(
    migration: Migration, last: Evidence | None, release: Evidence | None, attempt: int
) -> tuple[str, str, str]:
    """Label, tone and icon. `attempt` is the newest one at verify."""
    if last is None:
        return "not verified yet", "neutral", "circle"
    if last.data.get("outcome") != "equal":
        return f"{last.data.get('differences_total')} differences", "danger", "cross"
    if release is not None and release.id > last.id and _differs(last, release):
        return "source changed since the proof", "danger", "cross"
    if migration.course in _GIVEN_UP or migration.state == State.ABORTED:
        return "was equal when verified", "neutral", "circle"
    if attempt > last.attempt or procedure.is_before(migration.current_step, "verify"):
        return "to be proven again", "attention", "warn"
    return "equal, no differences", "good", "check"


def _differs(last: Evidence, release: Evidence) -> bool:
    proven = last.data.get("source") or {}
    return any(release.data.get(key) != proven.get(key) for key in _DIGESTS)
