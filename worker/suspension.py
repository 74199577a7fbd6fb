"""Suspends and resumes what would start the application again: Kustomizations, HelmReleases, CronJobs.

Each suspension of ours is marked on the object with the migration's reference and the generation that it made. One
without that mark, or one that somebody touched since, is somebody else's: it is never lifted.
"""

from collections.abc import Mapping
from typing import Any

from cluster.flux import HelmRelease, Kustomization
from cluster.values import Workload
from migrations_app.problems import Problem
from migrations_app.states import IntentState
from worker.context import Context
from worker.outcomes import Again, Outcome, Stop

# So often is suspended what somebody resumes; then a person is asked.
MAX_TIMES = 3
MARK = "holdfast.dev/suspended-by"
Suspendable = Kustomization | HelmRelease | Workload
_VERBS = {"CronJob": "cronjob"}


def find(context: Context, kind: str, namespace: str, name: str) -> Suspendable | None:
    """The object as it is now, or None when it is gone."""
    if kind == "Kustomization":
        return context.cluster.get_kustomization(namespace, name)
    if kind == "HelmRelease":
        return context.cluster.get_helm_release(namespace, name)
    return context.cluster.get_workload(kind, namespace, name)


def key(found: Suspendable) -> str:
    """The intent's key. Roll back reads these intents."""
    return f"quiesce/suspend/{found.kind}/{found.namespace}/{found.name}"


def ours(context: Context, found: Suspendable) -> bool:
    """True when the suspension that stands now is the one that this migration set."""
    mark = f"{context.migration.reference}.{found.generation}"
    return found.suspended and found.annotations.get(MARK) == mark


def passing(found: Suspendable) -> Outcome | None:
    """A pass that runs when its owner is suspended runs on, and would scale the application up again. None when it has ended."""
    ready = None if isinstance(found, Workload) else found.ready
    if ready is not None and ready.status == "Unknown":
        return Again(f"Waiting until {found.ref} has ended the pass that it is in.", after_s=0.5)
    return None


def chain(owner: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The owner and the parents that would lift its suspension, in the order in which they are suspended: parents first."""
    if owner.get("kind") not in {"Kustomization", "HelmRelease"}:
        return []
    return [*owner.get("parents", []), owner]


def rests(context: Context, owner: Mapping[str, Any]) -> bool:
    """Whether a suspension of ours stands, of the owner or of a parent."""
    found = [find(context, one["kind"], one["namespace"], one["name"]) for one in chain(owner)]
    return any(one is not None and ours(context, one) for one in found)


def suspend_parents(context: Context, owner: Mapping[str, Any]) -> Outcome | None:
    """Parents first. One that somebody else suspended reverts nothing, and is left as it is; None when all of them rest."""
    for parent in chain(owner)[:-1]:
        found = find(context, parent["kind"], parent["namespace"], parent["name"])
        if found is None:
            continue
        if not found.suspended:
            return again(context, found)
        ended = passing(found)
        if ended is not None:
            return ended
    return None


def again(context: Context, found: Suspendable) -> Outcome:
    """Suspends; what somebody resumes each time is asked about."""
    times = context.memory.setdefault("suspensions", {})
    where = str(found.ref)
    if times.get(where, 0) >= MAX_TIMES:
        return Stop(
            Problem(
                f"Somebody, or something, resumes {found.ref} each time that it is suspended.",
                "Nothing was deleted. The source is unchanged.",
                "Find out who or what resumes it (its managed fields name it), and stop that; then retry.",
                f"kubectl get {found.kind.lower()} -n {found.namespace} {found.name} -o yaml --show-managed-fields",
                "resumed-again",
            )
        )
    times[where] = times.get(where, 0) + 1
    suspend(context, found)
    return Again(f"Suspended {found.ref}.", after_s=0.1)


def suspend(context: Context, found: Suspendable) -> None:
    """Suspends what is not suspended."""
    # The patch changes the spec once, and the resource version makes sure that nobody else does meanwhile.
    mark = f"{context.migration.reference}.{found.generation + 1}"
    context.act(
        key=key(found),
        verb=f"{_VERBS.get(found.kind, 'flux')}.suspend",
        ref=found.ref,
        before={"suspended": False},
        after={"suspended": True},
        call=lambda: context.cluster.suspend(
            found.kind,
            found.namespace,
            found.name,
            True,
            resource_version=found.resource_version,
            annotations={MARK: mark},
        ),
    )


def resume(context: Context, found: Suspendable) -> None:
    """Lifts a suspension of ours, with its mark."""
    context.act(
        key=f"{context.run.step}/resume/{found.kind}/{found.namespace}/{found.name}",
        verb=f"{_VERBS.get(found.kind, 'flux')}.resume",
        ref=found.ref,
        before={"suspended": True},
        after={"suspended": False},
        call=lambda: context.cluster.suspend(
            found.kind,
            found.namespace,
            found.name,
            False,
            resource_version=found.resource_version,
            annotations={MARK: None},
        ),
    )
    # What was lifted is not ours any more, whoever suspends it next.
    context.migration.intents.filter(key=key(found)).update(state=IntentState.UNDONE)
