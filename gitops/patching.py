"""What patches do to names, labels and annotations: strategic merge patches and JSON patches, with and without a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops.change import resolve
from gitops.errors import Reason, Refusal
from gitops.kustomization import Kustomization, is_remote
from gitops.selectors import Selector, matches
from gitops.values import PRUNE_KEY, RECONCILE_KEY, SSA_KEY, Stamp
from gitops.yamltext import Node, parse

if TYPE_CHECKING:
    from gitops.walk import Instance, Walker

KEYS = (PRUNE_KEY, RECONCILE_KEY, SSA_KEY)
DIRECTIVE = "$patch"


@dataclass
class Patch:
    """One patch: its selector (None: by the names in its own text) and its body."""

    selector: Selector | None
    body: Node
    path: str
    listed_in: str
    renames: bool = False


def set_values(instance: Instance, where: str, values: Mapping[str, str], path: str, stage: str) -> None:
    """Set annotations or labels, and remember which place set those that decide on protection."""
    _present(instance, where).update(values)
    for key in KEYS:
        if key in values:
            instance.stamps.append(Stamp(path, stage, key, values[key], where, len(instance.listings) - 1))


def patches_of(
    walker: Walker, level: Kustomization, fields: tuple[str, ...], instances: list[Instance]
) -> list[Patch]:
    """Patches of a kustomization. One that cannot be read is a doubt of every object that it may be meant for."""
    found: list[Patch] = []
    for field in fields:
        for item in level.root.elements(field):
            try:
                found += _patch(walker, level, field, item)
            except Refusal as refusal:
                walker.result.blind.append(refusal)
                for instance in instances:
                    if _may_mean(item, instance):
                        instance.doubts.append(refusal)
    return found


def _may_mean(item: Node, instance: Instance) -> bool:
    selector = _target(item)
    try:
        return selector is None or matches(selector, instance)
    except Refusal:
        return True


def _target(item: Node) -> Selector | None:
    target = item.at("target")
    return Selector.of_node(target) if target is not None and not target.is_null else None


def _patch(walker: Walker, level: Kustomization, field: str, item: Node) -> list[Patch]:
    if field == "patchesStrategicMerge":
        text = item.real.value
        return bodies(walker, level, None, text if "\n" in text else "", "" if "\n" in text else text)
    selector = _target(item)
    patches = bodies(walker, level, selector, item.text("patch"), item.text("path"))
    renames = "true" in (item.text("options", "allowNameChange"), item.text("options", "allowKindChange"))
    return [replace(patch, renames=renames) for patch in patches]


def bodies(
    walker: Walker, level: Kustomization, selector: Selector | None, text: str, path: str
) -> list[Patch]:
    where = level.path
    content = text.encode()
    if path:
        if is_remote(path):
            raise Refusal(
                Reason.REMOTE,
                f"The patch {path} in {level.path} lies outside of this repository.",
                path=level.path,
            )
        where = resolve(level.directory, path)
        content = walker.tree.read(where)
    roots = parse(where, content).roots()
    return [Patch(selector, root, where, level.path) for _, root in roots]


def apply_patch(patch: Patch, instances: list[Instance], stage: str) -> None:
    for instance in instances:
        if patch.selector is not None:
            hit = matches(patch.selector, instance)
        elif patch.body.kind == "map":
            hit = _named(patch.body, instance)
        else:
            hit = False
        if hit:
            _patch_instance(patch, instance, stage)


def _named(body: Node, instance: Instance) -> bool:
    """Whether a strategic merge patch without a target means this object: by kind, name and namespace."""
    names = {
        instance.node.text("metadata", "name"),
        instance.name,
        *(name for _, name in instance.names.values()),
    }
    namespace = body.text("metadata", "namespace")
    return (
        body.text("kind") == instance.kind
        and body.text("metadata", "name") in names
        and namespace in ("", instance.namespace, instance.node.text("metadata", "namespace"))
    )


def _patch_instance(patch: Patch, instance: Instance, stage: str) -> None:
    if patch.body.kind == "list":
        _json_patch(patch, instance, stage)
        return
    body = patch.body
    if patch.renames:
        instance.doubts.append(
            Refusal(Reason.TRANSFORMED, f"{patch.path} may rename {instance.name}.", path=patch.path)
        )
    if body.text(DIRECTIVE) == "delete":
        instance.deleted = True
        return
    for where in ("annotations", "labels"):
        _merge_values(patch, instance, stage, where)
    _unfollowed_directives(patch, instance)
    if any(key.value not in ("apiVersion", "kind", "metadata") for key, _ in body.pairs):
        instance.touched.append((patch.path, "patch"))


def _merge_values(patch: Patch, instance: Instance, stage: str, where: str) -> None:
    """Annotations (or labels) of a strategic merge patch: merged, or put in place of all that was there."""
    values = patch.body.texts("metadata", where)
    directive = values.pop(DIRECTIVE, "")
    if directive in ("replace", "delete"):
        _clear(patch, instance, stage, where)
    if directive == "delete":
        return
    set_values(instance, where, values, _file(patch), stage)
    for key in _nulls(patch.body, where):
        _drop(patch, instance, stage, where, key)


def _unfollowed_directives(patch: Patch, instance: Instance) -> None:
    """``$patch`` where it may change the name, the annotations or the labels in a way that is not followed."""
    body = patch.body
    stated = [body.text(DIRECTIVE), body.text("metadata", DIRECTIVE)]
    of_values = [body.text("metadata", where, DIRECTIVE) for where in ("annotations", "labels")]
    for directive in [*stated, *(each for each in of_values if each not in ("replace", "delete"))]:
        if directive not in ("", "merge"):
            instance.doubts.append(
                Refusal(
                    Reason.TRANSFORMED,
                    f"{_file(patch)} changes {instance.name} by {DIRECTIVE}: {directive}.",
                    path=_file(patch),
                )
            )


def _file(patch: Patch) -> str:
    return patch.path or patch.listed_in


def _present(instance: Instance, where: str) -> dict[str, str]:
    return instance.annotations if where == "annotations" else instance.labels


def _clear(patch: Patch, instance: Instance, stage: str, where: str) -> None:
    for key in list(_present(instance, where)):
        _drop(patch, instance, stage, where, key)


def _drop(patch: Patch, instance: Instance, stage: str, where: str, key: str) -> None:
    _present(instance, where).pop(key, None)
    if key in KEYS:
        level = len(instance.listings) - 1
        instance.stamps.append(Stamp(_file(patch), stage, key, "", where, level))


def _nulls(body: Node, where: str) -> list[str]:
    node = body.at("metadata", where)
    return [key.value for key, value in (node.real.pairs if node else []) if value.is_null]


def _json_patch(patch: Patch, instance: Instance, stage: str) -> None:
    for operation in patch.body.items:
        op = operation.text("op")
        if op == "test":
            continue  # a test that fails ends the build
        parts = _pointer(operation.text("path"))
        moved = op not in ("add", "replace", "remove") and "metadata" in (
            *parts[:1],
            *_pointer(operation.text("from"))[:1],
        )
        if parts and parts[0] != "metadata" and not moved:
            instance.touched.append((patch.path, "patch"))
        elif not moved and len(parts) in (2, 3) and parts[1] in ("annotations", "labels"):
            _json_values(patch, instance, stage, operation, parts[1:])
        else:
            instance.doubts.append(
                Refusal(
                    Reason.TRANSFORMED,
                    f"{_file(patch)} patches {operation.text('path') or 'the whole'} of {instance.name}.",
                    path=_file(patch),
                )
            )


def _pointer(text: str) -> list[str]:
    """The steps of a JSON pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _json_values(patch: Patch, instance: Instance, stage: str, operation: Node, parts: Sequence[str]) -> None:
    """One annotation or label, or with a pointer to the map all of them: what was there before goes."""
    where, *key = parts
    gone = operation.text("op") == "remove"
    if not key:
        _clear(patch, instance, stage, where)
        values = operation.texts("value")
    elif gone:
        _drop(patch, instance, stage, where, key[0])
    else:
        values = {key[0]: operation.text("value")}
    if not gone:
        set_values(instance, where, values, _file(patch), stage)
