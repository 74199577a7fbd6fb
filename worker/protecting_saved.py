"""How a protection change is saved: its state by compare-and-set with an event of the trail, its troubles, its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from audit.trail import Actor, record
from dashboard.models import ProtectionChange
from dashboard.protecting_states import ChangeState
from gitops.errors import Refusal

WORKER = Actor.system("worker")
TRIES = 5
PERSON_S = 20.0  # how often Git is looked at while a person is awaited


class Moved(Exception):
    """A person changed the state meanwhile. What the look found is dropped."""


def move(
    change: ProtectionChange,
    state: ChangeState,
    verb: str,
    note: str,
    *,
    after_s: float = 0.5,
    **values: Any,
) -> float:
    """Changes the state by compare-and-set, with its event; `Moved` when a person was quicker. Seconds to the next look."""
    before = change.state
    now = timezone.now()
    # PostgreSQL keeps no NUL, which a file's text may have.
    values = {k: v.replace("\x00", "") if isinstance(v, str) else v for k, v in values.items()}
    with transaction.atomic():
        rows = ProtectionChange.objects.filter(pk=change.pk, state=before)
        if not rows.update(state=state, changed_at=now, memory=change.memory, **values):
            raise Moved
        for field, value in {"state": state.value, "changed_at": now, **values}.items():
            setattr(change, field, value)
        after = {"state": state.value, "how": change.how, "commit": change.commit, "branch": change.branch}
        event(change, verb, before={"state": before}, after=after, note=note)
    return after_s


def event(
    change: ProtectionChange,
    verb: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    note: str = "",
) -> None:
    """One event of the trail about the claim, by the worker. `before` and `after` are plain values."""
    record(
        actor=WORKER,
        verb=verb,
        kind="claim",
        key=change.key,
        namespace=change.namespace,
        cluster=change.cluster.name,
        before=before,
        after={**(after or {}), "change": change.reference},
        note=note,
    )


def problem_of(happened: str, safe: str, next_step: str = "", command: str = "") -> dict[str, str]:
    """A problem as it is kept and shown."""
    return {"happened": happened, "safe": safe, "next": next_step, "command": command}


def refused(change: ProtectionChange, refusal: Refusal) -> float:
    """Final: the same would be refused again. The change by hand is shown with the reason."""
    problem = problem_of(refusal.what, refusal.safe, refusal.next_step) | {
        "by_hand": refusal.by_hand,
        "reason": str(refusal.reason),
    }
    if change.state in {ChangeState.PUSHED, ChangeState.MERGED}:
        change.message = refusal.what  # somebody works on these files now; what is in Git already stays
        return PERSON_S
    try:
        return move(change, ChangeState.REFUSED, "protection.refuse", refusal.what, problem=problem)
    except Moved:
        return PERSON_S


def trouble(change: ProtectionChange, problem: dict[str, str], *, final: bool = False) -> float:
    """Tried again a few times; then a person is told. What is in Git already is watched for as long as it takes."""
    tries = int(change.memory.get("tries", 0)) + 1
    change.memory["tries"] = tries
    change.message = problem["happened"]
    ends = final or tries >= TRIES
    watched = change.state in {ChangeState.READY, ChangeState.PUSHED, ChangeState.MERGED}
    if not ends or watched:
        return min(30.0, 2.0**tries)
    change.memory["tries"] = 0
    state = ChangeState.READY if change.state == ChangeState.APPROVED else ChangeState.FAILED
    verb = "protection.stop" if state == ChangeState.READY else "protection.fail"
    try:
        return move(
            change, state, verb, problem["happened"], after_s=PERSON_S, problem=problem, message="", way=""
        )
    except Moved:
        return PERSON_S
