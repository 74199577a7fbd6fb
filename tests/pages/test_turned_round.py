"""The page and the story of a migration that was turned round say who did it, why, after what, and how far it had come."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from migrations_app.actions import running, signing
from migrations_app.actions.moving import move
from migrations_app.models import Decision, Migration, StepRun
from migrations_app.states import State
from tests.migrations_app.making import WORKER, asked, at_sign_off
from tests.pages.conftest import SignedIn
from tests.pages.test_who_is_awaited import page
from tests.support.people import person

pytestmark = pytest.mark.django_db


def rolled_back(operator: User) -> Migration:
    """It failed at Copy, was tried again, and was rolled back for a reason while that attempt ran; two days ago."""
    migration = at_sign_off(operator, state=State.RUNNING, current_step="copy")
    migration.runs.all().delete()
    then = timezone.now() - timedelta(days=2)
    for attempt, state, message in ((1, "failed", "A flipped byte."), (2, "running", "The Job is created.")):
        StepRun.objects.create(
            migration=migration, step="copy", attempt=attempt, state=state, message=message, started_at=then
        )
    move(migration, State.FAILED, actor=WORKER, verb="migration.fail", note="A flipped byte.")
    running.roll_back(by=operator, migration=Migration.objects.get(), reason="The disk is bad.")
    StepRun.objects.create(
        migration=migration,
        step="roll-back",
        state="done",
        message="The application runs again.",
        started_at=then + timedelta(minutes=1),
        finished_at=then + timedelta(minutes=2),
    )
    migration = Migration.objects.get()
    move(migration, State.ROLLED_BACK, actor=WORKER, verb="migration.rolled-back", finished_at=timezone.now())
    return migration


@pytest.mark.parametrize("tab", ["", "story/"])
def test_who_turned_it_round_and_why_is_told(signed_in: SignedIn, tab: str) -> None:
    client = signed_in("operator")
    migration = rolled_back(User.objects.get(username="operator"))
    shown = page(client, f"/migrations/{migration.reference}/{tab}")
    turned = shown.split('id="courses"')[1].split("</section>")[0]
    for words in (
        "Roll back",
        "by operator",
        "The disk is bad.",
        "It had stopped: A flipped byte.",
        "The application runs again.",
    ):
        assert words in turned


def test_steps_say_how_far_it_had_come(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    migration = rolled_back(User.objects.get(username="operator"))
    steps = page(client, f"/migrations/{migration.reference}/story/").split('id="story-steps"')[1]
    copy, verify = (
        next(row for row in steps.split("<tr>") if f'<th scope="row">{title}</th>' in row)
        for title in ("Copy", "Verify")
    )
    assert "Stopped" in copy and "Attempt 1 failed: A flipped byte." in copy and "Not needed" not in copy
    assert 'class="number">2</td>' in copy and "1 min" in copy and "2 d" not in copy
    assert "Not reached" in verify and "Not yet" not in verify


def test_a_rejection_that_was_asked_about_again_is_called_one(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    operator = User.objects.get(username="operator")
    migration = at_sign_off(operator)
    request = asked(migration)
    reject, digest = Decision.Kind.REJECT, request.covers_digest
    signing.decide(
        by=person("approver"), request=request, kind=reject, text="Albums are gone.", covers_digest=digest
    )
    signing.ask_again(by=operator, migration=migration, note="They were hidden.")
    story = page(client, f"/migrations/{migration.reference}/story/")
    assert "<strong>Rejected</strong>" in story and "<strong>Void</strong>" not in story
    assert "They were hidden." in story
    assert story.index('id="story-events"') < story.index('id="story-evidence"')
