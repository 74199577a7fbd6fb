"""Sets the prune annotation of one claim: to exempt it from protection, or to protect it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from gitops import edit
from gitops.change import Change, Tree
from gitops.errors import Reason, Refusal, offering
from gitops.kustomization import Kustomization, load
from gitops.locate import Found, find, find_editable
from gitops.patches import add_entry, add_patch, selector_at
from gitops.values import PRUNE_KEY, RECONCILE_KEY, SSA_KEY, Declaration, FluxPath, ObjectRef, Stamp
from gitops.walk import Instance
from gitops.yamltext import Path, parse

EXEMPT = "enabled"
PROTECTED = "disabled"


def exempt(tree: Tree, flux: FluxPath, ref: ObjectRef, value: str = EXEMPT) -> Change:
    """Make Flux prune ``ref`` when it leaves Git: every prune annotation and label gets ``value``.

    In the document where nothing above sets it again; otherwise by a patch that runs after the last place which does.
    """
    if value.lower() == PROTECTED:
        raise Refusal(Reason.UNCERTAIN, f"{value} protects; exempting takes another value.")
    return set_prune(tree, flux, ref, value, f"Exempt {ref} from prune protection")


def set_prune(tree: Tree, flux: FluxPath, ref: ObjectRef, value: str, summary: str) -> Change:
    """Give every prune annotation and label of one object a value; an annotation is added where there is none."""
    found = find_editable(tree, flux, ref)
    _not_ignored(found)
    trial = tree.fork()
    with offering(lambda: value_patch(found.instance, "annotations", value)):
        _set_all(trial, flux, ref, value)
        check_prune(trial, flux, ref, wanted=value.lower() == PROTECTED)
    change = trial.change(summary, since=tree)
    tree.adopt(trial)
    return change


def _set_all(trial: Tree, flux: FluxPath, ref: ObjectRef, value: str) -> None:
    found = find_editable(trial, flux, ref)
    wanted = value.lower() == PROTECTED
    for where in ("annotations", "labels"):
        current = _current(found, where)
        present = PRUNE_KEY in current
        if not present and (where == "labels" or not wanted):
            continue
        if present and (current[PRUNE_KEY].lower() == PROTECTED) is wanted:
            continue
        _set_where(trial, found, where, value)
        found = find_editable(trial, flux, ref)


def _current(found: Found, where: str) -> Mapping[str, str]:
    return found.declaration.annotations if where == "annotations" else found.declaration.labels


def _not_ignored(found: Found) -> None:
    """Flux does not apply an object that is ignored: the annotation would never reach the cluster. Of a variable nobody can tell."""
    for present in (found.declaration.annotations, found.declaration.labels):
        if "${" in present.get(PRUNE_KEY, ""):
            raise Refusal(
                Reason.TEMPLATED, f"{found.declaration.ref} has {PRUNE_KEY}: {present[PRUNE_KEY]}, which a variable fills in.",
                path=found.instance.path, next_step="State the value itself first.",
            )  # fmt: skip
        for key, value in ((RECONCILE_KEY, "disabled"), (SSA_KEY, "ignore"), (SSA_KEY, "ifnotpresent")):
            if present.get(key, "").lower() == value:
                raise Refusal(
                    Reason.TRANSFORMED, f"{found.declaration.ref} has {key}: {present[key]}, so Flux does not apply "
                    "changes of its annotations.", path=found.instance.path,
                    next_step="Remove this key first and let Flux reconcile.",
                )  # fmt: skip


def check_prune(tree: Tree, flux: FluxPath, ref: ObjectRef, *, wanted: bool) -> None:
    """Refuse where a tree does not protect (or exempt) the object as was meant."""
    declaration = find(tree, flux, ref).declaration
    values = [present.get(PRUNE_KEY, "") for present in (declaration.annotations, declaration.labels)]
    if any(value.lower() == PROTECTED for value in values) is not wanted:
        raise Refusal(Reason.UNCERTAIN, f"After the edit {ref} would not have the value that was meant.")


def _set_where(tree: Tree, found: Found, where: str, value: str) -> None:
    stamps = [stamp for stamp in found.declaration.stamps if stamp.key == PRUNE_KEY and stamp.where == where]
    if not stamps and found.declaration.owner_level == -1:
        set_in_document(tree, found, where, value)
    else:
        _by_patch(tree, found, where, value, stamps[-1] if stamps else None)


def set_in_document(tree: Tree, found: Found, where: str, value: str) -> None:
    """Write the value into the document itself. Refuses one that other objects share."""
    if found.declaration.owner_level != -1:
        raise Refusal(
            Reason.SHARED, f"{found.instance.path} is also used by {', '.join(found.declaration.shared_with)}.",
            path=found.instance.path, next_step="Set it by a patch instead.",
        )  # fmt: skip
    instance = found.instance
    path: Path = ("metadata", where, PRUNE_KEY)
    if instance.item is not None:
        path = ("items", instance.item, *path)
    tree.write(instance.path, edit.set_entry(instance.file, instance.document, path, value).content)


def _by_patch(tree: Tree, found: Found, where: str, value: str, stamp: Stamp | None) -> None:
    patch = value_patch(found.instance, where, value)
    if stamp is not None and stamp.stage == "flux":
        raise Refusal(
            Reason.TRANSFORMED, f"The Flux Kustomization itself sets {PRUNE_KEY} on {found.declaration.ref}; nothing "
            "in this directory comes later.", next_step="Add this to spec.patches of the Flux Kustomization:",
            by_hand=patch,
        )  # fmt: skip
    level, late = _place(found, stamp)
    path = found.instance.listings[level].kustomization
    if not path:
        raise Refusal(
            Reason.SHARED, f"No kustomization that only {found.declaration.ref} uses comes late enough for a patch.",
            path=found.instance.path, by_hand=patch,
        )  # fmt: skip
    kustomization = load(tree, path)
    selector = selector_at(found, path)
    if late:
        _add_transformer(tree, kustomization, selector, patch, found.declaration)
    else:
        add_patch(tree, kustomization, selector, patch)


def patch_at_owner(tree: Tree, found: Found, value: str) -> None:
    """Set the annotation by a patch, wherever the last word on it is spoken."""
    stamps = [
        each for each in found.declaration.stamps if each.key == PRUNE_KEY and each.where == "annotations"
    ]
    _by_patch(tree, found, "annotations", value, stamps[-1] if stamps else None)


def _place(found: Found, stamp: Stamp | None) -> tuple[int, bool]:
    """(level, whether it must be a transformer) of the first place that comes after ``stamp`` and is not shared.

    The patches of a kustomization run after those of its components and before its own common annotations and
    transformers; behind these, only the next kustomization's patches or one more transformer come.
    """
    declaration, listings = found.declaration, found.instance.listings
    lowest = declaration.owner_level
    if lowest is None:
        raise Refusal(
            Reason.SHARED, f"{found.instance.path} and all above it is also used by "
            f"{', '.join(declaration.shared_with)}.", path=found.instance.path,
            next_step="Give this cluster or namespace a kustomization of its own first.",
        )  # fmt: skip
    lowest = max(lowest, 0)
    if stamp is None:
        return lowest, False
    if stamp.stage == "patch" or stamp.stage.startswith("component-") or lowest > stamp.level:
        return max(lowest, stamp.level), False
    above = stamp.level + 1
    if above < len(listings) and listings[above].kustomization:
        return above, False
    return stamp.level, True


def value_patch(instance: Instance, where: str, value: str) -> str:
    """A strategic merge patch that sets the prune annotation (or label)."""
    return (
        f"apiVersion: {instance.node.text('apiVersion')}\nkind: {instance.kind}\nmetadata:\n"
        f"  name: {edit.written_scalar(instance.node.text('metadata', 'name'))}\n"
        f"  {where}:\n    {PRUNE_KEY}: {edit.written_scalar(value)}\n"
    )


def _add_transformer(
    tree: Tree, level: Kustomization, selector: Mapping[str, str], patch: str, declaration: Declaration
) -> None:
    """A patch as a transformer, listed last: the only thing in the same kustomization that comes after another."""
    name = f"prune-{declaration.written_name}"
    path = posixpath.join(level.directory, f"{name}.yaml")
    if tree.exists(path):
        raise Refusal(Reason.EXISTS, f"{path} exists already.", path=path)
    lines = ["apiVersion: builtin", "kind: PatchTransformer", "metadata:", f"  name: {name}", "target:"]
    lines += [*edit.entries(selector, "  "), "patch: |-"]
    lines += [f"  {line}" for line in patch.rstrip("\n").split("\n")]
    tree.write(path, level.file.newline.join([*lines, ""]).encode())
    add_entry(tree, level, "transformers", path)


def forget(tree: Tree, found: Found) -> None:
    """Take out the patches that `exempt` and `protect` once made for this object alone, exactly as they were made.

    Left behind they would do nothing now, and silently lift the protection of a claim of the same name later.
    """
    for path in found.walk.kustomizations:
        if not tree.exists(path) or path not in found.instance.names:
            continue
        _forget_patches(tree, found, path)
        _forget_transformer(tree, found, path)


def _own_patches(found: Found) -> set[str]:
    values = (EXEMPT, PROTECTED)
    return {
        value_patch(found.instance, where, value).rstrip()
        for where in ("annotations", "labels")
        for value in values
    }


def _forget_patches(tree: Tree, found: Found, path: str) -> None:
    for position in reversed(range(len(load(tree, path).root.elements("patches")))):
        level = load(tree, path)
        item = level.root.elements("patches")[position]
        if item.text("patch").rstrip() in _own_patches(found) and item.texts("target") == _target(
            found, path
        ):
            tree.write(path, edit.remove_item(level.file, 0, ("patches",), position).content)


def _target(found: Found, path: str) -> dict[str, str]:
    try:
        return selector_at(found, path)
    except Refusal:
        return {}


def _forget_transformer(tree: Tree, found: Found, path: str) -> None:
    level = load(tree, path)
    made = posixpath.join(level.directory, f"prune-{found.declaration.written_name}.yaml")
    if not tree.exists(made):
        return
    for _, position, entry in level.entries("transformers"):
        if posixpath.normpath(posixpath.join(level.directory, entry)) != made:
            continue
        root = parse(made, tree.read(made)).documents[0].node
        if root is not None and root.text("patch").rstrip() in _own_patches(found):
            tree.write(path, edit.remove_item(level.file, 0, ("transformers",), position).content)
            tree.write(made, None)
        return
