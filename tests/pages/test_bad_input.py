"""Wrong methods, forged ids, huge and odd text, double clicks, ended sessions: an answer, never a trace, never a change."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from dashboard.models import GitRepository
from migrations_app.models import Decision, GitMode, Migration, SignOffRequest
from migrations_app.states import State
from tests.migrations_app.making import asked, at_sign_off
from tests.pages.conftest import SignedIn
from tests.pages.making import claim, cluster, draft

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/claims/?q=photos"}
# What people and programs paste: too long; markup, NUL, wide and bidirectional letters, SQL, templates; nothing.
ODD = ("x" * 100_000, "<script>alert(1)</script>\x00\U0001f600\u202e'; drop table x; --{{7*7}}", " ")


@pytest.fixture
def operator(signed_in: SignedIn) -> Client:
    return signed_in("operator")


def user(name: str) -> User:
    return User.objects.get(username=name)


def addresses(migration: Migration) -> Iterator[tuple[str, dict[str, str]]]:
    """Every form of the wizard and of a migration, with its free fields."""
    base = f"/migrations/{migration.reference}"
    yield "/migrations/new/", {"namespace": "media", "application": "", "claims": "library"}
    yield f"{base}/draft/source/", {"application": "", "claims": "library"}
    yield (
        f"{base}/draft/destination/",
        {"namespace": "", "name_library": "", "class_library": "", "size_library": "", "owner": ""},
    )
    yield (
        f"{base}/draft/options/",
        {
            "warm_passes": "",
            "retention_days": "",
            "git_mode": "",
            "release_path": "",
            "bandwidth": "",
            "iops": "",
            "test_note": "",
        },
    )
    yield f"{base}/draft/start/", {"plan_digest": ""}
    yield f"{base}/confirm-test/", {"note": ""}
    for verb in ("abort", "roll-back", "undo", "purge", "close", "retry", "pause", "resume", "continue"):
        yield f"{base}/act/{verb}/", {"version": "", "reason": "", "typed": ""}


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_text_in_any_field_of_any_form_is_an_answer(operator: Client, text: str) -> None:
    operator.raise_request_exception = False
    migration = draft(user("operator"))
    for path, fields in addresses(migration):
        for name in fields:
            answer = operator.post(path, {**fields, name: text})
            assert answer.status_code in {200, 303, 403, 404, 422}, (path, name, answer.status_code)
            assert b"<script>alert(1)" not in answer.content, path
    for query in ("q", "namespace", "class", "owner", "sort", "page"):
        for path in ("/claims/", "/migrations/", "/migrations/new/", "/validation/"):
            assert operator.get(path, {query: text[:2000]}).status_code == 200, (path, query)
    assert not Migration.objects.exclude(state=State.DRAFT).exists()


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_text_in_a_decision_signs_nothing(signed_in: SignedIn, text: str) -> None:
    signed_in("operator")
    approver = signed_in("approver")
    approver.raise_request_exception = False
    migration = at_sign_off(user("operator"))
    request = asked(migration)
    path = f"/migrations/{migration.reference}/sign-off/decide/"
    good = {
        "request": str(request.pk),
        "covers_digest": request.covers_digest,
        "decision": "approve",
        "text": "",
    }
    for name in ("request", "covers_digest", "decision"):
        assert approver.post(path, {**good, name: text}).status_code == 422, name
    assert not Decision.objects.exists() and SignOffRequest.objects.get().state == "open"


def test_what_was_typed_into_a_refused_decision_is_still_there(signed_in: SignedIn) -> None:
    signed_in("operator")
    approver = signed_in("approver")
    migration = at_sign_off(user("operator"))
    request = asked(migration)
    data = {
        "request": request.pk,
        "covers_digest": "sha256:old",
        "decision": "approve",
        "text": "I have read it.",
    }
    answer = approver.post(f"/migrations/{migration.reference}/sign-off/decide/", data)
    assert answer.status_code == 422 and b"I have read it." in answer.content


def test_a_wrong_method_is_405(operator: Client) -> None:
    claim("data")
    migration = draft(user("operator"))
    base = f"/migrations/{migration.reference}"
    for path in (
        "/",
        "/claims/",
        "/claims/demo-east/media/data/",
        "/migrations/",
        f"{base}/",
        f"{base}/plan/",
        f"{base}/logs/",
        f"{base}/evidence/",
        f"{base}/changes/",
        f"{base}/timeline/",
        f"{base}/story/",
        f"{base}/sign-off/",
        f"{base}/draft/review/",
    ):
        assert operator.post(path).status_code == 405, path
        assert operator.delete(path).status_code == 405, path
    for path in (
        f"{base}/draft/start/",
        f"{base}/draft/discard/",
        f"{base}/confirm-test/",
        f"{base}/sign-off/answer/",
        f"{base}/sign-off/ask-again/",
    ):
        assert operator.get(path).status_code == 405, path
    assert operator.put(f"{base}/act/abort/").status_code == 405
    assert Migration.objects.get().state == State.DRAFT


def test_forged_ids_of_another_namespace_are_not_there(signed_in: SignedIn) -> None:
    signed_in("operator", name="theirs")
    migration = at_sign_off(user("theirs"))
    request = asked(migration)
    outside = signed_in("operator", "office")
    judge = signed_in("approver", "office")
    for tab in (
        "",
        "plan/",
        "logs/",
        "evidence/",
        "changes/",
        "timeline/",
        "story/",
        "sign-off/",
        "act/abort/",
    ):
        assert outside.get(f"/migrations/{migration.reference}/{tab}").status_code == 404, tab
    assert outside.post(f"/migrations/{migration.reference}/act/abort/").status_code == 404
    assert outside.post("/migrations/new/", {"namespace": "media", "claims": "library"}).status_code == 403
    own = draft(user("operator"), claims=("notes",), namespace="office")
    taken = outside.post(
        f"/migrations/{own.reference}/draft/source/", {"application": "x", "claims": "library"}
    )
    assert taken.status_code == 422
    data = {"request": request.pk, "covers_digest": request.covers_digest, "decision": "approve", "text": ""}
    assert judge.post(f"/migrations/{migration.reference}/sign-off/decide/", data).status_code == 404
    assert not Decision.objects.exists() and Migration.objects.get(pk=migration.pk).state == State.WAITING


def test_a_request_of_another_migration_cannot_be_signed_through_this_one(signed_in: SignedIn) -> None:
    signed_in("operator")
    approver = signed_in("approver")
    first, second = at_sign_off(user("operator")), at_sign_off(user("operator"))
    request = asked(first)
    data = {"request": request.pk, "covers_digest": request.covers_digest, "decision": "approve", "text": ""}
    assert approver.post(f"/migrations/{second.reference}/sign-off/decide/", data).status_code == 422
    assert not Decision.objects.exists()


def test_a_double_click_starts_once(operator: Client) -> None:
    migration = draft(user("operator"))
    Migration.objects.update(
        state=State.READY,
        plan_digest="sha256:plan",
        destination_namespace="photos",
        git_mode=GitMode.NONE,
        plan={"checks": []},
    )
    path = f"/migrations/{migration.reference}/draft/start/"
    answers = [operator.post(path, {"plan_digest": "sha256:plan"}, follow=True) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert Migration.objects.get().state == State.RUNNING
    assert Event.objects.filter(verb="migration.start").count() == 1


def test_a_plan_that_changed_since_it_was_shown_is_not_started(operator: Client) -> None:
    migration = draft(user("operator"))
    Migration.objects.update(
        state=State.READY, plan_digest="sha256:new", destination_namespace="photos", plan={"checks": []}
    )
    operator.post(f"/migrations/{migration.reference}/draft/start/", {"plan_digest": "sha256:old"})
    assert Migration.objects.get().state == State.READY


def test_a_wizard_page_with_errors_keeps_what_was_typed_and_names_the_field(operator: Client) -> None:
    migration = draft(user("operator"))
    data = {
        "namespace": "Not A Name",
        "name_library": "library-2",
        "class_library": "",
        "size_library": "12 parsecs",
        "owner": "",
    }
    answer = operator.post(f"/migrations/{migration.reference}/draft/destination/", data)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="Not A Name"' in page and 'value="library-2"' in page and 'value="12 parsecs"' in page
    assert page.count('aria-invalid="true"') == 2 and page.count("autofocus") == 1
    assert 'href="#id_namespace"' in page and 'id="id_namespace_error"' in page
    refused = operator.post(f"/migrations/{migration.reference}/confirm-test/", {"note": "It opens."})
    assert refused.status_code == 422 and b"It opens." in refused.content


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_ended_session_sends_htmx_to_the_sign_in_and_back(operator: Client, method: str) -> None:
    session = operator.session
    session["started_at"] = session["seen_at"] = (timezone.now() - timedelta(days=2)).timestamp()
    session.save()
    answer: Any = getattr(operator, method)("/claims/?q=photos", headers=HTMX)
    assert answer["HX-Redirect"].startswith("/sign-in/?next=")
    assert answer.content == b""


def test_a_repository_with_a_secret_in_its_url_is_not_kept(signed_in: SignedIn) -> None:
    cluster()
    admin = signed_in("admin")
    fields = {
        "name": "fleet",
        "url": "https://me:hunter2@git.example/fleet.git",
        "branch": "main",
        "source_namespace": "flux-system",
        "source_name": "fleet",
        "push_policy": "direct",
        "credentials_kind": "none",
        "credentials_name": "",
    }
    answer = admin.post("/settings/repositories/", fields)
    assert answer.status_code == 422 and b"password in it" in answer.content
    assert not GitRepository.objects.exists()
    for url in (
        "javascript:alert(1)",
        "-oProxyCommand=x",
        "ext::sh -c id",
        "https://git.example/a\x00b",
        "h" * 5000,
    ):
        assert admin.post("/settings/repositories/", {**fields, "url": url}).status_code == 422, url
