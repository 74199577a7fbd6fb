"""What Git declares of an application, and the changes that a migration makes to it. Each is a function over a tree.

Whether a change has arrived is asked of the tree itself (is the claim declared there now?), not of a commit's name:
a squash, a rebase, or a person's own commit that says the same is as good.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.flux import flux_protected
from gitops import locate as locating
from gitops.change import Change, Tree
from gitops.errors import Reason, Refusal
from gitops.exempt import exempt
from gitops.relocate import Copy, copy_to
from gitops.remove import remove
from gitops.values import CLAIM, WORKLOADS, FluxPath, ObjectRef
from migrations_app.models import Migration
from worker.quantities import quantity
from worker.workload_list import all_workloads


@dataclass(frozen=True)
class GitChange:
    """One change that a migration pushes: `key` names its commit and its branch, `arrived` tells it by the content."""

    key: str
    summary: str
    make: Callable[[Tree], Change]
    arrived: Callable[[Tree, Migration], bool]


def source_objects(migration: Migration) -> list[ObjectRef]:
    """What Git declares of the application in the source: workloads first, so that nothing mounts what is removed."""
    return source_workloads(migration) + source_claims(migration)


def source_workloads(migration: Migration) -> list[ObjectRef]:
    """What runs in the source and goes. Within one namespace it stays: it is the destination's by then."""
    if migration.within_namespace:
        return []
    namespace = migration.source_namespace
    return [ObjectRef(w["kind"], namespace, w["name"]) for w in all_workloads(migration.transfers.all())]


def source_claims(migration: Migration) -> list[ObjectRef]:
    """The source claims that Git declares."""
    rows = migration.transfers.filter(declared_in_git=True)
    return [ObjectRef.claim(migration.source_namespace, t.source_name) for t in rows]


def destination_objects(migration: Migration) -> list[ObjectRef]:
    """The same objects where they go, claims under their new names."""
    names = _renamed(migration)
    return [
        ObjectRef(
            ref.kind,
            migration.destination_namespace,
            names.get(ref.name, ref.name) if ref.kind == CLAIM else ref.name,
        )
        for ref in source_objects(migration)
    ]


def _renamed(migration: Migration) -> dict[str, str]:
    return {t.source_name: t.destination_name for t in migration.transfers.all()}


def flux_path(facts: dict[str, Any]) -> FluxPath:
    """The directory that a Kustomization applies, with every option that changes names, from the facts of inspect."""
    return FluxPath(
        facts["path"].removeprefix("./").strip("/"),
        target_namespace=facts.get("target_namespace", ""),
        name_prefix=facts.get("name_prefix", ""),
        name_suffix=facts.get("name_suffix", ""),
        substitute=facts.get("substitute", {}),
        substitute_from=tuple(facts.get("substitute_from", ())),
        components=tuple(facts.get("components", ())),
        patches=tuple((target, patch) for target, patch in facts.get("patches", ())),
        common_annotations=facts.get("common_annotations", {}),
        common_labels=facts.get("common_labels", {}),
        source=facts.get("source_name", ""),
    )


def deployment(migration: Migration) -> GitChange:
    """Claims and workloads, copied to the destination's path."""
    summary = f"Run {migration.application} in {migration.destination_namespace}"
    source, destination = flux_path(migration.source_owner), flux_path(migration.destination_owner)

    def make(tree: Tree) -> Change:
        options = Copy(rename=_renamed(migration), storage_class=_classes(migration), size=_sizes(migration))
        refs = source_objects(migration)
        copied = copy_to(tree, source, refs, destination, migration.destination_namespace, options)
        return tree.change(summary, notes=copied.notes)

    return GitChange("deploy", summary, make, deployed)


def _classes(migration: Migration) -> dict[str, str]:
    """Only what differs: what is the same stays as it was written."""
    rows = migration.transfers.filter(declared_in_git=True)
    return {t.source_name: t.destination_class for t in rows if t.destination_class != t.source_class}


def _sizes(migration: Migration) -> dict[str, str]:
    rows = migration.transfers.filter(declared_in_git=True)
    return {
        t.source_name: quantity(t.destination_bytes)
        for t in rows
        if t.destination_bytes != t.facts["claim"]["requested_bytes"]
    }


def removal(migration: Migration) -> GitChange:
    """The application's objects leave the source's path."""
    source = flux_path(migration.source_owner)
    summary = f"Remove {migration.application} from {migration.source_namespace}"

    def make(tree: Tree) -> Change:
        before, known = tree.fork(), _known(migration, SOURCE)
        for ref in source_objects(migration):
            if declared(tree, source, ref, known):
                remove(tree, source, ref)
        removed(tree, migration)  # what could never be seen to have arrived is refused before it is pushed
        return tree.change(summary, since=before)

    return GitChange("release", summary, make, removed)


def exemption(migration: Migration) -> GitChange:
    """The workloads leave the source's path, its claims stay and may be pruned from then on."""
    source = flux_path(migration.source_owner)
    summary = f"Let Flux prune the claims of {migration.application} in {migration.source_namespace}"

    def make(tree: Tree) -> Change:
        before, known = tree.fork(), _known(migration, SOURCE)
        for ref in source_workloads(migration):
            if declared(tree, source, ref, known):
                remove(tree, source, ref)
        for ref in source_claims(migration):
            exempt(tree, source, ref)
        return tree.change(summary, since=before)

    return GitChange("exempt", summary, make, exempted)


SOURCE, DESTINATION = "source", "destination"


def blind_spots(tree: Tree, migration: Migration) -> dict[str, list[str]]:
    """What cannot be read below the paths of the source and of the destination, for the plan: it was there before any change.

    Later it is no reason to doubt that what was declared beside it is gone: its removal could never be seen otherwise.
    """
    found = {}
    for side, owner in ((SOURCE, migration.source_owner), (DESTINATION, migration.destination_owner)):
        if owner.get("path"):
            try:
                found[side] = locating.blind_spots(tree, flux_path(owner), {CLAIM, *WORKLOADS})
            except Refusal:
                continue  # nothing is known then, and every doubt is one
    return found


def _known(migration: Migration, side: str) -> frozenset[str]:
    return frozenset(migration.plan.get("git_blind", {}).get(side, ()))


def declared(tree: Tree, flux: FluxPath, ref: ObjectRef, known: frozenset[str] = frozenset()) -> bool:
    """Whether the tree declares the object. Any doubt is raised, never taken for a no, but those that are `known`."""
    try:
        locating.locate(tree, flux, ref, known)
    except Refusal as refusal:
        if refusal.reason is Reason.NOT_FOUND:
            return False
        raise
    return True


def deployed(tree: Tree, migration: Migration) -> bool:
    """The destination's path declares everything that it should."""
    flux = flux_path(migration.destination_owner)
    return all(declared(tree, flux, ref) for ref in destination_objects(migration))


def repointed(tree: Tree, migration: Migration) -> bool:
    """Within one namespace: no workload that Git declares mounts a source claim by its name any more."""
    flux = flux_path(migration.source_owner)
    old = {t.source_name for t in migration.transfers.all() if t.destination_name != t.source_name}
    return not any(
        old & locating.claim_names(tree, flux, ref)
        for w in all_workloads(migration.transfers.all())
        if declared(tree, flux, ref := ObjectRef(w["kind"], migration.source_namespace, w["name"]))
    )


def removed(tree: Tree, migration: Migration) -> bool:
    """The source's path declares nothing of it any more."""
    flux = flux_path(migration.source_owner)
    known = _known(migration, SOURCE)
    return not any(declared(tree, flux, ref, known) for ref in source_objects(migration))


def exempted(tree: Tree, migration: Migration) -> bool:
    """Of the source's objects only claims are declared, and none of them with a mark that keeps Flux from pruning it."""
    flux = flux_path(migration.source_owner)
    known = _known(migration, SOURCE)
    if any(declared(tree, flux, ref, known) for ref in source_workloads(migration)):
        return False
    return not any(_marked(tree, flux, ref, known) for ref in source_claims(migration))


def _marked(tree: Tree, flux: FluxPath, ref: ObjectRef, known: frozenset[str]) -> bool:
    if not declared(tree, flux, ref, known):
        return False
    found = locating.locate(tree, flux, ref)
    return flux_protected(found.labels, found.annotations) is not None


def undeployment(migration: Migration) -> GitChange:
    """What Deploy added leaves the destination's path again."""
    summary = f"Take {migration.application} out of {migration.destination_namespace} again"
    destination = flux_path(migration.destination_owner)

    def make(tree: Tree) -> Change:
        known = _known(migration, DESTINATION)
        for ref in destination_objects(migration):
            if declared(tree, destination, ref, known):
                remove(tree, destination, ref)
        undeployed(tree, migration)  # as for `removal`
        return tree.change(summary)

    return GitChange("rollback", summary, make, undeployed)


def undeployed(tree: Tree, migration: Migration) -> bool:
    """The destination's path declares nothing of it."""
    flux = flux_path(migration.destination_owner)
    known = _known(migration, DESTINATION)
    return not any(declared(tree, flux, ref, known) for ref in destination_objects(migration))
