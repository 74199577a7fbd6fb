"""What a sign-off stands for, who may give it, and what voids it."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.permissions import can, people_with, why_not
from migrations_app.models import Decision, Migration, SignOffRequest
from migrations_app.models.evidence import digest_of
from migrations_app.problems import Refused

# The observations that a signature stands for. Each new attempt at one of them changes the digest.
COVERED_EVIDENCE = ("verify", "handed-over", "deployed", "test")


def covers(migration: Migration) -> dict[str, Any]:
    """Everything that a signature given now would stand for: plan digest, evidence digests, UIDs."""
    evidence = {
        f"{kind}/{source_name or ''}": digest
        for kind, source_name, digest in migration.evidence.filter(kind__in=COVERED_EVIDENCE)
        .order_by("id")
        .values_list("kind", "transfer__source_name", "digest")
    }
    return {
        "migration": migration.reference,
        "plan": migration.started_plan_digest,
        "evidence": evidence,
        "destroys": [
            {
                "namespace": migration.source_namespace,
                "claim": transfer.source_name,
                "claim_uid": transfer.source_uid,
                "volume": transfer.source_volume,
                "volume_uid": transfer.source_volume_uid,
                "content_digest": transfer.content_digest,
                "metadata_digest": transfer.metadata_digest,
            }
            for transfer in migration.transfers.all()
        ],
        "keeps": [
            {
                "namespace": migration.destination_namespace,
                "claim": transfer.destination_name,
                "claim_uid": transfer.destination_uid,
            }
            for transfer in migration.transfers.all()
        ],
    }


def approvals_needed(namespace: str) -> int:
    """How many people have to approve for a source in `namespace`: HOLDFAST_APPROVALS, `pattern=N` first match wins."""
    from fnmatch import fnmatchcase

    for pattern, number in settings.HOLDFAST_APPROVALS:
        if fnmatchcase(namespace, pattern):
            return int(number)
    return 1


def excluded(migration: Migration) -> dict[str, str]:
    """User names that cannot approve this migration, each with the reason."""
    names = {migration.requested_by_name: "asked for this migration"}
    if settings.HOLDFAST_STARTER_MAY_NOT_APPROVE and migration.started_by_name:
        names.setdefault(migration.started_by_name, "started this migration")
    if settings.HOLDFAST_TESTER_MAY_NOT_APPROVE and migration.test_confirmed_by_name:
        names.setdefault(migration.test_confirmed_by_name, "confirmed its test")
    return names


def check_may_decide(user: User, migration: Migration) -> None:
    """Raises `Refused` with the reason why this person cannot answer the request."""
    if not can(user, "signoff.give", namespace=migration.source_namespace, fresh=True):
        raise Refused(why_not("signoff.give", migration.source_namespace))
    reason = excluded(migration).get(user.get_username())
    if reason:
        raise Refused(f"You {reason}, so a second person has to decide.")


def eligible(migration: Migration) -> list[User]:
    """The people who could approve this migration."""
    barred = excluded(migration)
    people = people_with("signoff.give", namespace=migration.source_namespace)
    return [person for person in people if person.get_username() not in barred]


def why_void(request: SignOffRequest) -> str:
    """Why the request no longer holds, or an empty string. Compares what was signed with what is there now."""
    migration = request.migration
    if request.expires_at <= timezone.now():
        return f"It expired at {request.expires_at:%d %b %Y %H:%M} UTC."
    now = covers(migration)
    if digest_of(now) != request.covers_digest:
        return "What it covers has changed: " + ", ".join(changed_parts(request.covers, now)) + "."
    for decision in request.decisions.filter(kind=Decision.Kind.APPROVE).select_related("by"):
        if decision.by is None or not decision.by.is_active:
            return f"The account of {decision.by_name}, who approved, is no longer active."
        if not can(decision.by, "signoff.give", namespace=migration.source_namespace):
            return f"{decision.by_name}, who approved, may no longer approve in {migration.source_namespace}."
        if decision.by_name in excluded(migration):
            return f"{decision.by_name}, who approved, {excluded(migration)[decision.by_name]}."
    return ""


def changed_parts(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of the parts that differ, for people."""
    words = {
        "plan": "the plan",
        "evidence": "the evidence",
        "destroys": "the source",
        "keeps": "the destination",
    }
    return [
        words.get(key, key)
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def expiry() -> timedelta:
    return timedelta(hours=settings.HOLDFAST_SIGN_OFF_HOURS)
