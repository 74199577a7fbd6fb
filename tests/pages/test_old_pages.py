"""A click on a page that is out of date does nothing, and what was typed into it stays."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from migrations_app.actions import running
from migrations_app.models import Migration, SignOffRequest, StepRun
from migrations_app.states import State
from migrations_app.views import acting
from tests.migrations_app.making import asked, at_sign_off
from tests.pages.conftest import SignedIn
from tests.support.people import person

pytestmark = pytest.mark.django_db

PROBLEM = {"happened": "A flipped byte.", "safe": "The source.", "next": "Retry.", "command": "", "code": ""}


@pytest.fixture
def operator(signed_in: SignedIn) -> Client:
    return signed_in("operator")


def waits_at(step: str, **fields: Any) -> Migration:
    migration = at_sign_off(
        User.objects.get(username="operator"), current_step=step, waiting_for=f"Go at {step}.", **fields
    )
    StepRun.objects.get_or_create(migration=migration, step=step, attempt=1, defaults={"state": "waiting"})
    return migration


def fields_of(client: Client, path: str, act: str) -> dict[str, str]:
    """The hidden fields of the form on `path` that posts to `act`, as a browser would send them."""
    page = client.get(path).content.decode()
    form = re.search(rf'<form[^>]*action="[^"]*{act}".*?</form>', page, re.DOTALL)
    assert form, f"no form for {act} on {path}"
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.group())
    return dict(hidden)


def became(migration: Migration, **fields: Any) -> None:
    Migration.objects.filter(pk=migration.pk).update(**fields)


def said(answer: Any) -> str:
    return str(answer.content.decode())


def test_continue_answers_the_question_that_was_on_the_page(operator: Client) -> None:
    migration = waits_at("deploy")
    base = f"/migrations/{migration.reference}/"
    old = fields_of(operator, base, "/act/continue/")
    became(migration, current_step="quiesce", waiting_for="The outage begins with the next act.")
    StepRun.objects.create(migration=migration, step="quiesce", attempt=1, state="waiting")
    answer = operator.post(f"{base}act/continue/", old, follow=True)
    assert "changed while you were looking" in said(answer)
    migration.refresh_from_db()
    assert migration.state == State.WAITING
    assert "go_by" not in migration.runs.get(step="quiesce").memory
    operator.post(f"{base}act/continue/", fields_of(operator, base, "/act/continue/"))
    assert migration.runs.get(step="quiesce").memory["go_by"] == "operator"


def test_another_question_of_the_same_step_is_not_answered(operator: Client) -> None:
    migration = waits_at("deploy")
    base = f"/migrations/{migration.reference}/"
    old = fields_of(operator, base, "/act/continue/")
    became(migration, waiting_for="Git still points the workload at a source claim.")
    operator.post(f"{base}act/continue/", old)
    assert "go_by" not in migration.runs.get(step="deploy").memory


def test_a_form_without_what_was_shown_does_nothing(operator: Client) -> None:
    migration = waits_at("quiesce")
    for verb in ("continue", "abort", "roll-back"):
        operator.post(f"/migrations/{migration.reference}/act/{verb}/", {})
    migration.refresh_from_db()
    assert migration.state == State.WAITING and not migration.runs.get(step="quiesce").memory


def test_retry_answers_the_problem_that_was_on_the_page(operator: Client) -> None:
    migration = waits_at("copy", state=State.FAILED, problem=PROBLEM)
    base = f"/migrations/{migration.reference}/"
    old = fields_of(operator, base, "/act/retry/")
    became(migration, course="roll-back", problem={**PROBLEM, "happened": "Git cannot be read."})
    assert "changed while you were looking" in said(operator.post(f"{base}act/retry/", old, follow=True))
    migration.refresh_from_db()
    assert migration.state == State.FAILED


def test_a_click_is_honest_while_the_step_merely_goes_on(operator: Client) -> None:
    migration = waits_at("copy", state=State.RUNNING)
    base = f"/migrations/{migration.reference}/"
    old = fields_of(operator, base, "/act/pause/")
    became(migration, current_step="verify", version=7)
    operator.post(f"{base}act/pause/", old)
    migration.refresh_from_db()
    assert migration.state == State.PAUSED


def test_a_pause_holds_while_the_engine_ends_a_step(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine saved between the look at the row and its lock: what is paused is what is there."""
    migration = waits_at("copy", state=State.RUNNING)
    load = acting.load

    def and_then_it_goes_on(*arguments: Any) -> Migration:
        found = load(*arguments)
        became(migration, version=found.version + 1, current_step="verify")
        return found

    base = f"/migrations/{migration.reference}/"
    old = fields_of(operator, base, "/act/pause/")
    monkeypatch.setattr(acting, "load", and_then_it_goes_on)
    operator.post(f"{base}act/pause/", old)
    assert Migration.objects.get().state == State.PAUSED


def test_a_changed_plan_is_accepted_only_where_it_can_be_read(operator: Client) -> None:
    migration = waits_at("plan", plan_digest="sha256:second", plan={"checks": [], "objects": []})
    base = f"/migrations/{migration.reference}/"
    page = said(operator.get(base))
    assert "Read the plan, then continue" in page and "act/continue/" not in page
    old = fields_of(operator, f"{base}plan/", "/act/continue/")
    became(migration, plan_digest="sha256:third")
    refused = operator.post(f"{base}act/continue/", old, follow=True)
    assert refused.redirect_chain[-1][0] == f"{base}plan/"
    assert "The plan changed since you opened the page" in said(refused)
    migration.refresh_from_db()
    assert (migration.state, migration.started_plan_digest) == (State.WAITING, "sha256:plan")
    operator.post(f"{base}act/continue/", fields_of(operator, f"{base}plan/", "/act/continue/"))
    migration.refresh_from_db()
    assert (migration.state, migration.started_plan_digest) == (State.RUNNING, "sha256:third")


def test_a_test_is_confirmed_for_the_attempt_that_was_tested(operator: Client) -> None:
    migration = waits_at("test", test_confirmed_by_name="")
    base = f"/migrations/{migration.reference}/"
    old = fields_of(operator, base, "/confirm-test/")
    StepRun.objects.create(migration=migration, step="test", attempt=2, state="waiting")
    answer = operator.post(f"{base}confirm-test/", {**old, "note": "The newest album opens."})
    assert answer.status_code == 422 and "The newest album opens." in said(answer)
    migration.refresh_from_db()
    assert migration.state == State.WAITING


@pytest.mark.parametrize("verb", ["roll-back", "undo"])
def test_a_reason_survives_a_migration_that_changed_meanwhile(operator: Client, verb: str) -> None:
    state, step = (State.WAITING, "deploy") if verb == "roll-back" else (State.RETAINED, "retain")
    migration = waits_at(step, state=state)
    path = f"/migrations/{migration.reference}/act/{verb}/"
    reason = {"version": str(migration.version), "reason": "The copy misses the newest album."}
    became(migration, version=migration.version + 1)
    answer = operator.post(path, reason)
    assert answer.status_code == 422
    assert reason["reason"] in said(answer) and "Look at its state now" in said(answer)
    migration.refresh_from_db()
    assert migration.state == state
    assert operator.post(path, {**reason, "version": str(migration.version)}).status_code == 303


def test_a_reason_survives_a_colleague_who_was_faster(operator: Client) -> None:
    migration = waits_at("deploy")
    path = f"/migrations/{migration.reference}/act/roll-back/"
    old = {"version": str(migration.version), "reason": "The copy misses the newest album."}
    running.roll_back(by=person("operator", name="colleague"), migration=migration)
    answer = operator.post(path, old)
    assert answer.status_code == 422 and old["reason"] in said(answer) and "Not possible now" in said(answer)


def test_a_reason_to_break_the_glass_survives_a_request_that_changed(
    signed_in: SignedIn, settings: Any
) -> None:
    settings.HOLDFAST_BREAK_GLASS = True
    admin = signed_in("admin")
    migration = at_sign_off(person("operator"))
    request = asked(migration)
    path = f"/migrations/{migration.reference}/sign-off/break-glass/"
    old = {"covers_digest": "sha256:old", "reason": "Nobody else can be reached before Monday."}
    answer = admin.post(path, old)
    assert answer.status_code == 422 and f"{old['reason']}</textarea>" in said(answer)
    SignOffRequest.objects.filter(pk=request.pk).update(state="rejected")
    answer = admin.post(path, {**old, "covers_digest": request.covers_digest})
    assert answer.status_code == 422 and "This was not sent" in said(answer) and old["reason"] in said(answer)
    assert not request.decisions.exists()
