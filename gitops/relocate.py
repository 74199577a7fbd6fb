"""Copies declared objects to another directory and namespace: text as written, with the names that must change."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitops import edit
from gitops.add import default_file_name, put_file
from gitops.change import Change, Tree, resolve
from gitops.errors import Reason, Refusal
from gitops.exempt import PROTECTED, set_prune
from gitops.fit import Naming, naming
from gitops.locate import Found, find, find_editable
from gitops.transform import COMMON_FIELDS
from gitops.values import CLAIM, FluxPath, ObjectRef
from gitops.walk import Instance, Listing, Walker, normal
from gitops.yamltext import Node, Path, YamlFile, parse

# Fields of a claim that bind it to its present volume or to what it was once filled from.
_BOUND_FIELDS: tuple[Path, ...] = (("spec", "volumeName"), ("spec", "dataSource"), ("spec", "dataSourceRef"))
_REFERENCES = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
    "imagePullSecrets": "Secret",
}


@dataclass(frozen=True)
class Copy:
    """What changes on the way. All maps are by the live name of the source's claim.

    ``rename``: new claim names. ``storage_class``, ``size``: what the destination's claims have instead.
    ``replicas``: for every workload that states them. ``protect``: destination claims get the prune annotation.
    ``allow_transformed``: copy workloads although the source's kustomization changes them further (images, patches).
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    storage_class: Mapping[str, str] = field(default_factory=dict)
    size: Mapping[str, str] = field(default_factory=dict)
    replicas: int | None = None
    protect: bool = True
    allow_transformed: bool = False


def copy_to(
    tree: Tree,
    source: FluxPath,
    refs: Sequence[ObjectRef],
    destination: FluxPath,
    namespace: str,
    options: Copy | None = None,
    *,
    directory: str | None = None,
) -> Change:
    """Declare copies of ``refs`` (live names under ``source``) in ``namespace`` under ``destination``.

    ``directory`` (default: the destination's path) receives one file an object, and its kustomization the entries.
    The source stays as it is. Notes name what the copies refer to that is not copied.
    """
    chosen = options or Copy()
    place = resolve("", directory) if directory is not None else normal(destination.path)
    trial = tree.fork()
    names = naming(trial, destination, place)
    if names.namespace not in ("", namespace):
        raise Refusal(
            Reason.NAMESPACE,
            f"{place} puts everything into namespace {names.namespace}, not {namespace}.",
            path=place,
        )
    notes: list[str] = []
    for ref in refs:
        found = find_editable(tree, source, ref)
        copied = _copied(tree, source, found, names, namespace, chosen)
        made = ObjectRef(ref.kind, namespace, _new_name(ref, chosen))
        placed = _place(trial, destination, place, copied, made, chosen)
        notes += _unchanged_or_refused(found, placed, chosen)
        notes += _references(copied, refs)
    summary = f"Copy {', '.join(str(ref) for ref in refs)} to namespace {namespace}"
    change = trial.change(summary, since=tree, notes=tuple(dict.fromkeys(notes)))
    tree.adopt(trial)
    return change


def _place(
    trial: Tree, destination: FluxPath, place: str, copied: YamlFile, ref: ObjectRef, options: Copy
) -> Found:
    _not_there_yet(trial, destination, ref)
    path = posixpath.join(place, default_file_name(ref))
    if trial.exists(path):
        raise Refusal(Reason.EXISTS, f"{path} exists already.", path=path)
    put_file(trial, destination, place, path, copied.text)
    placed = find(trial, destination, ref)
    if ref.kind == CLAIM and options.protect:
        set_prune(trial, destination, ref, PROTECTED, "")
    return placed


def _not_there_yet(tree: Tree, flux: FluxPath, ref: ObjectRef) -> None:
    try:
        existing = find(tree, flux, ref)
    except Refusal as refusal:
        if refusal.reason == Reason.DECLARED_TWICE:
            raise
        return
    raise Refusal(
        Reason.EXISTS, f"{existing.instance.path} declares {ref} already.", path=existing.instance.path
    )


def _new_name(ref: ObjectRef, options: Copy) -> str:
    return options.rename.get(ref.name, ref.name) if ref.kind == CLAIM else ref.name


def _unchanged_or_refused(found: Found, placed: Found, options: Copy) -> list[str]:
    """A copy carries the text alone: what the source's kustomization adds to it, and the destination's does not, is lost."""
    again = {what for _, what in placed.instance.touched if what.split()[0] in COMMON_FIELDS}
    lost = [(file, what) for file, what in found.instance.touched if what not in again]
    touched = sorted({f"{what} in {file}" if file else what for file, what in lost})
    if not touched:
        return []
    changed = f"{found.declaration.ref} is changed further by: {', '.join(touched)}"
    if options.allow_transformed:
        return [f"{changed}. The copy does not have these changes."]
    raise Refusal(
        Reason.TRANSFORMED, f"{changed}. A copy of its text would not be the same workload.", path=found.instance.path,
        next_step="Move these changes to the destination by hand, or accept that the copy lacks them.",
    )  # fmt: skip


def _copied(
    tree: Tree, source: FluxPath, found: Found, names: Naming, namespace: str, options: Copy
) -> YamlFile:
    ref = found.declaration.ref
    file = _extracted(found)
    wanted = names.written(_new_name(ref, options))
    if found.declaration.written_name != wanted:
        file = edit.set_scalar(file, 0, ("metadata", "name"), wanted)
    if found.declaration.written_namespace or not names.namespace:
        file = edit.set_entry(file, 0, ("metadata", "namespace"), namespace)
    if ref.kind == CLAIM:
        return _claim(file, ref, options)
    file = _claim_names(tree, source, file, names, found.instance, options)
    root = file.documents[0].node
    if options.replicas is not None and root is not None and root.at("spec", "replicas") is not None:
        file = edit.set_scalar(file, 0, ("spec", "replicas"), str(options.replicas), number=True)
    return file


def _extracted(found: Found) -> YamlFile:
    """The document alone, as a file of its own."""
    instance = found.instance
    if instance.item is not None or instance.path.endswith(".json"):
        raise Refusal(
            Reason.UNCERTAIN, f"{instance.path} states {found.declaration.ref} inside of a List or as JSON.",
            path=instance.path, next_step="Copy it by hand.",
        )  # fmt: skip
    start, end = edit.document_span(instance.file, instance.document)
    text = instance.file.text[start:end]
    if text.startswith("---"):
        text = text[3:].lstrip(" \t")
        text = text.removeprefix("\r\n").removeprefix("\n")
    return parse(instance.path, (text.rstrip("\r\n") + instance.file.newline).encode())


def _claim(file: YamlFile, ref: ObjectRef, options: Copy) -> YamlFile:
    for path in _BOUND_FIELDS:
        root = file.documents[0].node
        if root is not None and root.at(*path) is not None:
            file = edit.remove_entry(file, 0, path)
    if ref.name in options.storage_class:
        file = edit.set_entry(file, 0, ("spec", "storageClassName"), options.storage_class[ref.name])
    if ref.name in options.size:
        file = edit.set_entry(file, 0, ("spec", "resources", "requests", "storage"), options.size[ref.name])
    return file


def _claim_names(
    tree: Tree, source: FluxPath, file: YamlFile, names: Naming, workload: Instance, options: Copy
) -> YamlFile:
    """Every ``claimName`` with the name that the destination gives its claim."""
    walk = Walker(tree, frozenset({CLAIM})).run(source)
    claims = [each for each in walk.instances if each.namespace == workload.namespace and not each.deleted]
    copied = set(options.rename) | {each.name for each in claims}
    places = [
        (path, node.real.value)
        for path, node in (file.documents[0].node or Node("map", 0, 0, 0)).walk()
        if path[-2:] == ("persistentVolumeClaim", "claimName")
    ]
    for path, written in places:
        name = _live_name(written, claims, workload)
        wanted = names.written(options.rename.get(name, name)) if name in copied else written
        if wanted != written:
            file = edit.set_scalar(file, 0, path, wanted)
    return file


def _live_name(written: str, claims: Sequence[Instance], workload: Instance) -> str:
    """The claim that kustomize makes of a ``claimName``: the one that meets the workload in the lowest kustomization.

    A base may be used several times, each time with another prefix: its workloads mount the claims of their own use.
    """
    meeting = [
        (_shared(each.listings, workload.listings), each.name) for each in claims if written in _names(each)
    ]
    nearest = max((height for height, _ in meeting), default=0)
    live = sorted({name for height, name in meeting if height == nearest})
    if len(live) > 1:
        raise Refusal(
            Reason.TRANSFORMED, f"{workload.path} mounts {written}, which is written of several claims: {', '.join(live)}.",
            path=workload.path, next_step="Give these claims different names in Git, or copy the workload by hand.",
        )  # fmt: skip
    return live[0] if live else written


def _names(claim: Instance) -> set[str]:
    """As written, and what each kustomization on the way made of it."""
    return {claim.node.text("metadata", "name"), *(name for _, name in claim.names.values())}


def _shared(one: Sequence[Listing], other: Sequence[Listing]) -> int:
    """How many entries, from the top down, two objects have come by together."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _references(file: YamlFile, refs: Sequence[ObjectRef]) -> list[str]:
    """Notes on objects that a workload needs in its namespace and that are not copied with it."""
    root = file.documents[0].node
    if root is None or root.text("kind") == CLAIM:
        return []
    who = f"{root.text('kind')} {root.text('metadata', 'name')}"
    copied = {(ref.kind, ref.name) for ref in refs}
    needed: set[tuple[str, str]] = set()
    for path, node in root.walk():
        needed |= _needed(path, node)
    if root.elements("spec", "volumeClaimTemplates"):
        return [f"{who} makes claims from its own templates; their names follow from its name."]
    return [f"{who} refers to {kind} {name}, which is not copied." for kind, name in sorted(needed - copied)]


def _needed(path: Path, node: Node) -> set[tuple[str, str]]:
    if len(path) >= 2 and path[-1] in ("name", "secretName"):
        owner = next((step for step in reversed(path[:-1]) if isinstance(step, str)), "")
        if owner in _REFERENCES and node.real.kind == "scalar":
            return {(_REFERENCES[owner], node.real.value)}
    if path[-1:] == ("serviceAccountName",) and node.real.value not in ("", "default"):
        return {("ServiceAccount", node.real.value)}
    return set()
