"""Whether the sources are whole: what goes back to them, or gives a copy away, asks first."""

from collections.abc import Iterator, Mapping
from typing import Any

from cluster.flux import Kustomization
from gitops.change import Tree
from gitops.errors import Refusal
from gitops.values import CLAIM, ObjectRef
from migrations_app.models import GitMode, Migration, Transfer
from migrations_app.problems import Problem
from worker import declarations, flux, gitside, suspension
from worker.context import Context
from worker.outcomes import Outcome, Stop
from worker.workload_list import all_workloads


def intact(context: Context, transfer: Transfer) -> bool:
    """The volume that was inspected is there, bound to a claim of the source's name, and neither is on its way out."""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
    volume = context.cluster.get_volume(transfer.source_volume) if transfer.source_volume else None
    if claim is None or volume is None or claim.deleting or volume.deleting:
        return False
    held = volume.claim_ref
    together = held is not None and held.uid == claim.uid and claim.volume_name == volume.name
    return together and volume.uid == transfer.source_volume_uid and claim.phase == "Bound"


def lost(context: Context) -> list[Transfer]:
    """The transfers whose source is not whole."""
    return [transfer for transfer in context.transfers if not intact(context, transfer)]


def kept_volume(context: Context, transfer: Transfer) -> str:
    """The name of a source volume that outlived its claim; empty where there is none."""
    volume = context.cluster.get_volume(transfer.source_volume) if transfer.source_volume else None
    same = volume is not None and volume.uid == transfer.source_volume_uid and not volume.deleting
    return transfer.source_volume if same else ""


def undeclared(context: Context) -> Outcome | None:
    """None when Flux may be let go: all that it holds of the source is declared in Git, in the branch and in what Flux has fetched.

    Whatever is not would be pruned as soon as its Kustomization is resumed, the source claims with it.
    """
    migration, owner = context.migration, context.migration.source_owner
    if migration.git_mode == GitMode.NONE or owner.get("kind") != "Kustomization":
        return None
    kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    if kustomization is None or not suspension.rests(context, owner):
        return None
    path = declarations.flux_path(owner)
    missing: list[ObjectRef] = []

    def all_declared(tree: Tree, _: Migration) -> bool:
        missing[:] = [
            ref for ref in _held(context, kustomization) if not declarations.declared(tree, path, ref)
        ]
        return not missing

    try:
        found = gitside.arrival(context, all_declared, owner)
    except Refusal as refusal:
        return Stop(_cannot_tell(owner, refusal))
    if found.in_branch and found.in_artifact:
        return None
    if found.in_branch:
        return flux.fetch(context, owner, found, key="rollback-source")
    names = ", ".join(f"{ref.kind} {ref.name}" for ref in missing)
    return Stop(
        Problem(
            f"Git does not declare {names} in {migration.source_namespace} any more: resumed, Flux would delete it.",
            f"Kustomization {owner['namespace']}/{owner['name']} stays suspended. Nothing of the source was deleted, and the copy is there.",
            "Put it back in Git, then retry.",
            f"flux get kustomization -n {owner['namespace']} {owner['name']}",
            "source-undeclared",
        )
    )


def _cannot_tell(owner: Mapping[str, Any], refusal: Refusal) -> Problem:
    """Where Git cannot be read with certainty, a person looks, and lets Flux go."""
    return Problem(
        f"Whether Git still declares the source cannot be told: {refusal.what}",
        f"Kustomization {owner['namespace']}/{owner['name']} stays suspended: resumed, Flux would delete what Git does not declare. The copy is there.",
        "Look whether Git declares the claims and workloads of the source. When it does, resume the Kustomization yourself, then retry.",
        f"flux resume kustomization -n {owner['namespace']} {owner['name']}",
        "source-unclear",
    )


def _held(context: Context, kustomization: Kustomization) -> Iterator[ObjectRef]:
    """Claims and workloads of the source that the Kustomization answers for."""
    namespace = context.migration.source_namespace
    wanted = [(CLAIM, t.source_name) for t in context.transfers]
    wanted += [(w["kind"], w["name"]) for w in all_workloads(context.transfers)]
    for kind, name in wanted:
        if kustomization.holds(kind, namespace, name, None):
            yield ObjectRef(kind, namespace, name)
