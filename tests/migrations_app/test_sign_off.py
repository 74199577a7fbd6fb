"""A second person approves what they saw, once, or not at all."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import actions
from accounts.models import Grant, User
from accounts.permissions import Refused as PermissionRefused
from audit.models import Event
from migrations_app.actions import signing
from migrations_app.models import Decision, GitMode, Migration, ReleasePath, SignOffRequest
from migrations_app.problems import Refused
from tests.migrations_app.making import WORKER, add_evidence, asked, at_sign_off
from tests.support.audit import assert_audited
from tests.support.people import person
from worker.checks import CHECKS, people

pytestmark = pytest.mark.django_db

APPROVE, REJECT, ASK = Decision.Kind.APPROVE, Decision.Kind.REJECT, Decision.Kind.ASK


@pytest.fixture
def operator() -> User:
    return person("operator")


@pytest.fixture
def approver() -> User:
    return person("approver")


def decide(
    request: SignOffRequest, by: User, kind: Decision.Kind = APPROVE, text: str = "", digest: str = ""
) -> Decision:
    return signing.decide(
        by=by, request=request, kind=kind, text=text, covers_digest=digest or request.covers_digest
    )


def state_of(request: SignOffRequest) -> str:
    return SignOffRequest.objects.get(pk=request.pk).state


def test_an_approver_approves_what_was_seen_and_it_is_recorded(operator: User, approver: User) -> None:
    request = asked(at_sign_off(operator))
    decide(request, approver)
    assert state_of(request) == "approved"
    event = Event.objects.get(verb="signoff.approve")
    assert event.actor == "approver" and event.after["covers_digest"] == request.covers_digest


def test_the_requester_cannot_even_with_the_role(operator: User) -> None:
    Grant.objects.create(user=operator, role="approver", namespaces=["*"])
    request = asked(at_sign_off(operator))
    with pytest.raises(Refused, match="asked for this migration"):
        decide(request, User.objects.get(pk=operator.pk))
    assert state_of(request) == "open"


@pytest.mark.parametrize(
    ("field", "setting", "words"),
    [
        ("started_by_name", "HOLDFAST_STARTER_MAY_NOT_APPROVE", "started this migration"),
        ("test_confirmed_by_name", "HOLDFAST_TESTER_MAY_NOT_APPROVE", "confirmed its test"),
    ],
)
def test_who_started_or_tested_it_cannot_unless_the_setting_says_so(
    operator: User, approver: User, settings, field: str, setting: str, words: str
) -> None:  # type: ignore[no-untyped-def]
    request = asked(at_sign_off(operator, **{field: "approver"}))
    with pytest.raises(Refused, match=words):
        decide(request, approver)
    setattr(settings, setting, False)
    decide(request, approver)
    assert state_of(request) == "approved"


@pytest.mark.parametrize("role", ["viewer", "operator", "auditor", "admin"])
def test_other_roles_cannot(operator: User, role: str) -> None:
    request = asked(at_sign_off(operator))
    with pytest.raises(Refused):
        decide(request, person(role, name=f"another-{role}"))


def test_an_approver_of_other_namespaces_cannot(operator: User) -> None:
    request = asked(at_sign_off(operator))
    with pytest.raises(Refused, match="in media"):
        decide(request, person("approver", "shop-*"))


def test_what_changed_since_the_page_was_opened_is_not_signed(operator: User, approver: User) -> None:
    request = asked(at_sign_off(operator))
    with pytest.raises(Refused, match="changed since you opened"):
        decide(request, approver, digest="sha256:older")
    assert state_of(request) == "open"


def test_rejecting_and_asking_need_words(operator: User, approver: User) -> None:
    request = asked(at_sign_off(operator))
    for kind in (REJECT, ASK):
        with pytest.raises(Refused, match="Say why"):
            decide(request, approver, kind, "  ")
    decide(request, approver, ASK, "Which pictures did you open?")
    assert state_of(request) == "open"
    decide(request, approver, REJECT, "The newest album is missing.")
    assert state_of(request) == "rejected"


def voided_by_new_evidence(migration: Migration, request: SignOffRequest, approver: User) -> str:
    add_evidence(migration, migration.transfers.get(), "verify", {"outcome": "equal", "again": True})
    return "the evidence"


def voided_by_another_plan(migration: Migration, request: SignOffRequest, approver: User) -> str:
    Migration.objects.filter(pk=migration.pk).update(started_plan_digest="sha256:other")
    return "the plan"


def voided_by_a_shorter_retention(migration: Migration, request: SignOffRequest, approver: User) -> str:
    Migration.objects.filter(pk=migration.pk).update(retention_days=1)
    return "the options"


def voided_by_another_release_path(migration: Migration, request: SignOffRequest, approver: User) -> str:
    Migration.objects.filter(pk=migration.pk).update(release_path=ReleasePath.COMMITS)
    return "the options"


def voided_by_another_git_mode(migration: Migration, request: SignOffRequest, approver: User) -> str:
    Migration.objects.filter(pk=migration.pk).update(git_mode=GitMode.DIRECT)
    return "the options"


def voided_by_another_source(migration: Migration, request: SignOffRequest, approver: User) -> str:
    migration.transfers.update(source_uid="uid-of-another-claim")
    return "the source"


def voided_by_another_destination(migration: Migration, request: SignOffRequest, approver: User) -> str:
    migration.transfers.update(destination_uid="uid-of-another-claim")
    return "the destination"


def voided_by_time(migration: Migration, request: SignOffRequest, approver: User) -> str:
    SignOffRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    return "expired"


def voided_by_a_lost_role(migration: Migration, request: SignOffRequest, approver: User) -> str:
    Grant.objects.filter(user=approver).delete()
    return "may no longer approve"


def voided_by_a_stricter_setting(migration: Migration, request: SignOffRequest, approver: User) -> str:
    django_settings.HOLDFAST_APPROVALS = [("media", 2)]
    return "ask for 2 approvals by now, it asked for 1"


def voided_by_an_approver_who_was_in_it(migration: Migration, request: SignOffRequest, approver: User) -> str:
    Migration.objects.filter(pk=migration.pk).update(test_confirmed_by_name="approver")
    return "approver, who approved, confirmed its test"


def voided_by_a_closed_account(migration: Migration, request: SignOffRequest, approver: User) -> str:
    User.objects.filter(pk=approver.pk).update(is_active=False)
    return "no longer active"


def voided_by_a_role_that_was_away(migration: Migration, request: SignOffRequest, approver: User) -> str:
    actions.revoke(user=approver, role="approver", by=None)
    actions.grant(user=approver, role="approver", namespaces=["*"], by=None)
    return "could not do so at some time since"


def voided_by_namespaces_that_were_away(migration: Migration, request: SignOffRequest, approver: User) -> str:
    for patterns in (["photos"], ["*"]):
        actions.grant(user=approver, role="approver", namespaces=patterns, by=None)
    return "could not do so at some time since"


def voided_by_an_account_that_was_closed(
    migration: Migration, request: SignOffRequest, approver: User
) -> str:
    for active in (False, True):
        actions.set_active(user=approver, active=active, by=None)
    return "could not do so at some time since"


@pytest.mark.parametrize(
    "change",
    [
        voided_by_a_shorter_retention,
        voided_by_another_release_path,
        voided_by_another_git_mode,
        voided_by_a_role_that_was_away,
        voided_by_namespaces_that_were_away,
        voided_by_an_account_that_was_closed,
        voided_by_new_evidence,
        voided_by_another_plan,
        voided_by_another_source,
        voided_by_another_destination,
        voided_by_time,
        voided_by_a_lost_role,
        voided_by_a_closed_account,
        voided_by_a_stricter_setting,
        voided_by_an_approver_who_was_in_it,
    ],
)
def test_an_approval_does_not_outlive_what_it_covers(
    operator: User, approver: User, settings: Settings, change: Any
) -> None:
    settings.HOLDFAST_APPROVALS = [("*", 1)]
    migration = at_sign_off(operator)
    request = asked(migration)
    decide(request, approver)
    words = change(migration, request, approver)
    with pytest.raises(Refused, match=words):
        signing.use(request, actor=WORKER)
    assert state_of(request) == "approved"


def test_a_role_in_more_namespaces_or_once_more_leaves_the_approval(operator: User, approver: User) -> None:
    request = asked(at_sign_off(operator))
    Grant.objects.filter(user=approver).update(namespaces=["media", "photos"])
    decide(request, approver)
    actions.grant(user=approver, role="approver", namespaces=["media", "photos", "shop"], by=None)
    actions.grant(user=approver, role="approver", namespaces=["*"], by=None)
    actions.grant(user=approver, role="viewer", namespaces=["*"], by=None)
    signing.use(request, actor=WORKER)
    assert state_of(request) == "used"


def test_a_void_request_stays_void_and_says_why(operator: User, approver: User) -> None:
    migration = at_sign_off(operator)
    request = asked(migration)
    voided_by_new_evidence(migration, request, approver)
    with pytest.raises(Refused, match="void"):
        decide(request, approver)
    kept = SignOffRequest.objects.get(pk=request.pk)
    assert kept.state == "void" and "evidence" in kept.void_reason
    # Whoever finds it void did not void it.
    assert Event.objects.get(verb="signoff.void").actor == "system:web"


def test_it_is_used_once(operator: User, approver: User) -> None:
    migration = at_sign_off(operator)
    request = asked(migration)
    decide(request, approver)
    signing.use(request, actor=WORKER)
    assert state_of(request) == "used"
    with pytest.raises(Refused):
        decide(request, person("approver", name="approver2"))
    event = Event.objects.get(verb="signoff.use")
    assert (event.before, event.after["given_by"]) == ({"state": "approved"}, ["approver"])


def test_two_approvals_where_the_setting_asks_for_two(operator: User, approver: User, settings) -> None:  # type: ignore[no-untyped-def]
    settings.HOLDFAST_APPROVALS = [("med*", 2), ("*", 1)]
    request = asked(at_sign_off(operator))
    decide(request, approver)
    assert state_of(request) == "open"
    with pytest.raises(Refused, match="decided already"):
        decide(request, approver)
    decide(request, person("approver", name="approver2"))
    assert state_of(request) == "approved"


def test_nothing_asks_again_by_itself_after_a_rejection(operator: User, approver: User) -> None:
    migration = at_sign_off(operator)
    request = asked(migration)
    decide(request, approver, REJECT, "Not yet.")
    assert asked(migration).pk == request.pk
    again = signing.ask_again(by=operator, migration=migration)
    assert again.pk != request.pk and again.state == "open"


def test_break_glass_is_off_then_needs_an_admin_and_a_reason(operator: User, settings) -> None:  # type: ignore[no-untyped-def]
    admin = person("admin")
    request = asked(at_sign_off(operator))

    def alone(reason: str) -> Decision:
        return signing.break_glass(
            by=admin, request=request, reason=reason, covers_digest=request.covers_digest
        )

    with pytest.raises(Refused, match="off"):
        alone("Nobody else can be reached tonight.")
    settings.HOLDFAST_BREAK_GLASS = True
    with pytest.raises(Refused, match="20 characters"):
        alone("because")
    alone("Nobody else can be reached tonight.")
    assert state_of(request) == "approved"
    assert Event.objects.filter(verb="signoff.break-glass").exists()
    settings.HOLDFAST_BREAK_GLASS = False
    with pytest.raises(Refused, match="switched off since"):
        signing.use(request, actor=WORKER)


def test_who_approved_already_cannot_break_the_glass_and_is_told_so(
    operator: User, settings: Settings
) -> None:
    settings.HOLDFAST_BREAK_GLASS, settings.HOLDFAST_APPROVALS = True, [("*", 2)]
    both = person("approver")
    Grant.objects.create(user=both, role="admin", namespaces=["*"])
    request = asked(at_sign_off(operator))
    browser = Client()
    browser.force_login(both)
    page = f"/migrations/{request.migration.reference}/sign-off/"
    assert "break-glass/" in browser.get(page).content.decode()
    decide(request, both)
    assert "break-glass/" not in browser.get(page).content.decode()
    answer = browser.post(
        f"{page}break-glass/",
        {"reason": "Nobody else can be reached tonight.", "covers_digest": request.covers_digest},
        follow=True,
    )
    assert answer.status_code == 422 and "decided on this request already" in answer.content.decode()
    assert state_of(request) == "open"
    assert Event.objects.get(verb="action.refuse").actor == "approver"


@pytest.mark.parametrize("namespace", ["media", "photos"])
def test_break_glass_needs_the_role_where_the_data_was_and_where_it_went(
    operator: User, settings: Settings, namespace: str
) -> None:
    settings.HOLDFAST_BREAK_GLASS = True
    request = asked(at_sign_off(operator))
    with pytest.raises(PermissionRefused):
        signing.break_glass(
            by=person("admin", namespace),
            request=request,
            reason="Nobody else can be reached tonight.",
            covers_digest=request.covers_digest,
        )
    assert state_of(request) == "open"


@pytest.mark.parametrize(
    ("needed", "approvers", "verdict"), [(1, 0, "warn"), (1, 1, "pass"), (2, 1, "warn"), (2, 2, "pass")]
)
def test_preflight_warns_when_nobody_could_approve(
    operator: User, settings: Settings, needed: int, approvers: int, verdict: str
) -> None:
    settings.HOLDFAST_APPROVALS = [("*", needed)]
    Grant.objects.create(user=operator, role="approver", namespaces=["*"])  # asked for it, so does not count
    for number in range(approvers):
        person("approver", name=f"approver-{number}")
    found = list(people.approver(SimpleNamespace(migration=at_sign_off(operator))))
    assert [check.verdict for check in found] == [verdict]
    assert people.approver in CHECKS


def test_nothing_is_decided_without_its_event(operator: User, approver: User) -> None:
    request = asked(at_sign_off(operator))
    assert_audited(lambda: decide(request, approver))
    assert_audited(lambda: decide(request, approver, REJECT, "No."))
    assert_audited(lambda: signing.withdraw(request, "test", actor=WORKER))
