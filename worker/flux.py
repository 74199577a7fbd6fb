"""Waits for Flux as A4 of the domain facts says: the artifact first, then the Kustomization, by a token of our own."""

import uuid
from typing import Any

from django.utils import timezone

from cluster.flux import Kustomization, commit_of, reconciled
from migrations_app.problems import Problem
from worker import suspension
from worker.context import Context
from worker.gitside import Arrival
from worker.outcomes import Again, Outcome, Stop, Wait


def new_token() -> str:
    """A unique value for requestedAt, readable as a time."""
    return f"{timezone.now().isoformat()}-{uuid.uuid4().hex[:8]}"


def bring(context: Context, owner: dict[str, str], found: Arrival, *, key: str) -> Outcome | None:
    """Asks Flux to fetch and apply the branch's head; None when the Kustomization has applied it."""
    if not found.in_artifact:
        return fetch(context, owner, found, key=key)
    return apply(context, owner, found.artifact, key=key)


def fetch(context: Context, owner: dict[str, str], found: Arrival, *, key: str) -> Outcome:
    """Asks the source controller for the branch's head, every few seconds."""
    if _due(context, f"{key}_fetch"):
        _request(
            context, owner["source_kind"], owner["source_namespace"], owner["source_name"], f"{key}/fetch"
        )
    return Again(
        f"Waiting for {owner['source_kind']} {owner['source_name']} to fetch {found.head[:12]}.",
        after_s=1.0,
    )


def apply(context: Context, owner: dict[str, str], commit: str, *, key: str) -> Outcome | None:
    """Asks the Kustomization for a reconcile of `commit`; None when it is done."""
    kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    if kustomization is None:
        return Stop(
            Problem(
                f"Kustomization {owner['namespace']}/{owner['name']} is gone.",
                "Nothing was deleted by Holdfast.",
                "Find out who removed it.",
                code="owner-gone",
            )
        )
    if kustomization.suspended:
        return Wait(
            f"Resume {kustomization.ref}: it is suspended, not as Holdfast left it, so a person has to lift that.",
            "migrations.edit",
            after_s=5,
        )
    if _has_applied(kustomization, commit):
        return None
    token = context.memory.get(f"{key}_token")
    if not token or context.memory.get(f"{key}_token_commit") != commit:
        token = new_token()
        context.remember(**{f"{key}_token": token, f"{key}_token_commit": commit})
        _request(context, "Kustomization", owner["namespace"], owner["name"], f"{key}/reconcile", token)
        return Again(f"Asked {owner['name']} to apply {commit[:12]}.", after_s=0.5)
    state = reconciled(kustomization, token)
    applied = commit_of(kustomization.applied_revision)
    if state.state == "done" and applied == commit:
        return None
    attempted = commit_of(kustomization.attempted_revision)
    if (
        state.state == "failed"
        and attempted == commit
        and kustomization.ready
        and kustomization.ready.reason == "HealthCheckFailed"
    ):
        # Health is checked after apply and prune (A4): what we wait for has happened.
        return None
    if state.state == "failed":
        if _due(context, f"{key}_again", every_s=15):
            context.remember(**{f"{key}_token": ""})
        return Again(f"{owner['name']}: {state.reason}", after_s=2.0)
    if state.state == "done":
        context.remember(**{f"{key}_token": ""})
        return Again(f"{owner['name']} applied {applied[:12]}; {commit[:12]} is awaited.", after_s=1.0)
    return Again(f"{owner['name']}: {state.reason}", after_s=1.0)


def _has_applied(kustomization: Kustomization, commit: str) -> bool:
    """A whole pass over this commit and this generation has succeeded, whoever asked for it.

    A token of ours may never be answered: somebody else's request overwrites it.
    """
    revisions = {commit_of(kustomization.applied_revision), commit_of(kustomization.attempted_revision)}
    ready = kustomization.ready
    current = kustomization.generation == kustomization.observed_generation
    return revisions == {commit} and current and ready is not None and ready.status == "True"


def resume_owner(context: Context, owner: dict[str, Any]) -> Outcome | None:
    """Lifts the suspensions that quiesce set, and only those, the parents' last; None when there is none of ours."""
    for one in reversed(suspension.chain(owner)):
        found = suspension.find(context, one["kind"], one["namespace"], one["name"])
        if found is not None and suspension.ours(context, found):
            suspension.resume(context, found)
            return Again(f"Resumed {found.ref}.", after_s=0.2)
    return None


def _request(context: Context, kind: str, namespace: str, name: str, key: str, token: str = "") -> None:
    token = token or new_token()
    ref = (
        context.cluster.get_kustomization(namespace, name)
        if kind == "Kustomization"
        else context.cluster.get_git_source(namespace, name, kind)
    )
    if ref is None:
        return
    context.act(
        key=f"{context.run.step}/request/{key}",
        verb="flux.reconcile",
        ref=ref.ref,
        after={"token": token},
        call=lambda: context.cluster.request_reconcile(kind, namespace, name, token),
    )


def _due(context: Context, key: str, *, every_s: float = 10.0) -> bool:
    """True at most every `every_s` seconds: a request is repeated, but not at every look."""
    now = timezone.now().timestamp()
    if now - context.memory.get(key, 0) < every_s:
        return False
    context.memory[key] = now
    return True
