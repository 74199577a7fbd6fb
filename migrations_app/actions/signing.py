"""The second person's decision, and what makes it void. Each locks the request: two at one instant are one after the other."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.permissions import check
from audit.trail import Actor, record
from migrations_app.actions.notifying import notify, notify_of_wait
from migrations_app.doorbell import ring
from migrations_app.models import Decision, Migration, Notification, SignOffRequest
from migrations_app.models.evidence import digest_of
from migrations_app.problems import Refused
from migrations_app.rules import questions
from migrations_app.rules import signoff as rules
from migrations_app.states import State

Live = SignOffRequest.State
# Who wanted to decide did not void the request: what changed before did. That they tried is an event of its own.
NOTICED = Actor.system("web")


def open_request(migration: Migration, *, actor: Actor, asked_by: str = "", note: str = "") -> SignOffRequest:
    """The live request, or a new one that covers what is there now. Called by the engine at the gate.

    `asked_by` names who asked again after a rejection: they are the requester then, and cannot decide themselves. `note` is
    what they tell the approver.
    """
    with transaction.atomic():
        Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
        last = migration.sign_off_requests.order_by("-id").first()
        # After a rejection the requester asks again (`ask_again`); nothing asks by itself.
        if last is not None and last.state in {Live.OPEN, Live.APPROVED, Live.REJECTED}:
            return last
        covers = rules.covers(migration)
        request = SignOffRequest.objects.create(
            migration=migration,
            covers=covers,
            covers_digest=digest_of(covers),
            approvals_needed=rules.approvals_needed(migration.source_namespace),
            requested_by_name=asked_by or (last.requested_by_name if last else migration.requested_by_name),
            expires_at=timezone.now() + rules.expiry(),
        )
        _record(
            request,
            actor,
            "signoff.request",
            after={
                "request": request.pk,
                "covers_digest": request.covers_digest,
                "approvals_needed": request.approvals_needed,
                "expires_at": request.expires_at,
            },
            note=note,
        )
        return request


def decide(
    *, by: User, request: SignOffRequest, kind: Decision.Kind, text: str, covers_digest: str
) -> Decision:
    """Approve, reject or ask. `covers_digest` is that of the page: what was seen is what is signed."""
    if kind in {Decision.Kind.REJECT, Decision.Kind.ASK} and not text.strip():
        raise Refused("Say why.", next="The requester has to know what to change.")
    with transaction.atomic():
        locked = _lock(request)
        if locked.state != Live.OPEN:
            raise Refused(f"The request is no longer open: {locked.get_state_display().lower()}.")
        rules.check_may_decide(by, locked.migration)
        if covers_digest != locked.covers_digest:
            raise Refused(
                "The request changed since you opened the page. Nothing was signed.", next="Look at it again."
            )
        if kind != Decision.Kind.ASK and rules.has_decided(by, locked):
            raise Refused("You have decided already.")
        void = rules.why_void(locked)
        if not void:
            return _save_decision(locked, by, kind, text)
        _void(locked, void, NOTICED)
    # Raised outside the transaction: that the request is void must be kept.
    raise _is_void(void)


def _is_void(reason: str) -> Refused:
    return Refused(
        f"The request is void. {reason}", next="A new request appears when the gate is reached again."
    )


def break_glass(*, by: User, request: SignOffRequest, reason: str, covers_digest: str) -> Decision:
    """An admin approves alone, with a reason. Off unless HOLDFAST_BREAK_GLASS is on."""
    if not settings.HOLDFAST_BREAK_GLASS:
        raise Refused("Break-glass is off in this installation.")
    if len(reason.strip()) < 20:
        raise Refused("Say why nobody else can decide, in at least 20 characters.")
    with transaction.atomic():
        locked = _lock(request)
        check(by, "breakglass.use", namespace=locked.migration.namespaces)
        if locked.state != Live.OPEN or covers_digest != locked.covers_digest:
            raise Refused("The request changed since you opened the page. Nothing was signed.")
        if rules.has_decided(by, locked):
            raise Refused(
                "You have decided on this request already, and each person does so once. Nothing was signed.",
                next="Another approver, or another admin, can decide.",
            )
        void = rules.why_void(locked)
        if not void:
            words = f"{by.get_username()} alone approved the deletion of {locked.migration.source_namespace}: {reason.strip()}"
            notify(locked.migration, Notification.Kind.BREAK_GLASS, words)
            return _save_decision(locked, by, Decision.Kind.BREAK_GLASS, reason)
        _void(locked, void, NOTICED)
    # Raised outside the transaction, as in `decide`.
    raise _is_void(void)


def answer(*, by: User, request: SignOffRequest, question: int, text: str) -> None:
    """Answers the questions up to `question`, the newest that was seen. The request stays open; the trail has the answer."""
    if not text.strip():
        raise Refused("Write an answer.", next="Nothing was sent.")
    with transaction.atomic():
        locked = _lock(request)
        if locked.state != Live.OPEN:
            raise Refused(f"The request is no longer open: {locked.get_state_display().lower()}.")
        if question not in [each.pk for each in questions.unanswered(locked)]:
            raise Refused("This question was answered meanwhile.", next="Look at the answer first.")
        _record(
            locked,
            Actor.of(by),
            "signoff.answer",
            after={"request": locked.pk, "question": question, "covers_digest": locked.covers_digest},
            note=text.strip(),
        )
        _notify(locked, f"{by.get_username()} answers: {text.strip()}")
        _look_now(locked)


def ask_again(*, by: User, migration: Migration, note: str = "") -> SignOffRequest:
    """A new request after a rejection, by somebody who may edit the migration; `note` says what changed since."""
    with transaction.atomic():
        current = Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
        last = current.sign_off_requests.order_by("-id").first()
        if current.current_step != "sign-off" or last is None or last.state != Live.REJECTED:
            raise Refused("There is no rejected request to ask again about.")
        if current.state not in {State.RUNNING, State.WAITING}:
            raise Refused(f"The gate is closed: {current.state_value.label.lower()}.")
        _void(last, "Rejected; asked again.", Actor.of(by))
        name = by.get_username()
        return open_request(current, actor=Actor.of(by), asked_by=name, note=note.strip())


def withdraw_live(migration: Migration, reason: str, *, actor: Actor) -> None:
    """Voids the live request of a migration that turns round, if there is one. In the caller's transaction."""
    for request in migration.sign_off_requests.filter(state__in=[Live.OPEN, Live.APPROVED]):
        withdraw(request, reason, actor=actor)


def withdraw(request: SignOffRequest, reason: str, *, actor: Actor) -> None:
    """Voids a live request. A used one stays used."""
    with transaction.atomic():
        locked = _lock(request)
        if locked.state in {Live.OPEN, Live.APPROVED}:
            _void(locked, reason, actor)


def use(request: SignOffRequest, *, actor: Actor) -> None:
    """Marks an approved request as used, once, if it still holds; raises `Refused` otherwise. Called before release acts."""
    with transaction.atomic():
        locked = _lock(request)
        if locked.state not in {Live.APPROVED, Live.USED}:
            raise Refused(f"The sign-off does not hold: {locked.get_state_display().lower()}.")
        reason = rules.unrecorded(locked) if locked.state == Live.USED else rules.why_void(locked)
        if reason:
            raise Refused(f"The sign-off no longer holds. {reason}")
        if locked.state == Live.USED:
            return
        SignOffRequest.objects.filter(pk=locked.pk).update(state=Live.USED, closed_at=timezone.now())
        givers = locked.decisions.exclude(kind=Decision.Kind.ASK).values_list("by_name", flat=True)
        _record(
            locked,
            actor,
            "signoff.use",
            before={"state": str(locked.state)},
            after={"state": "used", "covers_digest": locked.covers_digest, "given_by": list(givers)},
        )


def _lock(request: SignOffRequest) -> SignOffRequest:
    # The migration's row first, as everywhere: an edit and an approval at one instant come one after the other.
    Migration.objects.select_for_update(no_key=True).get(pk=request.migration_id)
    return SignOffRequest.objects.select_for_update(no_key=True).get(pk=request.pk)


def _save_decision(request: SignOffRequest, by: User, kind: Decision.Kind, text: str) -> Decision:
    decision = Decision.objects.create(
        request=request,
        kind=kind,
        by=by,
        by_name=by.get_username(),
        text=text.strip(),
        covers_digest=request.covers_digest,
    )
    approvals = request.decisions.filter(kind=Decision.Kind.APPROVE).count()
    state = request.state
    if kind == Decision.Kind.REJECT:
        state = Live.REJECTED
    elif kind == Decision.Kind.BREAK_GLASS or approvals >= request.approvals_needed:
        state = Live.APPROVED
    closed = timezone.now() if state == Live.REJECTED else None
    SignOffRequest.objects.filter(pk=request.pk).update(state=state, closed_at=closed)
    _record(
        request,
        Actor.of(by),
        f"signoff.{kind}",
        before={"state": str(request.state)},
        after={"state": str(state), "covers_digest": request.covers_digest},
        note=text.strip(),
    )
    if kind == Decision.Kind.ASK:
        _notify(request, f"{by.get_username()} asks: {text.strip()}")
    _look_now(request)
    return decision


def _notify(request: SignOffRequest, words: str) -> None:
    """Tells of a question or an answer: the migration keeps its state, which would tell people."""
    notify_of_wait(request.migration, words)


def _look_now(request: SignOffRequest) -> None:
    """The engine looks at a gate seldom; after an answer it looks at once."""
    Migration.objects.filter(pk=request.migration_id).update(next_tick_at=timezone.now())
    ring(request.migration_id)


def _void(request: SignOffRequest, reason: str, actor: Actor) -> None:
    SignOffRequest.objects.filter(pk=request.pk).update(
        state=Live.VOID, void_reason=reason, closed_at=timezone.now()
    )
    _record(
        request,
        actor,
        "signoff.void",
        before={"state": str(request.state)},
        after={"state": "void"},
        note=reason,
    )
    _look_now(request)


def _record(
    request: SignOffRequest,
    actor: Actor,
    verb: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
    note: str = "",
) -> None:
    migration = request.migration
    record(
        actor=actor,
        verb=verb,
        kind="migration",
        key=migration.reference,
        namespace=migration.source_namespace,
        cluster=migration.cluster.name,
        before=before,
        after=after,
        note=note,
    )
