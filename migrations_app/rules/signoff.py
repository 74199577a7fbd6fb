"""What a sign-off stands for, who may give it, and what voids it."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.permissions import can, people_with, why_not
from audit.models import Event
from migrations_app.models import Decision, Migration, SignOffRequest
from migrations_app.models.evidence import digest_of
from migrations_app.problems import Refused

# The observations that a signature stands for. Each new attempt at one of them changes the digest.
COVERED_EVIDENCE = ("verify", "handed-over", "deployed", "test")


def covers(migration: Migration) -> dict[str, Any]:
    """Everything that a signature given now would stand for: plan digest, options, evidence digests, UIDs."""
    rows = migration.evidence.filter(kind__in=COVERED_EVIDENCE).order_by("id")
    evidence = {
        f"{kind}/{source_name or ''}": _true_digest(data, digest)
        for kind, source_name, data, digest in rows.values_list(
            "kind", "transfer__source_name", "data", "digest"
        )
    }
    return {
        "migration": migration.reference,
        "plan": migration.started_plan_digest,
        # What the page shows and what Release goes by, whatever digest stands beside it.
        "plan_shown": digest_of({key: migration.plan.get(key) for key in ("objects", "git", "covers")}),
        # What Release and Retain go by: the row, whatever the plan showed.
        "options": {
            "retention_days": migration.retention_days,
            "release_path": str(migration.release_path),
            "git_mode": str(migration.git_mode),
        },
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


def _true_digest(data: Any, recorded: str) -> str:
    """The digest of what is there, not of what was once written beside it: content that was changed since shows."""
    return recorded if digest_of(data) == recorded else f"{digest_of(data)}, recorded as {recorded}"


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
    # Who chose what is moved asked for it, too, whoever opened the draft. The trail knows, and nobody can change it.
    edits = Event.objects.filter(kind="migration", key=migration.reference, verb="migration.edit")
    for name in edits.order_by().values_list("actor", flat=True).distinct():
        names.setdefault(name, "edited its draft")
    if settings.HOLDFAST_STARTER_MAY_NOT_APPROVE and migration.started_by_name:
        names.setdefault(migration.started_by_name, "started this migration")
        # Who accepted a changed plan started what runs now.
        for name in migration.runs.filter(step="plan").values_list("memory__go_by", flat=True):
            if name:
                names.setdefault(str(name), "accepted its changed plan")
    if settings.HOLDFAST_TESTER_MAY_NOT_APPROVE and migration.test_confirmed_by_name:
        names.setdefault(migration.test_confirmed_by_name, "confirmed its test")
    asked = migration.sign_off_requests.order_by("-id").values_list("requested_by_name", flat=True).first()
    if asked:
        names.setdefault(asked, "asked for this sign-off")
    return names


def check_may_decide(user: User, migration: Migration) -> None:
    """Raises `Refused` with the reason why this person cannot answer the request."""
    where = migration.namespaces
    if not can(user, "signoff.give", namespace=where, fresh=True):
        raise Refused(why_not("signoff.give", where))
    reason = excluded(migration).get(user.get_username())
    if reason:
        raise Refused(f"You {reason}, so a second person has to decide.")


def eligible(migration: Migration) -> list[User]:
    """The people who could approve this migration."""
    barred = excluded(migration)
    people = people_with("signoff.give", namespace=migration.namespaces)
    return [person for person in people if person.get_username() not in barred]


def has_decided(user: User, request: SignOffRequest) -> bool:
    """Whether this person has answered the request, which each does once. Questions are no answer."""
    return request.decisions.filter(by_name=user.get_username()).exclude(kind=Decision.Kind.ASK).exists()


def why_void(request: SignOffRequest) -> str:
    """Why the request no longer holds, or an empty string. Compares what was signed with what is there now."""
    migration = request.migration
    if request.expires_at <= timezone.now():
        return f"It expired at {request.expires_at:%Y-%m-%d %H:%M} UTC."
    now = covers(migration)
    if digest_of(now) != request.covers_digest:
        return "What it covers has changed: " + ", ".join(changed_parts(request.covers, now)) + "."
    needed = approvals_needed(migration.source_namespace)
    if needed > request.approvals_needed:
        return f"The settings ask for {needed} approvals by now, it asked for {request.approvals_needed}."
    barred = excluded(migration)
    for decision in request.decisions.exclude(kind=Decision.Kind.ASK).select_related("by"):
        reason = _no_longer(decision, migration, barred)
        if reason:
            return reason
    return unrecorded(request)


def unrecorded(request: SignOffRequest) -> str:
    """What the rows of a request claim and the trail does not bear out, or an empty string.

    Rows can be changed by whoever writes into the database, the trail only by what acts: an approval counts if its event
    follows the newest request and names what the request covers.
    """
    events = Event.objects.filter(
        kind="migration", key=request.migration.reference, verb__startswith="signoff."
    )
    asked = events.filter(verb="signoff.request").order_by("-sequence").first()
    if asked is None or (asked.after or {}).get("covers_digest") != request.covers_digest:
        return "The audit trail has no such request."
    since = [
        (event.verb, event.actor)
        for event in events.filter(sequence__gt=asked.sequence)
        if event.verb == "signoff.void" or (event.after or {}).get("covers_digest") == request.covers_digest
    ]
    verbs = {verb for verb, _ in since}
    if "signoff.void" in verbs:
        return "The audit trail says that it was void already."
    decisions = list(request.decisions.exclude(kind=Decision.Kind.ASK))
    for decision in decisions:
        if (f"signoff.{decision.kind}", decision.by_name) not in since:
            return f"The audit trail has no such answer of {decision.by_name}."
    if request.state not in {SignOffRequest.State.APPROVED, SignOffRequest.State.USED}:
        return ""
    kinds = [decision.kind for decision in decisions]
    if "signoff.reject" in verbs:
        return "The audit trail says that it was rejected."
    if (
        Decision.Kind.BREAK_GLASS not in kinds
        and kinds.count(Decision.Kind.APPROVE) < request.approvals_needed
    ):
        return f"It was marked as approved with {kinds.count(Decision.Kind.APPROVE)} of {request.approvals_needed} approvals."
    if request.state == SignOffRequest.State.USED and "signoff.use" not in verbs:
        return "The audit trail does not say that it was used."
    return ""


def _no_longer(decision: Decision, migration: Migration, barred: dict[str, str]) -> str:
    """Why an approval does not count any more: its giver has gone, lost the role, or turned out to be no second person."""
    alone = decision.kind == Decision.Kind.BREAK_GLASS
    if alone and not settings.HOLDFAST_BREAK_GLASS:
        return "Break-glass was used and has been switched off since."
    if decision.by is None or not decision.by.is_active:
        return f"The account of {decision.by_name}, who approved, is no longer active."
    permission, where = "breakglass.use" if alone else "signoff.give", migration.namespaces
    if not can(decision.by, permission, namespace=where):
        return f"{decision.by_name}, who approved, may no longer approve in {migration.source_namespace}."
    stopped = decision.by.deactivated_at
    if (stopped and stopped >= decision.at) or not can(
        decision.by, permission, namespace=where, since=decision.at
    ):
        return f"{decision.by_name}, who approved, could not do so at some time since."
    if not alone and decision.by_name in barred:
        return f"{decision.by_name}, who approved, {barred[decision.by_name]}."
    return ""


def changed_parts(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of the parts that differ, for people."""
    words = {
        "plan": "the plan",
        "plan_shown": "what the plan says",
        "options": "the options of Release and Retain",
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
