"""An approver who asks is answered: whoever can answer is told, and the answer is there where it is decided."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from audit.models import Event
from migrations_app.actions import signing
from migrations_app.models import Decision, Migration, Notification, SignOffRequest
from tests.migrations_app.making import asked, at_sign_off
from tests.pages.conftest import SignedIn
from tests.pages.test_who_is_awaited import came_to, card, page
from worker.outcomes import Outcome
from worker.steps import sign_off

pytestmark = pytest.mark.django_db

QUESTION = "Which pictures did you open?"
ANSWER = "The newest album, all of it."


class Talk:
    """An operator and an approver about one migration, each in a browser of their own."""

    def __init__(self, signed_in: SignedIn) -> None:
        self.operator, self.approver = signed_in("operator"), signed_in("approver")
        operator = User.objects.get(username="operator")
        self.migration = at_sign_off(operator, waiting_for="A second person has to approve.")
        self.request = asked(self.migration)
        self.base = f"/migrations/{self.migration.reference}/"

    def decide(self, decision: str, text: str) -> Decision:
        self.approver.post(
            f"{self.base}sign-off/decide/",
            {
                "request": self.request.pk,
                "covers_digest": self.request.covers_digest,
                "decision": decision,
                "text": text,
            },
        )
        return Decision.objects.latest("pk")

    def answer(self, question: Decision, text: str, *, by: Client | None = None) -> int:
        fields = {"request": self.request.pk, "question": question.pk, "answer": text}
        return int((by or self.operator).post(f"{self.base}sign-off/answer/", fields).status_code)

    def looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The engine looks at the gate, where the source is still and the destination is well."""
        monkeypatch.setattr(sign_off.stillness, "check", lambda context: None)
        monkeypatch.setattr(sign_off.health, "observe", lambda context: None)
        outcome: Outcome = sign_off.tick(SimpleNamespace(migration=self.migration))  # type: ignore[arg-type]
        came_to(self.migration, outcome)


@pytest.fixture
def talk(signed_in: SignedIn, settings: Any) -> Talk:
    settings.HOLDFAST_NOTIFY_URL = "http://127.0.0.1:9/hook"
    return Talk(signed_in)


def test_a_question_is_what_the_operator_is_awaited_for(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    talk.decide("ask", QUESTION)
    talk.looked_at(monkeypatch)
    awaited = card(talk.operator, "needs")
    assert f"approver asks: {QUESTION}" in awaited and "Answer it" in awaited
    assert f"approver asks: {QUESTION}" in page(talk.operator, talk.base)
    assert "do not let you act" not in card(talk.approver, "needs")
    assert QUESTION in Notification.objects.get().text
    assert 'id="answer"' in page(talk.operator, f"{talk.base}sign-off/")
    assert 'id="answer"' not in page(talk.approver, f"{talk.base}sign-off/")


def test_the_answer_is_recorded_and_the_approver_sees_it_and_can_approve(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = talk.decide("ask", QUESTION)
    assert talk.answer(question, ANSWER) == 303
    event = Event.objects.get(verb="signoff.answer")
    assert (event.actor, event.note) == ("operator", ANSWER)
    shown = page(talk.approver, f"{talk.base}sign-off/")
    assert shown.index(QUESTION) < shown.index(ANSWER) and "Approve the deletion" in shown
    assert 'id="answer"' not in page(talk.operator, f"{talk.base}sign-off/")
    talk.looked_at(monkeypatch)
    assert Migration.objects.get().waiting_permission == "signoff.give"
    talk.decide("approve", "")
    assert SignOffRequest.objects.get().state == "approved"


def test_only_who_may_edit_answers_and_words_that_are_refused_stay(talk: Talk) -> None:
    question = talk.decide("ask", QUESTION)
    assert talk.answer(question, ANSWER, by=talk.approver) == 403
    talk.decide("ask", "And the oldest?")
    # The form showed the first question alone: what it says is no answer to the second one.
    assert talk.answer(question, "  ") == 422
    talk.answer(question, ANSWER)
    assert "And the oldest?" in page(talk.operator, f"{talk.base}sign-off/").split('id="answer-form"')[0]
    assert 'id="answer"' in page(talk.operator, f"{talk.base}sign-off/")
    again = talk.operator.post(
        f"{talk.base}sign-off/answer/",
        {"request": talk.request.pk, "question": question.pk, "answer": "Twice."},
    )
    assert again.status_code == 422 and b"Twice." in again.content
    assert Event.objects.filter(verb="signoff.answer").count() == 1


def test_who_asks_again_tells_the_approver_what_changed(talk: Talk) -> None:
    talk.decide("reject", "The newest album is missing.")
    talk.operator.post(f"{talk.base}sign-off/ask-again/", {"note": "It is there: it was hidden."})
    assert "Asked again: It is there: it was hidden." in page(talk.approver, f"{talk.base}sign-off/")
    assert SignOffRequest.objects.latest("pk").state == signing.Live.OPEN
