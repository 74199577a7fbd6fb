"""Takes an object out of Git: its document, and the entry of a file that becomes empty."""

from __future__ import annotations

from collections.abc import Sequence

from gitops import edit
from gitops.change import Change, Tree, resolve
from gitops.errors import Reason, Refusal, offering
from gitops.exempt import forget
from gitops.kustomization import Kustomization, load
from gitops.locate import Found, find, find_editable
from gitops.patches import add_patch, selector_at
from gitops.values import CLAIM, WORKLOADS, FluxPath, ObjectRef
from gitops.walk import Instance, Listing, Walker
from gitops.yamltext import Node, content_end, parse


def remove(tree: Tree, flux: FluxPath, ref: ObjectRef) -> Change:
    """Remove the declaration of ``ref``.

    The document goes; where it was the only one, the file and its entry in the kustomization go; where the file is
    shared with other kustomizations, a patch in this one's own kustomization deletes the object instead.
    Refuses where the result would not build, or is not certain.
    """
    found = find_editable(tree, flux, ref)
    trial = tree.fork()
    with offering(lambda: _instructions(found)):
        if found.declaration.owner_level == -1:
            _references(trial, found, list(found.walk.kustomizations.values()), flux)
            forget(trial, found)
            _take_out(trial, found.instance)
        else:
            _delete_by_patch(trial, flux, found)
        _check_gone(trial, flux, ref)
        _check_nothing_else(trial, flux, found)
        notes = mentions(trial, flux, found)
    change = trial.change(f"Remove {ref}", since=tree, notes=notes)
    tree.adopt(trial)
    return change


def _instructions(found: Found) -> str:
    """The lines to delete, for a person; of a file that others use the patch that deletes the object here alone."""
    instance = found.instance
    if found.declaration.owner_level != -1:
        return delete_patch(instance)
    doc = instance.file.documents[instance.document]
    start = instance.node.start if instance.item is not None else doc.start
    end = content_end(instance.node)
    first, last = (instance.file.text.count("\n", 0, place) + 1 for place in (start, end))
    return f"# {instance.path}: delete lines {first} to {last} ({found.declaration.ref})"


def _check_gone(tree: Tree, flux: FluxPath, ref: ObjectRef) -> None:
    try:
        find(tree, flux, ref)
    except Refusal as refusal:
        if refusal.reason not in (Reason.DECLARED_TWICE, Reason.MISSING):
            return
        raise
    raise Refusal(Reason.UNCERTAIN, f"After the edit {ref} would still be declared.")


def _check_nothing_else(tree: Tree, flux: FluxPath, found: Found) -> None:
    """Refuse where Flux would apply another file, or lose one: a directory that loses its kustomization is read whole."""
    before, after = found.walk, Walker(tree, frozenset({found.declaration.ref.kind})).run(flux)
    there = {path for path in before.files if tree.exists(path)}
    # Of a directory that has lost its kustomization file, that file is the reason for everything else.
    gone = sorted(path for path in before.kustomizations if not tree.exists(path))
    came = sorted({*after.files, *after.kustomizations} - {*before.files, *before.kustomizations})
    if came:
        what = f"Without {', '.join(gone)} Flux" if gone else "Flux"
        raise Refusal(
            Reason.EMPTY, f"{what} would apply what it does not apply now: {', '.join(came)}.", path=came[0],
            next_step="Delete these files first if nothing needs them. Or empty the list by hand and keep the kustomization "
            "file with one other field, so that it still builds:",
            by_hand=_KEPT,
        )  # fmt: skip
    lost = sorted(there - set(after.files))
    if lost:
        raise Refusal(
            Reason.UNCERTAIN, f"After the edit Flux would no longer apply {', '.join(lost)}.", path=lost[0]
        )


# What kustomize takes for a kustomization although it lists nothing, and what changes nothing.
_KEPT = "resources: []\ngeneratorOptions:\n  disableNameSuffixHash: false\n"


def _take_out(tree: Tree, instance: Instance) -> None:
    file = instance.file
    if instance.item is not None:
        items = file.documents[instance.document].node
        if items is not None and len(items.elements("items")) > 1:
            tree.write(
                file.path, edit.remove_item(file, instance.document, ("items",), instance.item).content
            )
            return
    if not edit.sole_document(file, instance.document):
        tree.write(file.path, edit.remove_document(file, instance.document).content)
        return
    tree.write(file.path, None)
    _remove_entry(tree, instance.listings)


def _remove_entry(tree: Tree, listings: list[Listing]) -> None:
    """Take the entry of a deleted file or directory out of the kustomization; empty ones above go as well."""
    listing = listings[0]
    if not listing.kustomization:
        return  # Flux lists what it finds; an entry exists nowhere
    level = load(tree, listing.kustomization)
    if _would_be_empty(level, listing):
        if len(listings) < 2:
            raise Refusal(
                Reason.EMPTY, f"{level.path} would have nothing left, and Flux cannot build an empty kustomization.",
                path=level.path, next_step="Remove the Flux Kustomization itself, or add another resource first.",
                by_hand=f"{listing.field}: []\n# and at least one other field, for example a namespace",
            )  # fmt: skip
        tree.write(level.path, None)
        _remove_entry(tree, listings[1:])
        return
    edited = edit.remove_item(level.file, 0, (listing.field,), listing.position)
    tree.write(level.path, edited.content)


def _would_be_empty(level: Kustomization, listing: Listing) -> bool:
    """Whether kustomize would call the file empty: nothing but its type and empty lists."""
    for key, value in level.root.pairs:
        if key.value in ("apiVersion", "kind", "metadata"):
            continue
        if key.value == listing.field and len(value.real.items) == 1:
            continue
        real = value.real
        if real.is_null or (real.kind in ("list", "map") and not real.items and not real.pairs):
            continue
        return False
    return True


def _delete_by_patch(tree: Tree, flux: FluxPath, found: Found) -> None:
    level = found.declaration.owner_level
    others = ", ".join(found.declaration.shared_with)
    if level is None or not found.instance.listings[level].kustomization:
        raise Refusal(
            Reason.SHARED, f"{found.instance.path} is also used by {others}; removing it would remove it there too.",
            path=found.instance.path,
            next_step="Give this cluster or namespace a kustomization of its own, with this patch in it:",
            by_hand=delete_patch(found.instance),
        )  # fmt: skip
    kustomization = load(tree, found.instance.listings[level].kustomization)
    _references(tree, found, _behind(found, kustomization.path), flux)
    _late_references(found, kustomization)
    add_patch(tree, kustomization, selector_at(found, kustomization.path), delete_patch(found.instance))


def delete_patch(instance: Instance) -> str:
    """A strategic merge patch that deletes the object."""
    return (
        f"$patch: delete\napiVersion: {instance.node.text('apiVersion')}\nkind: {instance.kind}\n"
        f"metadata:\n  name: {edit.written_scalar(instance.node.text('metadata', 'name'))}\n"
    )


# What else refers to the object


def _behind(found: Found, path: str) -> list[Kustomization]:
    """The kustomizations whose changes reach the object after those of ``path``: those above it, and their components."""
    order = list(found.instance.names)  # in the order in which they came to the object
    later = order[order.index(path) + 1 :]
    return [found.walk.kustomizations[each] for each in later if each in found.walk.kustomizations]


def _references(tree: Tree, found: Found, levels: Sequence[Kustomization], flux: FluxPath) -> None:
    """Refuse where a patch without a target, or a replacement, would find nothing and break the build."""
    for level in levels:
        for where, node in _strict_patches(tree, level):
            _refuse_patch(found, where, node)
        _late_references(found, level)
    for target, text in flux.patches:
        if not target:
            for _, node in parse("spec.patches", text.encode()).roots():
                _refuse_patch(found, "spec.patches of the Flux Kustomization", node)


def _refuse_patch(found: Found, where: str, node: Node) -> None:
    if node.kind == "map" and _names_it(found.instance, node.text("kind"), node.text("metadata", "name")):
        raise Refusal(
            Reason.REFERENCED, f"{where} patches {found.declaration.ref}; without it the build would fail.",
            path=where, next_step="Remove this patch, and its entry in the kustomization, first.",
        )  # fmt: skip


def _names_it(instance: Instance, kind: str, name: str) -> bool:
    written = instance.node.text("metadata", "name")
    names = {written, instance.name, *(name for _, name in instance.names.values())}
    return kind == instance.kind and name in names


def _late_references(found: Found, level: Kustomization) -> None:
    """Those of a kustomization that come behind its patches, also behind one that deletes the object."""
    for item in level.root.elements("patchesJson6902"):
        if _names_it(found.instance, item.text("target", "kind"), item.text("target", "name")):
            raise Refusal(
                Reason.REFERENCED, f"{level.path} patches {found.declaration.ref} (patchesJson6902).",
                path=level.path, next_step="Remove this patch first.",
            )  # fmt: skip
    for item in level.root.elements("replacements"):
        chosen = [item.at("source"), *(each.at("select") for each in item.elements("targets"))]
        for select in chosen:
            if select is not None and _names_it(found.instance, select.text("kind"), select.text("name")):
                raise Refusal(
                    Reason.REFERENCED, f"{level.path} has a replacement that needs {found.declaration.ref}.",
                    path=level.path, next_step="Remove this replacement first.",
                )  # fmt: skip


def _strict_patches(tree: Tree, level: Kustomization) -> list[tuple[str, Node]]:
    """Patch documents that must find their object: those without a target."""
    found: list[tuple[str, Node]] = []
    texts: list[tuple[str, str]] = []
    for item in level.root.elements("patches"):
        target = item.at("target")
        if target is None or target.is_null:
            texts.append((item.text("patch"), item.text("path")))
    for item in level.root.elements("patchesStrategicMerge"):
        value = item.real.value
        texts.append((value, "") if "\n" in value else ("", value))
    for text, path in texts:
        where = resolve(level.directory, path) if path else level.path
        content = tree.read(where) if path else text.encode()
        found += [(where, root) for _, root in parse(where, content).roots() if root.kind == "map"]
    return found


def mentions(tree: Tree, flux: FluxPath, found: Found) -> tuple[str, ...]:
    """Notes on workloads of the tree that still mount a removed claim.

    Refuses (REFERENCED) where kustomize gives the claim another name than is written: without the claim it would no
    longer give that name to the workload's reference either, and the workload would mount something else.
    """
    ref, written = found.declaration.ref, found.declaration.written_name
    if ref.kind != CLAIM:
        return ()
    notes = []
    for each in Walker(tree, WORKLOADS).run(flux).instances:
        names = {node.real.value for place, node in each.node.walk() if place[-1:] == ("claimName",)}
        if each.namespace != ref.namespace or each.deleted or not names & {ref.name, written}:
            continue
        who = f"{each.kind} {each.name} in {each.path}"
        if found.instance.built_name != written:
            raise Refusal(
                Reason.REFERENCED, f"{who} mounts {ref.name} under the written name {written}, which kustomize "
                "completes only while the claim is declared.", path=each.path,
                next_step="Remove this workload first, or in the same change.",
            )  # fmt: skip
        notes.append(f"{who} still mounts the claim {ref.name}.")
    return tuple(dict.fromkeys(notes))
