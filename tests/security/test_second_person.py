"""Ways round the second person, each of which must end in a refusal."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Grant, User
from audit.models import Event
from audit.trail import Actor, record
from dashboard.models import Cluster
from migrations_app.actions import drafting, gates, running, signing
from migrations_app.models import Decision, Evidence, Migration, SignOffRequest, StepRun
from migrations_app.problems import Refused
from migrations_app.rules.signoff import eligible, why_void
from migrations_app.states import State
from tests.migrations_app.making import WORKER, asked, at_sign_off
from tests.support.audit import assert_audited
from tests.support.people import person
from worker.outcomes import GoBack
from worker.steps.release import signature

pytestmark = pytest.mark.django_db

REASON = "Nobody else can be reached tonight."


@pytest.fixture
def operator() -> User:
    return person("operator")


@pytest.fixture
def both() -> User:
    """Somebody who drives migrations and signs them off, if never the same one."""
    found = person("operator", name="operator2")
    Grant.objects.create(user=found, role="approver", namespaces=["*"])
    return found


def approve(request: SignOffRequest, by: User) -> Decision:
    return signing.decide(
        by=by, request=request, kind=Decision.Kind.APPROVE, text="", covers_digest=request.covers_digest
    )


def alone(request: SignOffRequest, by: User) -> Decision:
    return signing.break_glass(by=by, request=request, reason=REASON, covers_digest=request.covers_digest)


def test_who_accepted_the_changed_plan_cannot_approve_it(operator: User, both: User, settings: Any) -> None:
    migration = at_sign_off(operator)
    StepRun.objects.create(migration=migration, step="plan", state="done", memory={"go_by": "operator2"})
    request = asked(migration)
    with pytest.raises(Refused, match="accepted its changed plan"):
        approve(request, both)
    assert both not in eligible(migration)
    settings.HOLDFAST_STARTER_MAY_NOT_APPROVE = False
    approve(request, both)


def test_who_chose_what_is_moved_cannot_approve_it(operator: User, both: User) -> None:
    cluster = Cluster.objects.create(name="demo-east")
    draft = drafting.create_draft(
        by=operator, cluster=cluster, namespace="media", application="notes", claims=["notes"]
    )
    drafting.set_source(by=both, migration=draft, application="photos", claims=["library"])
    Migration.objects.filter(pk=draft.pk).update(
        state=State.WAITING,
        current_step="sign-off",
        started_at=timezone.now(),
        destination_namespace="photos",
    )
    with pytest.raises(Refused, match="edited its draft"):
        approve(asked(Migration.objects.get(pk=draft.pk)), both)


def test_who_asks_again_after_a_rejection_cannot_answer(operator: User, both: User) -> None:
    migration = at_sign_off(operator)
    signing.decide(
        by=person("approver"),
        request=(first := asked(migration)),
        kind=Decision.Kind.REJECT,
        text="The newest album is missing.",
        covers_digest=first.covers_digest,
    )
    again = signing.ask_again(by=both, migration=migration)
    assert again.requested_by_name == "operator2"
    with pytest.raises(Refused, match="asked for this sign-off"):
        approve(again, both)
    assert Event.objects.filter(verb="signoff.void", note="Rejected; asked again.").count() == 1


def test_a_closed_gate_is_not_asked_about_again(operator: User) -> None:
    migration = at_sign_off(operator)
    request = asked(migration)
    SignOffRequest.objects.filter(pk=request.pk).update(state="rejected")
    Migration.objects.filter(pk=migration.pk).update(state=State.ABORTED)
    with pytest.raises(Refused, match="gate is closed"):
        signing.ask_again(by=operator, migration=migration)


def test_an_approver_needs_the_role_where_the_data_went_too(operator: User) -> None:
    """The page of the proof is 404 without it, so they could not have seen what they sign."""
    half = person("approver", "media", name="approver-of-the-source")
    migration = at_sign_off(operator)
    with pytest.raises(Refused, match="photos"):
        approve(asked(migration), half)
    assert eligible(migration) == []


@pytest.mark.parametrize("change", ["expired", "evidence"])
def test_break_glass_does_not_approve_what_is_void(operator: User, settings: Any, change: str) -> None:
    settings.HOLDFAST_BREAK_GLASS = True
    migration = at_sign_off(operator)
    request = asked(migration)
    if change == "expired":
        SignOffRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        migration.evidence.filter(kind="verify").delete()
    with pytest.raises(Refused, match="void"):
        alone(request, person("admin"))
    assert SignOffRequest.objects.get(pk=request.pk).state == "void"


@pytest.mark.parametrize("loss", ["role", "account"])
def test_break_glass_does_not_outlive_the_admin(operator: User, settings: Any, loss: str) -> None:
    settings.HOLDFAST_BREAK_GLASS = True
    admin = person("admin")
    request = asked(at_sign_off(operator))
    alone(request, admin)
    if loss == "role":
        Grant.objects.filter(user=admin).delete()
    else:
        User.objects.filter(pk=admin.pk).update(is_active=False)
    with pytest.raises(Refused, match="no longer"):
        signing.use(SignOffRequest.objects.get(pk=request.pk), actor=WORKER)


def test_evidence_that_was_changed_under_its_digest_voids(operator: User) -> None:
    migration = at_sign_off(operator)
    request = asked(migration)
    approve(request, person("approver"))
    Evidence.objects.filter(migration=migration, kind="verify").update(data={"outcome": "different"})
    assert "the evidence" in why_void(SignOffRequest.objects.get(pk=request.pk))


def test_a_plan_that_was_changed_under_its_digest_voids(operator: User) -> None:
    migration = at_sign_off(operator, plan={"git": [{"step": "release", "effect": "one", "diff": "-a"}]})
    request = asked(migration)
    approve(request, person("approver"))
    Migration.objects.filter(pk=migration.pk).update(
        plan={"git": [{"step": "release", "effect": "two", "diff": "-a\n-b"}]}
    )
    assert "what the plan says" in why_void(SignOffRequest.objects.get(pk=request.pk))


def test_a_plan_that_was_not_shown_is_not_accepted(operator: User) -> None:
    migration = at_sign_off(operator, current_step="plan", plan_digest="sha256:new")
    run = StepRun.objects.create(migration=migration, step="plan", state="waiting")
    for seen in ("", "sha256:plan"):
        with pytest.raises(Refused, match="changed since you opened"):
            gates.go_on(by=operator, migration=migration, plan_digest=seen)
    assert StepRun.objects.get(pk=run.pk).memory == {}
    gates.go_on(by=operator, migration=migration, plan_digest="sha256:new")
    assert Migration.objects.get(pk=migration.pk).started_plan_digest == "sha256:new"


@pytest.mark.parametrize("turn", [running.abort, running.roll_back])
def test_turning_round_voids_the_sign_off_and_says_so(operator: User, turn: Any) -> None:
    migration = at_sign_off(operator)
    request = asked(migration)
    approve(request, person("approver"))
    assert_audited(lambda: turn(by=operator, migration=Migration.objects.get(pk=migration.pk)))
    turn(by=operator, migration=Migration.objects.get(pk=migration.pk))
    assert SignOffRequest.objects.get(pk=request.pk).state == "void"
    assert Event.objects.filter(verb="signoff.void", actor="operator").count() == 1


def test_the_page_shows_what_people_did_whatever_they_are_called(operator: User) -> None:
    migration = at_sign_off(operator)
    for actor in (Actor("system:somebody", role="operator"), WORKER):
        with transaction.atomic():
            record(actor=actor, verb="migration.pause", kind="migration", key=migration.reference)
    browser = Client()
    browser.force_login(person("approver"))
    page = browser.get(f"/migrations/{migration.reference}/sign-off/").content.decode()
    assert "system:somebody" in page and "system:worker" not in page


def by_hand(request: SignOffRequest, **columns: Any) -> None:
    SignOffRequest.objects.filter(pk=request.pk).update(**columns)


def row(request: SignOffRequest, name: str, kind: Decision.Kind = Decision.Kind.APPROVE) -> None:
    """A decision that nobody made."""
    Decision.objects.create(
        request=request,
        kind=kind,
        by=User.objects.get(username=name),
        by_name=name,
        covers_digest=request.covers_digest,
    )


def nobody_approved(request: SignOffRequest) -> None:
    """The state alone."""


def half_approved(request: SignOffRequest) -> None:
    approve(request, User.objects.get(username="approver"))


def row_by_hand(request: SignOffRequest) -> None:
    row(request, "approver")
    row(request, "approver2")


def glass_by_hand(request: SignOffRequest) -> None:
    row(request, "admin", Decision.Kind.BREAK_GLASS)


def one_row_by_hand(request: SignOffRequest) -> None:
    half_approved(request)
    row(request, "approver2")


def earlier_request(request: SignOffRequest) -> None:
    """Both approved an earlier request about just the same, which is void since."""
    for name in ("approver", "approver2"):
        approve(request, User.objects.get(username=name))
    signing.withdraw(request, "The source is in use again.", actor=WORKER)
    newest = asked(request.migration)
    assert newest.covers_digest == request.covers_digest
    row_by_hand(newest)


def void_since(request: SignOffRequest) -> None:
    for name in ("approver", "approver2"):
        approve(request, User.objects.get(username=name))
    signing.withdraw(request, "The source is in use again.", actor=WORKER)


@pytest.mark.parametrize("state", ["approved", "used"])
@pytest.mark.parametrize(
    "forge",
    [
        nobody_approved,
        half_approved,
        row_by_hand,
        glass_by_hand,
        one_row_by_hand,
        earlier_request,
        void_since,
    ],
)
def test_an_approval_written_into_the_database_releases_nothing(
    operator: User, settings: Any, forge: Callable[[SignOffRequest], None], state: str
) -> None:
    settings.HOLDFAST_APPROVALS, settings.HOLDFAST_BREAK_GLASS = [("*", 2)], True
    for role, name in (("approver", "approver"), ("approver", "approver2"), ("admin", "admin")):
        person(role, name=name)
    migration = at_sign_off(operator)
    forge(asked(migration))
    request = migration.sign_off_requests.latest("id")
    by_hand(request, state=state)
    with pytest.raises(Refused, match="no longer holds"):
        signing.use(request, actor=WORKER)
    context: Any = SimpleNamespace(migration=migration)
    assert isinstance(signature.check(context), GoBack)
    assert not Event.objects.filter(verb="signoff.use").exists()


def test_a_row_by_hand_does_not_complete_the_approval_of_somebody_else(operator: User, settings: Any) -> None:
    settings.HOLDFAST_APPROVALS = [("*", 2)]
    request = asked(at_sign_off(operator))
    person("approver", name="approver2")
    row(request, "approver2")
    with pytest.raises(Refused, match="no such answer of approver2"):
        approve(request, person("approver"))
    assert SignOffRequest.objects.get(pk=request.pk).state == "void"


def test_an_approved_request_marked_as_used_by_hand_is_not_taken_for_used(operator: User) -> None:
    request = asked(at_sign_off(operator))
    approve(request, person("approver"))
    by_hand(request, state="used", expires_at=timezone.now() - timedelta(days=1))
    context: Any = SimpleNamespace(migration=request.migration)
    assert isinstance(signature.check(context), GoBack)


def test_what_was_approved_and_used_stays_used(operator: User) -> None:
    request = asked(at_sign_off(operator))
    approve(request, person("approver"))
    context: Any = SimpleNamespace(migration=request.migration)
    assert signature.check(context) is None
    signing.use(request, actor=WORKER)
    by_hand(request, expires_at=timezone.now() - timedelta(days=1))
    assert signature.check(context) is None
    signing.use(request, actor=WORKER)
    assert Event.objects.filter(verb="signoff.use").count() == 1
