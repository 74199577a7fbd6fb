"""Deploy: the application starts in the destination, through Git, on the claims that were handed over."""

from typing import Any

from django.utils import timezone

from migrations_app.models import GitMode, Transfer
from migrations_app.problems import Problem
from worker import declarations, flux, gitside, owners, suspension
from worker.context import Context
from worker.outcomes import Again, Done, Outcome, Stop, Wait
from worker.workload_list import all_workloads


def tick(context: Context) -> Outcome:
    replaced = _check_claims(context)
    if replaced is not None:
        return replaced
    arrived = _through_git(context)
    awaited = [transfer for transfer in context.transfers if _was_used(transfer)]
    running, waiting = _runs(context, awaited)
    # Once Git holds the change, what runs counts, whatever a health check says about other objects.
    if arrived is not None and not (awaited and running and context.memory.get("in_git")):
        return arrived
    if not running:
        return Wait(waiting, "migrations.edit", after_s=2)
    if context.migration.is_down:
        context.migration.outage_ended_at = timezone.now()
        context.keep("outage_ended_at")
    context.evidence(
        "deployed",
        {
            "commit": context.memory.get("deploy_commit", ""),
            "in_git": bool(context.memory.get("in_git")) and not context.migration.within_namespace,
            "claims": {t.destination_name: t.destination_uid for t in context.transfers},
            "workloads": [f"{w['kind']}/{w['name']}" for w in all_workloads(context.transfers)],
            "seen_in_use": [transfer.destination_name for transfer in awaited],
        },
    )
    if not awaited:
        return Done("No workload ran when it was inspected, so none is awaited in the destination.")
    return Done("The application runs in the destination on its claims.")


def _check_claims(context: Context) -> Outcome | None:
    """A destination claim that is not the one handed over holds other data, or none."""
    for transfer in context.transfers:
        claim = context.cluster.get_claim(context.migration.destination_namespace, transfer.destination_name)
        if claim is None or claim.uid != transfer.destination_uid or claim.deleting:
            return Stop(
                Problem(
                    f"Claim {context.migration.destination_namespace}/{transfer.destination_name} is not the one that was handed over, or is being deleted.",
                    "The source is unchanged.",
                    "Find out who replaced it. Roll back when the data in it is not yours.",
                    f"kubectl get pvc -n {context.migration.destination_namespace} {transfer.destination_name} -o yaml",
                    "destination-replaced",
                )
            )
    return None


def _through_git(context: Context) -> Outcome | None:
    """Brings the deploy change into the cluster; None when it has arrived, or Git plays no part."""
    migration = context.migration
    if migration.git_mode == GitMode.NONE:
        return None
    if migration.within_namespace:
        return _same_namespace(context)
    owner = migration.destination_owner
    if not owner or migration.source_owner.get("kind") != "Kustomization":
        return None
    moved = owners.check(context, owner)
    if moved is not None:
        return moved
    found = gitside.arrival(context, declarations.deployed, owner)
    context.memory["in_git"] = found.in_branch
    if not found.in_branch:
        if migration.git_mode == GitMode.MANUAL:
            return Wait(
                "Apply the Deploy change to Git (the patch is under Plan).", "migrations.edit", after_s=10
            )
        if not context.memory.get("deploy_commit"):
            pushed = gitside.push(context, declarations.deployment(migration))
            return Again(f"Pushed {pushed.commit[:12]} to {context.memory['deploy_branch']}.", after_s=0.5)
        if migration.git_mode == GitMode.DIRECT:
            return Wait(
                "Somebody took the Deploy change out of Git again. Put it back, or roll back.",
                "migrations.edit",
                after_s=10,
            )
        return Wait(f"Merge branch {context.memory['deploy_branch']}.", "migrations.edit", after_s=10)
    return flux.bring(context, owner, found, key="deploy")


def _same_namespace(context: Context) -> Outcome | None:
    """Within one namespace a person points the workload at the new claims; the owner then has to reconcile again."""
    migration = context.migration
    if not context.memory.get("go_by"):
        names = ", ".join(f"{t.source_name} → {t.destination_name}" for t in context.transfers)
        context.memory["in_git"] = True
        return Wait(
            f"Point the workload at the new claims in Git ({names}), push, then continue.",
            "migrations.edit",
            after_s=10,
        )
    owner = migration.source_owner
    if owner.get("kind") == "Kustomization" and suspension.rests(context, owner):
        # Resumed on an old artifact, Flux would start the application on the source again, and what it writes there would be missing.
        found = gitside.arrival(context, declarations.repointed, owner)
        if not found.in_branch:
            return Wait(
                "Git still points the workload at a source claim. Point it at the new one and push.",
                "migrations.edit",
                after_s=10,
            )
        if found.artifact != found.head:
            return flux.fetch(context, owner, found, key="deploy")
    return flux.resume_owner(context, owner)


def _runs(context: Context, awaited: list[Transfer]) -> tuple[bool, str]:
    """Whether each of these claims is mounted by a ready pod in the destination, and what is missing."""
    namespace = context.migration.destination_namespace
    pods = context.cluster.list_pods(namespace)
    for transfer in awaited:
        users = [pod for pod in pods if transfer.destination_name in pod.claims and not pod.finished]
        if not users:
            return False, f"Waiting for a pod in {namespace} that uses claim {transfer.destination_name}."
        if not any(pod.ready for pod in users):
            return False, f"Waiting for {users[0].name} to be ready."
    return True, ""


def _was_used(transfer: Transfer) -> bool:
    """Whether a workload that ran at inspect has a pod for the claim: one that a StatefulSet left when it became smaller has none."""
    name = transfer.source_name
    return any(
        w["kind"] in {"Deployment", "StatefulSet"} and w["replicas"] and _mounts(w, name)
        for w in transfer.facts.get("workloads", [])
    )


def _mounts(workload: dict[str, Any], claim_name: str) -> bool:
    # What an earlier version recorded does not tell the ordinals.
    return claim_name in (*workload["claims"], *workload.get("template_claims", [claim_name]))
