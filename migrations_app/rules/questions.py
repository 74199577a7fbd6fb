"""What an approver asks before they decide, and what they are told.

A question is a row of its request. Answers, and what was said when it was asked again, are in the trail alone: no approval
hangs on them, and nobody can change them afterwards.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from audit.models import Event
from migrations_app.models import Decision, SignOffRequest

_SAID = {"signoff.request": "Asked again", "signoff.answer": "Answered"}


@dataclass(frozen=True)
class Words:
    """What somebody said about a request."""

    who: str
    what: str
    text: str
    at: datetime


def _events(request: SignOffRequest) -> QuerySet[Event]:
    """What was said to the approver, oldest first."""
    events = Event.objects.filter(kind="migration", key=request.migration.reference, verb__in=_SAID)
    return events.filter(after__request=request.pk).order_by("sequence")


def conversation(request: SignOffRequest) -> list[Words]:
    """Decisions, questions and answers in the order in which they were given."""
    said = [Words(d.by_name, d.get_kind_display(), d.text, d.at) for d in request.decisions.all()]
    told = [Words(e.actor, _SAID[e.verb], e.note, e.at) for e in _events(request) if e.note]
    return sorted(said + told, key=lambda words: words.at)


def unanswered(request: SignOffRequest) -> list[Decision]:
    """The questions that nobody has answered yet, oldest first."""
    asked = request.decisions.filter(kind=Decision.Kind.ASK).order_by("pk")
    if not asked:
        return []
    answers = _events(request).filter(verb="signoff.answer").values_list("after__question", flat=True)
    last = max((int(number) for number in answers), default=0)
    return [question for question in asked if question.pk > last]


def asks(questions: list[Decision]) -> str:
    """The questions as one sentence each, with who asks; empty without any."""
    return " ".join(f"{question.by_name} asks: {question.text}" for question in questions)
