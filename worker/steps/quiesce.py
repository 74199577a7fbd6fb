"""Quiesce: the application rests, and nothing brings it back while the source is read for the last time."""

from django.utils import timezone

from cluster.errors import ClusterError
from cluster.values import Ref, Workload
from migrations_app.problems import Problem
from migrations_app.states import IntentState
from worker import copying, movers, owners, stillness, suspension
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop, Wait
from worker.workload_list import all_workloads

_AGAIN = "quiesce/scaled-again/"


def tick(context: Context) -> Outcome:
    asked = context.migration.pause_before_quiesce and not context.memory.get("go_by")
    # A retry comes back here with the application down already: to ask again would only make the outage longer.
    if asked and not context.migration.is_down:
        lost = copying.not_kept(context)
        go = "The outage begins with the next act. Continue when the time has come."
        return Wait(f"{lost} {go}".strip(), "migrations.edit")
    return (
        # After a retry the mover of the failed pass is still there: it would hold the source against us.
        movers.remove_every(context)
        or owners.check(context, context.migration.source_owner)
        or suspension.suspend_parents(context, context.migration.source_owner)
        or _suspend_owner(context)
        or _suspend_cron_jobs(context)
        or _scale_down(context)
        or _wait_for_pods(context)
        or _wait_for_attachments(context)
        or _finish(context)
    )


def _suspend_owner(context: Context) -> Outcome | None:
    """Suspends the Kustomization or HelmRelease, unless we did. Somebody else's suspension is not ours to take over."""
    owner = context.migration.source_owner
    if owner.get("kind") not in {"Kustomization", "HelmRelease"}:
        return None
    found = suspension.find(context, owner["kind"], owner["namespace"], owner["name"])
    if found is None:
        return Stop(
            Problem(
                f"{owner['kind']} {owner['namespace']}/{owner['name']} is not there any more.",
                "The source is unchanged.",
                "Roll back, and plan again with the owner that there is now.",
                code="owner-gone",
            )
        )
    if suspension.ours(context, found):
        return suspension.passing(found)
    if found.suspended:
        return Stop(
            Problem(
                f"{found.ref} was suspended by somebody else meanwhile.",
                "The source is unchanged.",
                "Ask who suspended it. Resume it, then retry.",
                f"flux resume {found.kind.lower()} -n {found.namespace} {found.name}",
                "suspended-by-other",
            )
        )
    return suspension.again(context, found)


def _suspend_cron_jobs(context: Context) -> Outcome | None:
    for recorded in all_workloads(context.transfers):
        if recorded["kind"] != "CronJob":
            continue
        found = suspension.find(context, "CronJob", recorded["namespace"], recorded["name"])
        if found is None or found.suspended:
            continue
        suspension.suspend(context, found)
        return Again(f"Suspended CronJob {found.name}.", after_s=0.1)
    return None


def _scale_down(context: Context) -> Outcome | None:
    for recorded in all_workloads(context.transfers):
        if recorded["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        kind, namespace, name = recorded["kind"], recorded["namespace"], recorded["name"]
        found = context.cluster.get_workload(kind, namespace, name)
        if found is None or found.replicas == 0:
            continue
        if found.when_scaled == "Delete":
            return Stop(
                Problem(
                    f"{kind} {name} now deletes its claims when it is scaled down.",
                    "It was not scaled. The application still runs.",
                    "Set whenScaled to Retain, then retry.",
                    code="when-scaled",
                )
            )
        times = context.memory.setdefault("scalings", {})
        if times.get(f"{kind}/{name}", 0) >= suspension.MAX_TIMES:
            return Stop(_scaled_again(found))
        if context.migration.outage_began_at is None:
            context.migration.outage_began_at = timezone.now()
            context.keep("outage_began_at")
        key = _scale_key(context, found)
        try:
            context.act(
                key=key,
                verb="workload.scale",
                ref=found.ref,
                before={"replicas": found.replicas},
                after={"replicas": 0},
                call=lambda found=found: context.cluster.scale(  # type: ignore[misc]
                    found.kind, found.namespace, found.name, 0, resource_version=found.resource_version
                ),
            )
        except ClusterError:
            _no_outage_yet(context)
            raise
        times[f"{kind}/{name}"] = times.get(f"{kind}/{name}", 0) + 1
        again = " again: somebody had scaled it up" if key.startswith(_AGAIN) else ""
        return Again(f"Scaled {kind} {name} from {found.replicas} to 0{again}.", after_s=0.1)
    return None


def _scale_key(context: Context, found: Workload) -> str:
    """The intent's key. What is scaled down again, after somebody scaled it up, is another change, with its own key.

    Roll back reads the first one alone: the replicas that there were before this migration did anything.
    """
    what = f"{found.kind}/{found.namespace}/{found.name}"
    first = f"quiesce/scale/{what}"
    if not context.migration.intents.filter(key=first, state=IntentState.DONE).exists():
        return first
    later = context.migration.intents.filter(key__startswith=f"{_AGAIN}{what}/")
    # One without an answer, or that was refused, is tried again; only what was done can have been undone by somebody.
    return f"{_AGAIN}{what}/{later.filter(state=IntentState.DONE).count() + 1}"


def _no_outage_yet(context: Context) -> None:
    """Where every scaling was refused for certain, the application still runs, and no page may say that it is down."""
    scaled = context.migration.intents.filter(key__startswith="quiesce/scale/")
    if not scaled.exclude(state=IntentState.FAILED).exists():
        context.migration.outage_began_at = None
        context.keep("outage_began_at")


def _scaled_again(found: Workload) -> Problem:
    return Problem(
        f"Somebody, or something, scales {found.ref} up each time that it is scaled down.",
        "The source is unchanged. The application may be running.",
        "Find out who or what scales it (its managed fields name it), such as an autoscaler, an operator, or GitOps from another cluster, "
        "and stop that; then retry. Or roll back.",
        f"kubectl get {found.kind.lower()} -n {found.namespace} {found.name} -o yaml --show-managed-fields",
        "scaled-again",
    )


def _wait_for_pods(context: Context) -> Outcome | None:
    holding = [
        f"{pod.name} ({'ending' if pod.deleting else pod.phase})"
        for transfer in context.transfers
        for pod in stillness.users(context, context.migration.source_namespace, transfer.source_name)
    ]
    if holding:
        return Again(f"Waiting for {', '.join(dict.fromkeys(holding))} to be gone.", after_s=1.0)
    return None


def _wait_for_attachments(context: Context) -> Outcome | None:
    volumes = {t.source_volume for t in context.transfers}
    attached = [
        a for a in context.cluster.list_volume_attachments() if a.volume_name in volumes and a.attached
    ]
    if attached:
        where = ", ".join(f"{a.volume_name} on {a.node}" for a in attached)
        return Again(f"Waiting until no node holds {where}.", after_s=1.0)
    return None


def _finish(context: Context) -> Outcome:
    changed = context.migration.intents.filter(key__startswith="quiesce/").order_by("id")
    context.evidence(
        "quiesced",
        {
            "changed": [
                {"what": str(Ref("", i.kind, i.namespace, i.name)), "verb": i.verb, "before": i.before}
                for i in changed
            ]
        },
    )
    again = changed.filter(key__startswith=_AGAIN, state=IntentState.DONE)
    names = dict.fromkeys(f"{i.kind} {i.namespace}/{i.name}" for i in again)
    said = [f"{name} was scaled up by somebody meanwhile; it was scaled down again." for name in names]
    return Done(" ".join(["Nothing uses the source.", *said]))
