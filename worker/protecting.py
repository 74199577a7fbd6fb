"""Makes, pushes and watches the changes that protect a claim: one short look at a time, each state kept in PostgreSQL.

requested → ready (a person reviews) → approved → pushed (a person merges) → merged → applied. Whether Git says so is asked of the
files, not of a commit's name: a person's own commit that says the same is as good. A stopgap goes from requested to applied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from cluster.client import Cluster
from cluster.errors import ClusterError, Conflict, Forbidden
from cluster.flux import PRUNE, flux_protected, new_token
from cluster.values import Claim
from dashboard import validation
from dashboard.models import Claim as ClaimRow
from dashboard.models import ProtectionChange
from dashboard.protecting import ways_for
from dashboard.protecting_states import OPEN, ChangeState
from dashboard.states import PushPolicy
from gitops.errors import GitOpsError, PushConflict, PushRejected, Refusal
from worker.app import TASK_SOFT_LIMIT_S, app
from worker.clusters import adapter
from worker.gitside import AUTHOR
from worker.protecting_saved import PERSON_S, Moved, event, move, problem_of, refused, trouble
from worker.protecting_target import HelmTarget, Target, commits_applied, target_of

log = logging.getLogger(__name__)

KEY = "protect"
# Longer than the hard time limit of a task (worker.app), after which its process no longer exists.
LEASE = timedelta(seconds=45)
EARLY = timedelta(milliseconds=300)
SOON_S = 4.0
SWEEP_BATCH = 100
ASK_AGAIN_S = 10.0
MERGE_S = 5.0


_SLOW = {
    "happened": f"It took longer than the {TASK_SOFT_LIMIT_S} s that one look may take.",
    "safe": "A push that did arrive is found and adopted; nothing is made twice.",
    "next": "Look whether the Git server and the cluster answer, then ask again.",
    "command": "",
}


@app.task(name="worker.protecting.look")  # type: ignore[untyped-decorator]
def look(change_id: int) -> None:
    """Looks at one change once, and asks for the next look when it is due soon."""
    after_s = advance(change_id)
    if after_s is not None and after_s < SOON_S:
        look.apply_async(args=[change_id], countdown=after_s, expires=60)


@app.task(name="worker.protecting.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Asks for a look at everything that is due: PostgreSQL knows, whatever became of the messages."""
    due = ProtectionChange.objects.filter(state__in=OPEN, look_at__lte=timezone.now()).order_by("look_at")
    for change_id in due.values_list("pk", flat=True)[:SWEEP_BATCH]:
        look.apply_async(args=[change_id], expires=60)


def advance(change_id: int) -> float | None:
    """One look; in how many seconds the next one is due, None when there is none or somebody else has it."""
    change = _take(change_id)
    if change is None:
        return None
    try:
        after_s = _HANDLERS[change.state_value](change, adapter(change.cluster.name))
        change.memory.pop("tries", None)
    except Moved:
        return None
    except SoftTimeLimitExceeded:
        after_s = trouble(change, _SLOW)
    except Refusal as refusal:
        after_s = refused(change, refusal)
    except GitOpsError as error:
        after_s = trouble(change, problem_of(error.what, error.safe, error.next_step, error.command))
    except ClusterError as error:
        problem = problem_of(error.happened, error.safe, error.next, error.command)
        after_s = trouble(change, problem, final=isinstance(error, Forbidden))
    return _release(change, after_s)


def _take(change_id: int) -> ProtectionChange | None:
    """The change, for us alone until the lease ends."""
    now = timezone.now()
    due = ProtectionChange.objects.filter(pk=change_id, state__in=OPEN, look_at__lte=now + EARLY)
    if not due.update(look_at=now + LEASE):
        return None
    change = ProtectionChange.objects.select_related("cluster", "claim").get(pk=change_id)
    return change if change.is_open else None


def _release(change: ProtectionChange, after_s: float) -> float | None:
    """Sets the next look, unless a person asked for one meanwhile by changing the state."""
    rows = ProtectionChange.objects.filter(pk=change.pk, state=change.state)
    rows.update(
        look_at=timezone.now() + timedelta(seconds=after_s), message=change.message, memory=change.memory
    )
    return after_s if change.is_open else None


# States ----------------------------------------------------------------------------------------------------------------


def _requested(change: ProtectionChange, cluster: Cluster) -> float:
    if change.live:
        return _annotate(change, cluster)
    target = target_of(change, cluster)
    commit = target.clone.refresh()
    tree = target.clone.tree(commit)
    if target.says(tree):
        note = "Git says so already."
        return move(change, ChangeState.MERGED, "protection.merge", note, commit=commit)
    made = target.make(tree)
    values = _made(target, commit, made.diff, made.effect, made.summary, made.notes)
    return move(change, ChangeState.READY, "protection.ready", made.summary, after_s=PERSON_S, **values)


def _made(
    target: Target, commit: str, diff: str, effect: str, summary: str, notes: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "diff": diff,
        "effect": effect,
        "summary": summary,
        "notes": list(notes),
        "base_commit": commit,
        "repository_name": target.repository_name,
        "message": "",
    }


def _ready(change: ProtectionChange, cluster: Cluster) -> float:
    """Keeps the shown change true while a person reviews it; sees a patch that somebody applied by hand."""
    target = target_of(change, cluster)
    commit = target.clone.refresh()
    if commit == change.base_commit:
        return PERSON_S
    tree = target.clone.tree(commit)
    if target.says(tree):
        note = "Git says so now; somebody made the change."
        return move(change, ChangeState.MERGED, "protection.merge", note, commit=commit, problem={})
    made = target.make(tree)
    if made.effect != change.effect:
        note = "Git changed; this is the change as it would be made now."
        values = _made(target, commit, made.diff, made.effect, made.summary, made.notes)
        return move(
            change,
            ChangeState.READY,
            "protection.ready",
            note,
            after_s=PERSON_S,
            **{**values, "message": note},
        )
    return PERSON_S


def _approved(change: ProtectionChange, cluster: Cluster) -> float:
    """Pushes what was reviewed, and nothing else. A commit that a dead look pushed is found and adopted."""
    if change.way not in ways_for(change):
        # An admin allows less than when it was approved.
        what = f"Repository {change.repository_name} does not take changes this way any more."
        next_step = "Choose another way, or apply the patch by hand."
        return _back(change, ChangeState.READY, GitOpsError(what, next_step=next_step))
    target = target_of(change, cluster)
    branch = f"holdfast/{change.reference}" if change.way == PushPolicy.BRANCH else None
    text = f"{change.summary}\n\nRequested by {change.by_name} as {change.reference}, pushed for {change.approved_by_name}."
    with transaction.atomic():
        pushes = {
            "repository": change.repository_name,
            "branch": branch or target.clone.branch,
            "effect": change.effect,
        }
        event(change, "git.push", after=pushes, note="intended")
    try:
        pushed = target.clone.commit_change(
            target.make,
            text,
            AUTHOR,
            branch=branch,
            reference=change.reference,
            key=KEY,
            expected_effect=change.effect,
        )
    except PushConflict as error:
        return _back(change, ChangeState.REQUESTED, error)
    except PushRejected as error:
        return _back(change, ChangeState.READY, error)
    except Refusal:
        # Somebody may have made the same change meanwhile; then there is nothing left to push.
        commit = target.clone.refresh()
        if not target.says(target.clone.tree(commit)):
            raise
        return move(
            change, ChangeState.MERGED, "protection.merge", "Git says so already.", commit=commit, problem={}
        )
    merged = pushed.branch == target.clone.branch
    return move(
        change,
        ChangeState.MERGED if merged else ChangeState.PUSHED,
        "git.push",
        "An earlier push was found." if pushed.adopted else "",
        after_s=0.5 if merged else MERGE_S,
        commit=pushed.commit,
        branch=pushed.branch,
        problem={},
        message="" if merged else f"Waiting for {pushed.branch} to be merged into {target.clone.branch}.",
    )


def _back(change: ProtectionChange, state: ChangeState, error: GitOpsError) -> float:
    """Nothing was pushed: a person looks again, at a change made anew where Git moved."""
    problem = problem_of(error.what, error.safe, error.next_step, error.command)
    return move(change, state, "protection.stop", error.what, problem=problem, way="")


def _pushed(change: ProtectionChange, cluster: Cluster) -> float:
    if _row_gone(change):
        return _gone(change, None)
    target = target_of(change, cluster)
    commit = target.clone.refresh()
    if target.says(target.clone.tree(commit)):
        return move(change, ChangeState.MERGED, "protection.merge", "", commit=commit, message="", problem={})
    change.message = f"Waiting for {change.branch} to be merged into {target.clone.branch}."
    return MERGE_S


def _merged(change: ProtectionChange, cluster: Cluster) -> float:
    """Has Flux fetch and apply it, and waits until the live claim carries it."""
    if _row_gone(change):
        return _gone(change, None)
    target = target_of(change, cluster)
    head = target.clone.refresh()
    if not target.says(target.clone.tree(head)):
        problem = problem_of(
            "Git no longer protects the claim: somebody took the change out again.",
            "Nothing else was changed.",
            "Look at the history of the repository, then ask for the change again.",
        )
        return move(change, ChangeState.FAILED, "protection.fail", problem["happened"], problem=problem)
    waiting = _until_applied(change, cluster, target, head)
    if waiting:
        change.message = waiting
        return 1.5
    claim = cluster.get_claim(change.namespace, change.name)
    if claim is None or claim.uid != change.uid:
        return _gone(change, claim)
    if not target.carried(claim):
        change.message = "Flux applied the commit; the live claim does not carry the protection yet."
        return 1.5
    return _applied(change, claim, commit=head)


def _until_applied(change: ProtectionChange, cluster: Cluster, target: Target, head: str) -> str:
    """What is still awaited of Flux, empty when it applied a commit that says so. Asks Flux for it now and then."""
    owner = cluster.get_kustomization(target.owner.namespace, target.owner.name)
    name = f"Kustomization {target.owner.namespace}/{target.owner.name}"
    if owner is None:
        return f"{name} is gone: nobody applies the change."
    source = cluster.get_git_source(owner.source_namespace, owner.source_name)
    if any(commit == head or target.says_at(commit) for commit in commits_applied(owner)):
        if isinstance(target, HelmTarget):
            _ask(change, cluster, "HelmRelease", target.release.namespace, target.release.name)
        return ""
    if owner.suspended:
        return f"{name} is suspended: the change is applied when it is resumed."
    artifact = target.artifact(source)
    if artifact != head and not (artifact and target.says_at(artifact)):
        _ask(change, cluster, "GitRepository", owner.source_namespace, owner.source_name)
        return f"Waiting for GitRepository {owner.source_name} to fetch {head[:12]}."
    _ask(change, cluster, "Kustomization", owner.namespace, owner.name)
    ready = owner.ready
    trouble = f" {ready.reason}: {ready.message}" if ready and ready.status == "False" else ""
    return f"Waiting for {name} to apply {head[:12]}.{trouble}"


def _ask(change: ProtectionChange, cluster: Cluster, kind: str, namespace: str, name: str) -> None:
    """Asks for a reconcile, at most every few seconds, with an event each time."""
    now = timezone.now().timestamp()
    if now - change.memory.get(f"asked {kind}", 0) < ASK_AGAIN_S:
        return
    change.memory[f"asked {kind}"] = now
    token = new_token()
    with transaction.atomic():
        event(change, "flux.reconcile", after={"kind": kind, "name": f"{namespace}/{name}", "token": token})
    cluster.request_reconcile(kind, namespace, name, token)


def _applied(change: ProtectionChange, claim: Claim, **values: Any) -> float:
    probe = _probe(change, claim)
    return move(
        change, ChangeState.APPLIED, "protection.apply", "", probe=probe, message="", problem={}, **values
    )


def _row_gone(change: ProtectionChange) -> bool:
    """The watcher has seen the claim go."""
    return change.claim is None or change.claim.gone_at is not None


def _gone(change: ProtectionChange, claim: Claim | None) -> float:
    what = "is gone" if claim is None else "was deleted and made again"
    problem = problem_of(
        f"Claim {change.key} {what} since the change was asked for.",
        "What is in Git stays there; nothing else was changed.",
        "Look at the claim as it is now; ask again where it still needs protection.",
        f"kubectl get pvc {change.name} -n {change.namespace} -o yaml",
    )
    return move(change, ChangeState.FAILED, "protection.fail", problem["happened"], problem=problem)


# The stopgap -----------------------------------------------------------------------------------------------------------


def _annotate(change: ProtectionChange, cluster: Cluster) -> float:
    """Annotates exactly the claim that was looked at: its UID and its version are tested by the server."""
    claim = cluster.get_claim(change.namespace, change.name)
    if claim is None or claim.uid != change.uid:
        return _gone(change, claim)
    if flux_protected(claim.labels, claim.annotations) is None:
        before = {PRUNE: claim.annotations.get(PRUNE)}
        with transaction.atomic():
            event(change, "claim.annotate", before=before, after={PRUNE: "disabled"}, note="intended")
        try:
            cluster.annotate(claim.ref, {PRUNE: "disabled"}, resource_version=claim.resource_version)
        except Conflict as error:
            change.message = f"It changed at this very moment and is read again. {error.happened}"
            return 0.5
        claim = cluster.get_claim(change.namespace, change.name) or claim
    return _applied(change, claim)


# Probing ---------------------------------------------------------------------------------------------------------------


def _probe(change: ProtectionChange, claim: Claim) -> dict[str, Any]:
    """What a dry-run deletion answers now, judged by the live claim. A prober that cannot ask stops nothing."""
    seen = ClaimRow(
        namespace=claim.namespace,
        name=claim.name,
        labels=dict(claim.labels),
        annotations=dict(claim.annotations),
    )
    try:
        answer = adapter(change.cluster.name, "prober").probe_delete(claim.namespace, claim.name)
    except ClusterError as error:
        return {"answer": "unknown", "title": "The probe got no answer", "detail": error.happened, "next": ""}
    found = validation.probe_finding(seen, answer)
    if found is None:
        return {}
    return {
        "answer": found.answer.value,
        "title": found.title,
        "detail": found.detail,
        "next": found.next,
        "at": timezone.now().isoformat(),
    }


_HANDLERS: dict[ChangeState, Callable[[ProtectionChange, Cluster], float]] = {
    ChangeState.REQUESTED: _requested,
    ChangeState.READY: _ready,
    ChangeState.APPROVED: _approved,
    ChangeState.PUSHED: _pushed,
    ChangeState.MERGED: _merged,
}
