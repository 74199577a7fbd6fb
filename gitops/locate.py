"""Finds the document that declares an object, or says why it cannot be found with certainty."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

from gitops.change import Tree
from gitops.errors import Reason, Refusal
from gitops.sharing import Users
from gitops.values import Declaration, FluxPath, ObjectRef
from gitops.walk import Instance, Walk, Walker, normal


@dataclass
class Found:
    """A declaration together with the instance and the walk that it was read from."""

    declaration: Declaration
    instance: Instance
    walk: Walk


def locate(tree: Tree, flux: FluxPath, ref: ObjectRef, known: Container[str] = ()) -> Declaration:
    """The one document under a Flux path that declares ``ref``. Refuses with the reason where there is not one.

    ``known`` are those of `blind_spots` that do not declare it for certain: they are no reason to doubt that nothing does.
    """
    return find(tree, flux, ref, known).declaration


def blind_spots(tree: Tree, flux: FluxPath, kinds: Iterable[str]) -> list[str]:
    """The places under a Flux path that may declare objects of the kinds and cannot be read.

    Where such a tree builds and declares an object elsewhere, none of these declares it: kustomize refuses two of a name.
    """
    walk = Walker(tree, frozenset(kinds)).run(flux)
    spots = {_spot(each) for each in walk.blind} | {
        _spot_of_name(each) for each in walk.instances if _open(each)
    }
    return sorted(spots)


def _spot(refusal: Refusal) -> str:
    """A blind spot by its place; of a remote base without its version, which others move on."""
    return _storable(f"{refusal.path}: {re.sub(r'[?]ref=[^ ]*', '', refusal.what)}")


def _spot_of_name(instance: Instance) -> str:
    return _storable(f"{instance.path}: {instance.kind} {instance.namespace}/{instance.name}")


def _storable(text: str) -> str:
    """Without NUL, which a quoted value may have and no database keeps."""
    return text.replace("\x00", "")


def _open(instance: Instance) -> bool:
    """Whether the object's name holds variables that are not known."""
    return "${" in instance.name or "${" in instance.namespace


def declared(tree: Tree, flux: FluxPath, kinds: Iterable[str]) -> list[ObjectRef]:
    """Live names of all objects of the kinds that can be seen under a Flux path."""
    walk = Walker(tree, frozenset(kinds)).run(flux)
    return [ObjectRef(each.kind, each.namespace, each.name) for each in walk.instances if not each.deleted]


def find(tree: Tree, flux: FluxPath, ref: ObjectRef, known: Container[str] = ()) -> Found:
    """As `locate`, with what was read on the way."""
    walk = Walker(tree, frozenset({ref.kind})).run(flux)
    matching = [each for each in walk.instances if (each.name, each.namespace) == (ref.name, ref.namespace)]
    alive = [each for each in matching if not each.deleted]
    if not alive:
        raise _absent(ref, flux, walk, matching, known)
    if len(alive) > 1:
        places = ", ".join(f"{each.path} (document {each.document + 1})" for each in alive)
        raise Refusal(
            Reason.DECLARED_TWICE, f"{ref} is declared {len(alive)} times: {places}.", path=alive[0].path,
            next_step="Leave one declaration, so that it is clear which one is meant.",
        )  # fmt: skip
    instance = alive[0]
    if instance.doubts:
        raise instance.doubts[0]
    return Found(_declaration(tree, flux, ref, instance, walk), instance, walk)


def claim_names(tree: Tree, flux: FluxPath, ref: ObjectRef) -> set[str]:
    """The names of claims that the declaration of a workload mounts, as they are written there."""
    node = find(tree, flux, ref).instance.node
    return {
        str(each.real.value)
        for place, each in node.walk()
        if place[-2:] == ("persistentVolumeClaim", "claimName")
    }


def find_editable(tree: Tree, flux: FluxPath, ref: ObjectRef) -> Found:
    """As `find`, and refuses a document that must not be edited (encrypted)."""
    found = find(tree, flux, ref)
    if found.instance.encrypted:
        raise Refusal(
            Reason.ENCRYPTED, f"{found.instance.path} is encrypted with SOPS: an edit would break its seal.",
            path=found.instance.path, next_step=f"Edit it with: sops edit {found.instance.path}",
        )  # fmt: skip
    return found


def _absent(
    ref: ObjectRef, flux: FluxPath, walk: Walk, matching: list[Instance], known: Container[str]
) -> Refusal:
    """The most telling reason why an object was not found."""
    directory = normal(flux.path) or "the root"
    if matching:
        return Refusal(
            Reason.NOT_FOUND,
            f"{ref} is declared in {matching[0].path}, but a patch deletes it.",
            path=matching[0].path,
        )
    for each in walk.instances:
        if _open(each) and _may_be(each, ref) and _spot_of_name(each) not in known:
            return _templated(ref, flux, each)
    blind = [each for each in walk.blind if _spot(each) not in known]
    if blind:
        first = blind[0]
        return Refusal(
            first.reason, f"No file under {directory} declares {ref}, but {first.what}", path=first.path,
            next_step="It may be declared there; edit it where it comes from.",
        )  # fmt: skip
    return _not_found(ref, directory, walk)


def _may_be(each: Instance, ref: ObjectRef) -> bool:
    """Whether variables could give an object this name and namespace: what stands around them must be the same."""
    return _may_read(each.name, ref.name) and _may_read(each.namespace, ref.namespace)


def _may_read(written: str, text: str) -> bool:
    before, variable, rest = written.partition("${")
    if not variable:
        return written == text
    after = rest.rpartition("}")[2]
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)


def _templated(ref: ObjectRef, flux: FluxPath, each: Instance) -> Refusal:
    """The variables of a name are not all known: where they come from decides what a person can do."""
    what = f"{each.path} declares a {ref.kind} whose name {each.namespace}/{each.name} holds variables"
    if not flux.substitute_from:
        return Refusal(
            Reason.TEMPLATED, f"{what}.", path=each.path,
            next_step="Give the variables of spec.postBuild (--set NAME=VALUE).",
        )  # fmt: skip
    return Refusal(
        Reason.TEMPLATED,
        f"{what} that {', '.join(flux.substitute_from)} may give (spec.postBuild.substituteFrom), which are not read.",
        path=each.path,
        next_step="State the variables in spec.postBuild.substitute, which win over these, or make the change by hand "
        "(python -m gitops ... --set NAME=VALUE).",
    )


def _not_found(ref: ObjectRef, directory: str, walk: Walk) -> Refusal:
    for each in walk.instances:
        if each.name == ref.name:
            where = f"namespace {each.namespace}" if each.namespace else "no namespace at all"
            hint = "" if each.namespace else "Give the namespace that Flux sets (--target-namespace)."
            return Refusal(
                Reason.NOT_FOUND, f"No file under {directory} declares {ref}; {each.path} declares one of that "
                f"name with {where}.", path=each.path, next_step=hint,
            )  # fmt: skip
    return Refusal(
        Reason.NOT_FOUND, f"No file under {directory} declares {ref}.",
        next_step="Check the path, and whether a StatefulSet, an operator or a Helm release makes it.",
    )  # fmt: skip


def _declaration(tree: Tree, flux: FluxPath, ref: ObjectRef, instance: Instance, walk: Walk) -> Declaration:
    chain = tuple(listing.kustomization for listing in instance.listings)
    users = Users(tree, flux)
    owner, shared = users.owner_level(instance, walk)
    doc = instance.file.documents[instance.document]
    return Declaration(
        ref=ref,
        path=instance.path,
        document=instance.document,
        start=instance.file.byte_offset(doc.start),
        end=instance.file.byte_offset(doc.end),
        item=instance.item,
        written_name=instance.node.text("metadata", "name"),
        written_namespace=instance.node.text("metadata", "namespace"),
        chain=chain,
        shared_with=shared,
        owner_level=owner,
        annotations=dict(instance.annotations),
        labels=dict(instance.labels),
        stamps=tuple(instance.stamps),
    )
