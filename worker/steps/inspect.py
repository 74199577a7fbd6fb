"""Inspect: reads everything that the plan rests on, in one look."""

from typing import Any

from cluster.base import Object
from cluster.client import Cluster
from migrations_app.models import Transfer
from migrations_app.problems import Problem
from worker import facts
from worker.context import Context
from worker.outcomes import Done, Outcome, Stop

# Whoever would undo or destroy what a migration does. An orphan of Flux has none any more.
_OWNERS = frozenset({"Kustomization", "HelmRelease", "Helm", "Application"})


def tick(context: Context) -> Outcome:
    migration = context.migration
    owners: list[dict[str, Any]] = []
    for transfer in context.transfers:
        claim = context.cluster.get_claim(migration.source_namespace, transfer.source_name)
        if claim is None:
            return Stop(_gone(migration.source_namespace, transfer.source_name))
        volume = context.cluster.get_volume(claim.volume_name) if claim.volume_name else None
        if volume is None:
            return Stop(_not_bound(migration.source_namespace, transfer.source_name, claim.phase))
        consumers = context.cluster.consumers_of(claim)
        owner = facts.owner_of(context.cluster, claim)
        owned: list[tuple[Object, dict[str, Any]]] = [(claim, owner)]
        owned += [(w, facts.workload_owner(context.cluster, w)) for w in facts.top_workloads(consumers)]
        owners += [each for _, each in owned]
        found = facts.claim_facts(claim, volume, consumers, owner)
        found["unsteered"] = _unsteered(context.cluster, owned)
        _save(transfer, found)
        context.evidence("facts", found, transfer)
    known = [owner for owner in owners if owner.get("kind") in _OWNERS]
    migration.source_owner = _with_parents(context, _one_owner(known))
    migration.destination_owner = _destination_owner(context)
    context.keep("source_owner", "destination_owner")
    number = len(context.transfers)
    return Done(
        f"Read {number} claims and what uses them." if number > 1 else "Read the claim and what uses it."
    )


def _unsteered(cluster: Cluster, owned: list[tuple[Object, dict[str, Any]]]) -> dict[str, list[str]]:
    """Who may apply these objects, of those with no owner that is known: seen in labels alone."""
    ownerless = [found for found, owner in owned if owner.get("kind") not in _OWNERS]
    return {
        "elsewhere": sorted({name for one in ownerless if (name := facts.elsewhere(cluster, one))}),
        "argo_instance": sorted({name for one in ownerless if (name := facts.argo_instance(cluster, one))}),
    }


def _save(transfer: Transfer, found: dict[str, Any]) -> None:
    claim, volume = found["claim"], found["volume"]
    transfer.source_uid = claim["uid"]
    transfer.source_volume = volume["name"]
    transfer.source_volume_uid = volume["uid"]
    transfer.source_reclaim_policy = volume["reclaim_policy"]
    transfer.source_class = claim["class"]
    transfer.source_bytes = max(claim["requested_bytes"], claim["capacity_bytes"])
    transfer.access_modes = claim["access_modes"]
    transfer.declared_in_git = found["owner"].get("kind") == "Kustomization"
    transfer.facts = found
    if not transfer.destination_class:
        transfer.destination_class = transfer.source_class
    if not transfer.destination_bytes:
        transfer.destination_bytes = transfer.source_bytes
    transfer.save()


def _one_owner(owners: list[dict[str, Any]]) -> dict[str, Any]:
    """The owner, with the others beside it: preflight says what more than one means."""
    unique = {(o["kind"], o["namespace"], o["name"]): o for o in owners}
    ordered = [unique[key] for key in sorted(unique)]
    kustomizations = [o for o in ordered if o["kind"] == "Kustomization"]
    first = (kustomizations or ordered or [{}])[0]
    return {**first, "others": [o for o in ordered if o is not first]} if first else {}


def _with_parents(context: Context, owner: dict[str, Any]) -> dict[str, Any]:
    """The owner with those that would lift its suspension. Once it is suspended by us that cannot be seen any more."""
    if owner.get("kind") not in {"Kustomization", "HelmRelease"}:
        return owner
    return {**owner, "parents": facts.parents_of(context.cluster, owner)}


def _destination_owner(context: Context) -> dict[str, Any]:
    """The chosen Kustomization as it is now; its name alone when it is not there, which preflight says."""
    chosen = context.migration.destination_owner
    if not chosen:
        return {}
    found = context.cluster.get_kustomization(chosen["namespace"], chosen["name"])
    return (
        facts.kustomization_facts(found)
        if found
        else {"namespace": chosen["namespace"], "name": chosen["name"]}
    )


def _gone(namespace: str, name: str) -> Problem:
    return Problem(
        f"Claim {namespace}/{name} is not in the cluster.",
        "Nothing was changed.",
        "Go back to Source and choose claims that exist.",
        f"kubectl get pvc -n {namespace}",
        "claim-missing",
    )


def _not_bound(namespace: str, name: str, phase: str) -> Problem:
    return Problem(
        f"Claim {namespace}/{name} is not bound to a volume: its phase is {phase}.",
        "Nothing was changed.",
        "There is nothing to copy yet. Find out why it is not bound, or leave it out.",
        f"kubectl describe pvc -n {namespace} {name}",
        "claim-not-bound",
    )
