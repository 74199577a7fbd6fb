"""Two people at the same instant, on real PostgreSQL, many times: the rules hold whoever is first."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from accounts.actions import revoke
from accounts.models import Grant, User
from audit.models import Event
from migrations_app.actions import gates, running, signing
from migrations_app.models import Decision, Migration, SignOffRequest
from migrations_app.problems import Refused
from migrations_app.states import State
from tests.migrations_app.making import WORKER, add_evidence, asked, at_sign_off
from tests.support.people import person
from tests.support.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

ROUNDS = 15


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Runs the actions on threads of their own, let go together. What each returned or was refused with."""
    barrier = threading.Barrier(len(actions))
    results: list[object] = [None] * len(actions)

    def run(position: int, action: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=20)
            results[position] = action()
        except Exception as error:  # noqa: BLE001 - the test looks at what it was
            results[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(i, action)) for i, action in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    unexpected = [r for r in results if isinstance(r, Exception) and not isinstance(r, Refused)]
    assert not unexpected, unexpected
    return results


def approve(request: SignOffRequest, by: User) -> Callable[[], object]:
    return lambda: signing.decide(
        by=User.objects.get(pk=by.pk),
        request=request,
        kind=Decision.Kind.APPROVE,
        text="",
        covers_digest=request.covers_digest,
    )


def test_two_approvers_give_one_approval_where_one_is_needed() -> None:
    operator, first, second = person("operator"), person("approver"), person("approver", name="approver2")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        results = at_once(approve(request, first), approve(request, second))
        assert sum(isinstance(r, Decision) for r in results) == 1
        assert request.decisions.count() == 1
        assert SignOffRequest.objects.get(pk=request.pk).state == "approved"


def test_a_double_click_of_one_approver_counts_once_where_two_are_needed(settings) -> None:  # type: ignore[no-untyped-def]
    settings.HOLDFAST_APPROVALS = [("*", 2)]
    operator, approver = person("operator"), person("approver")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        at_once(approve(request, approver), approve(request, approver), approve(request, approver))
        assert request.decisions.count() == 1
        assert SignOffRequest.objects.get(pk=request.pk).state == "open"


def test_approve_and_reject_never_both_stand() -> None:
    operator, first, second = person("operator"), person("approver"), person("approver", name="approver2")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        reject = lambda: signing.decide(
            by=User.objects.get(pk=second.pk),
            request=request,
            kind=Decision.Kind.REJECT,
            text="No.",
            covers_digest=request.covers_digest,
        )
        at_once(approve(request, first), reject)
        kinds = set(request.decisions.values_list("kind", flat=True))
        state = SignOffRequest.objects.get(pk=request.pk).state
        assert (
            kinds in ({"approve"}, {"reject"})
            and state == {"approve": "approved", "reject": "rejected"}[kinds.pop()]
        )


def test_an_approval_and_new_evidence_never_release_what_was_not_seen() -> None:
    operator, approver = person("operator"), person("approver")
    for _ in range(ROUNDS):
        migration = at_sign_off(operator)
        request = asked(migration)
        transfer = migration.transfers.get()
        at_once(
            approve(request, approver),
            lambda: add_evidence(migration, transfer, "verify", {"outcome": "new"}),
        )
        with pytest.raises(Refused):
            signing.use(request, actor=WORKER)


def test_a_sign_off_is_used_once_however_many_release_at_once() -> None:
    operator, approver = person("operator"), person("approver")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        approve(request, approver)()
        at_once(*[lambda: signing.use(request, actor=WORKER)] * 3)
        assert SignOffRequest.objects.get(pk=request.pk).state == "used"
        key = request.migration.reference
        assert Event.objects.filter(verb="signoff.use", key=key).count() == 1


def test_an_approver_who_loses_the_role_meanwhile_releases_nothing() -> None:
    operator, approver = person("operator"), person("approver")
    admin = person("admin")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        at_once(
            approve(request, approver),
            lambda: revoke(user=User.objects.get(pk=approver.pk), role="approver", by=admin),
        )
        with pytest.raises(Refused):
            signing.use(request, actor=WORKER)
        Grant.objects.create(user=approver, role="approver", namespaces=["*"])


def test_an_approval_and_a_turn_round_at_once_never_leave_a_live_sign_off() -> None:
    operator, approver = person("operator"), person("approver")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        at_once(
            approve(request, approver),
            lambda: running.roll_back(by=operator, migration=Migration.objects.get(pk=request.migration_id)),
        )
        after = Migration.objects.get(pk=request.migration_id)
        live = SignOffRequest.objects.get(pk=request.pk).state in {"open", "approved"}
        assert live is (after.state == State.WAITING), "rolled back, and somebody's approval still counts"


def test_approve_and_break_glass_at_once_are_one_decision(settings) -> None:  # type: ignore[no-untyped-def]
    settings.HOLDFAST_BREAK_GLASS = True
    operator, approver, admin = person("operator"), person("approver"), person("admin")
    for _ in range(ROUNDS):
        request = asked(at_sign_off(operator))
        alone = lambda: signing.break_glass(
            by=admin,
            request=request,
            reason="Nobody else can be reached tonight.",
            covers_digest=request.covers_digest,
        )
        at_once(approve(request, approver), alone)
        assert request.decisions.count() == 1


def test_two_requests_are_never_open_at_once() -> None:
    operator = person("operator")
    for _ in range(ROUNDS):
        migration = at_sign_off(operator)
        at_once(*[lambda: asked(Migration.objects.get(pk=migration.pk))] * 4)
        assert migration.sign_off_requests.count() == 1


def test_roll_back_and_abort_at_once_end_in_one_of_them() -> None:
    operator = person("operator")
    for _ in range(ROUNDS):
        migration = at_sign_off(operator)
        load = lambda: Migration.objects.get(pk=migration.pk)
        results = at_once(
            lambda: running.roll_back(by=operator, migration=load()),
            lambda: running.pause(by=operator, migration=load()),
        )
        after = load()
        assert any(r is None for r in results)
        assert after.state in {State.ROLLING_BACK, State.PAUSED}


def test_roll_back_sees_an_act_of_release_that_is_being_written_down() -> None:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.RUNNING, current_step="release")
    result: list[object] = []

    def turn_round() -> None:
        try:
            result.append(running.roll_back(by=operator, migration=Migration.objects.get(pk=migration.pk)))
        except Refused as refusal:
            result.append(refusal)
        finally:
            connection.close()

    thread = threading.Thread(target=turn_round)
    with transaction.atomic():
        # As the engine does it: the row's lock, then the intent; only then the claim is deleted.
        Migration.objects.select_for_update().get(pk=migration.pk)
        thread.start()
        until(_somebody_waits, timeout_s=20, what="roll back to wait for the row", every_s=0.02)
        migration.intents.create(step="release", key="release/claim.delete/library", verb="claim.delete")
    thread.join(timeout=20)
    assert isinstance(result[0], Refused) and "release has begun" in result[0].reason
    assert Migration.objects.get(pk=migration.pk).state == State.RUNNING


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_a_double_click_on_start_starts_once() -> None:
    operator = person("operator")
    for _ in range(ROUNDS):
        # Not deleted: a worker that an earlier test started may be at one of them.
        Migration.objects.update(state=State.DISCARDED)
        migration = at_sign_off(operator, state=State.READY, current_step="plan", started_at=None)
        start = lambda: running.start(
            by=operator, migration=Migration.objects.get(pk=migration.pk), plan_digest="sha256:plan"
        )
        results = at_once(start, start, start)
        assert sum(r is None for r in results) == 1


def test_of_two_drafts_of_one_claim_one_starts() -> None:
    operator = person("operator")
    for _ in range(ROUNDS):
        # Not deleted: a worker that an earlier test started may be at one of them.
        Migration.objects.update(state=State.DISCARDED)
        drafts = [
            at_sign_off(operator, state=State.READY, current_step="plan", started_at=None) for _ in range(2)
        ]
        starts = [
            lambda pk=draft.pk: running.start(
                by=operator, migration=Migration.objects.get(pk=pk), plan_digest="sha256:plan"
            )
            for draft in drafts
        ]
        results = at_once(*starts)
        assert sum(r is None for r in results) == 1


def test_a_test_is_confirmed_once() -> None:
    operator = person("operator")
    for _ in range(5):
        migration = at_sign_off(operator, current_step="test")
        migration.runs.create(step="test", attempt=1, state="waiting")
        migration.evidence.filter(kind="test").delete()
        confirm = lambda: gates.confirm_test(
            by=operator, migration=Migration.objects.get(pk=migration.pk), note="works"
        )
        at_once(confirm, confirm)
        assert migration.evidence.filter(kind="test").count() == 1
