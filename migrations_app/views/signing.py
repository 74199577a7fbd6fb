"""The sign-off page: what will be destroyed, the proof, what undoes it, who did what; and the decision."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe

from accounts.access import needs
from accounts.permissions import can
from audit.models import Event
from dashboard.models import Claim
from migrations_app.actions import signing
from migrations_app.models import Decision, Migration, SignOffRequest
from migrations_app.problems import Refused
from migrations_app.rules import questions
from migrations_app.rules import signoff as rules
from migrations_app.views import live
from migrations_app.views.proofs import proofs
from migrations_app.views.shared import attempt, check_edit, load, person, see_other, typed


@needs("migrations.view")
@require_safe
def sign_off(request: HttpRequest, reference: str) -> HttpResponse:
    return _show(request, load(request, reference))


def _show(
    request: HttpRequest,
    migration: Migration,
    *,
    text: str = "",
    answer: str = "",
    note: str = "",
    reason: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, with what was typed and refused: `text` into a decision, `answer` to a question, `note` to ask again, `reason` to break glass."""
    asked = migration.sign_off_requests.order_by("-id").first()
    context = {
        "text": text,
        "answer": answer,
        "note": note,
        "reason": reason,
        "said": questions.conversation(asked) if asked else [],
        "questions": questions.unanswered(asked) if asked and asked.state == "open" else [],
        **live.frame(request, migration, "sign-off"),
        "asked": asked,
        "earlier": migration.sign_off_requests.order_by("-id")[1:],
        "proofs": proofs(migration),
        "health": _health(migration),
        "acts": _acts(migration),
        "protection": _protection(migration),
        "why_not": _why_not(request, migration, asked),
        "void": rules.why_void(asked) if asked and asked.state in {"open", "approved"} else "",
        "eligible": [user.get_username() for user in rules.eligible(migration)],
        "excluded": rules.excluded(migration),
        "test": migration.evidence.filter(kind="test").last(),
        "deployed": migration.evidence.filter(kind="deployed").last(),
        "break_glass": _may_break_glass(request, migration, asked),
        **live.plan_context(migration),
    }
    return render(request, "migrations/sign_off.html", context, status=status)


def _health(migration: Migration) -> dict[str, Any] | None:
    """All looks at the destination since the application runs there, as one; None before the first."""
    runs = migration.runs.filter(step__in=["test", "sign-off"]).order_by("id")
    looks = [run.memory["health"] for run in runs if "health" in run.memory]
    if not looks:
        return None
    return {
        **looks[-1],
        "at": parse_datetime(looks[-1]["at"]),
        "since": parse_datetime(looks[0]["since"]),
        "looks": sum(look["looks"] for look in looks),
        "unready_looks": sum(look["unready_looks"] for look in looks),
    }


def _acts(migration: Migration) -> QuerySet[Event]:
    """What people did to this migration, as the trail has it."""
    events = Event.objects.filter(kind="migration", key=migration.reference)
    return events.exclude(role="system").order_by("sequence")


def _protection(migration: Migration) -> list[Claim]:
    names = list(migration.transfers.values_list("source_name", flat=True))
    rows = Claim.objects.present().filter(cluster=migration.cluster, namespace=migration.source_namespace)
    return list(rows.filter(name__in=names))


def _why_not(request: HttpRequest, migration: Migration, asked: SignOffRequest | None) -> str:
    """Why this person cannot decide now; empty when they can."""
    if asked is None:
        return "Nothing is asked yet: the sign-off comes after the test."
    if asked.state != SignOffRequest.State.OPEN:
        return f"The request is not open: {asked.get_state_display().lower()}."
    try:
        rules.check_may_decide(person(request), migration)
    except Refused as refusal:
        return refusal.reason
    return ""


def _may_break_glass(request: HttpRequest, migration: Migration, asked: SignOffRequest | None) -> bool:
    return bool(
        settings.HOLDFAST_BREAK_GLASS
        and asked
        and asked.state == SignOffRequest.State.OPEN
        and can(request.user, "breakglass.use", namespace=migration.namespaces)
        and not rules.has_decided(person(request), asked)
    )


_KINDS = {"approve": Decision.Kind.APPROVE, "reject": Decision.Kind.REJECT, "ask": Decision.Kind.ASK}
_SAID = {
    "approve": "You approved. Release begins when all approvals are there.",
    "reject": "You rejected it. The source stays.",
    "ask": "Your question is recorded.",
}


@needs("signoff.give")
@require_POST
def decide(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    text = typed(request, "text", 4000)
    kind = request.POST.get("decision", "")
    asked = migration.sign_off_requests.filter(pk=_number(request.POST.get("request", ""))).first()

    def action() -> None:
        if asked is None or kind not in _KINDS:
            raise Refused(
                "The form does not fit this migration. Nothing was signed.", next="Open the page again."
            )
        signing.decide(
            by=person(request),
            request=asked,
            kind=_KINDS[kind],
            text=text,
            covers_digest=request.POST.get("covers_digest", ""),
        )

    if attempt(request, action, done=_SAID.get(kind, "")):
        return see_other("sign-off", reference)
    return _show(request, load(request, reference), text=text, status=422)


@needs("migrations.edit")
@require_POST
def answer(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    check_edit(request, migration)
    text = typed(request, "answer", 4000)
    asked = migration.sign_off_requests.filter(pk=_number(request.POST.get("request", ""))).first()

    def action() -> None:
        if asked is None:
            raise Refused(
                "The form does not fit this migration. Nothing was sent.", next="Open the page again."
            )
        question = _number(request.POST.get("question", ""))
        signing.answer(by=person(request), request=asked, question=question, text=text)

    if attempt(request, action, done="Your answer is recorded. The approver sees it here."):
        return see_other("sign-off", reference)
    return _show(request, load(request, reference), answer=text, status=422)


@needs("migrations.edit")
@require_POST
def ask_again(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    check_edit(request, migration)
    note = typed(request, "note", 4000)

    def action() -> None:
        signing.ask_again(by=person(request), migration=migration, note=note)

    if attempt(request, action, done="A new request is open."):
        return see_other("sign-off", reference)
    return _show(request, load(request, reference), note=note, status=422)


@needs("breakglass.use")
@require_POST
def break_glass(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    asked = migration.sign_off_requests.order_by("-id").first()
    reason = typed(request, "reason", 4000)

    def action() -> None:
        if asked is None:
            raise Refused("Nothing is asked yet.")
        signing.break_glass(
            by=person(request),
            request=asked,
            reason=reason,
            covers_digest=request.POST.get("covers_digest", ""),
        )

    done = "You approved alone. It is recorded, and shown on every page of this migration."
    if attempt(request, action, done=done):
        return see_other("sign-off", reference)
    return _show(request, load(request, reference), reason=reason, status=422)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else 0
