"""What a kustomization does to names, namespaces, labels and annotations, in the order in which kustomize does it.

Within one kustomization: patches, namespace, prefix, suffix, labels, annotations, JSON patches, and then the files
of ``transformers``. Whatever cannot be followed becomes a doubt of the objects that it may touch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops.change import resolve
from gitops.errors import Reason, Refusal
from gitops.kustomization import Kustomization, kustomization_path
from gitops.selectors import Selector, matches
from gitops.values import PRUNE_KEY, RECONCILE_KEY, SSA_KEY, FluxPath, Stamp
from gitops.yamltext import Node, parse

if TYPE_CHECKING:
    from gitops.walk import Instance, Walker

KEYS = (PRUNE_KEY, RECONCILE_KEY, SSA_KEY)
# Built-in transformers that touch neither names nor protection.
_HARMLESS = ("ImageTagTransformer", "ReplicaCountTransformer", "IAMPolicyGenerator", "HashTransformer")


@dataclass
class Patch:
    """One patch: its selector (None: by the names in its own text) and its body."""

    selector: Selector | None
    body: Node
    path: str
    listed_in: str
    renames: bool = False


def transform(
    walker: Walker,
    level: Kustomization,
    instances: list[Instance],
    *,
    component: bool = False,
    flux: FluxPath | None = None,
) -> None:
    """Apply one kustomization's changes, and Flux's own where it is the top, to the instances gathered in it."""
    stage = "component-" if component else ""
    for instance in instances:
        instance.names[level.path] = (instance.namespace, instance.name)
    for patch in _patches(walker, level, ("patches", "patchesStrategicMerge")):
        _apply_patch(patch, instances, f"{stage}patch")
    if flux is None:
        _namespace(level.root.text("namespace"), instances)
        _rename(level.root.text("namePrefix"), level.root.text("nameSuffix"), instances)
    else:
        merged = replace(
            flux,
            target_namespace=flux.target_namespace or level.root.text("namespace"),
            name_prefix=flux.name_prefix or level.root.text("namePrefix"),
            name_suffix=flux.name_suffix or level.root.text("nameSuffix"),
        )
        apply_options(merged, instances)
    _labels(level, instances, stage)
    _stamp(
        level.root.texts("commonAnnotations"),
        instances,
        level.path,
        f"{stage}commonAnnotations",
        "annotations",
    )
    for patch in _patches(walker, level, ("patchesJson6902",)):
        _apply_patch(patch, instances, f"{stage}json-patch")
    _replacements(level, instances)
    for name in ("images", "replicas"):
        for item in level.root.elements(name):
            for instance in instances:
                if _touches(name, item, instance):
                    instance.touched.append((level.path, name))
    _transformers(walker, level, instances, stage)


def apply_options(flux: FluxPath, instances: list[Instance]) -> None:
    """Options that Flux writes into the top kustomization before it builds."""
    for selector, text in flux.patches:
        body = parse("spec.patches", text.encode()).roots()
        for _, node in body:
            patch = Patch(
                Selector.of_mapping(selector) if selector else None, node, "", "the Flux Kustomization"
            )
            _apply_patch(patch, instances, "flux-patch")
    _namespace(flux.target_namespace, instances)
    _rename(flux.name_prefix, flux.name_suffix, instances)


def after_build(flux: FluxPath, instances: list[Instance]) -> None:
    """What Flux does to the built objects: variables and common metadata."""
    _stamp(flux.common_annotations, instances, "the Flux Kustomization", "flux", "annotations")
    _stamp(flux.common_labels, instances, "the Flux Kustomization", "flux", "labels")
    for instance in instances:
        instance.built_name = instance.name
        _substitute(instance, flux.substitute, certain=not flux.substitute_from)


def _namespace(namespace: str, instances: Iterable[Instance]) -> None:
    if namespace:
        for instance in instances:
            instance.namespace = namespace


def _rename(prefix: str, suffix: str, instances: Iterable[Instance]) -> None:
    for instance in instances:
        instance.name = f"{prefix}{instance.name}{suffix}"


def _labels(level: Kustomization, instances: list[Instance], stage: str) -> None:
    _stamp(level.root.texts("commonLabels"), instances, level.path, f"{stage}labels", "labels")
    for item in level.root.elements("labels"):
        _stamp(item.texts("pairs"), instances, level.path, f"{stage}labels", "labels")


def _stamp(
    values: Mapping[str, str], instances: Iterable[Instance], path: str, stage: str, where: str
) -> None:
    for instance in instances:
        _set(instance, where, values, path, stage)


def _set(instance: Instance, where: str, values: Mapping[str, str], path: str, stage: str) -> None:
    present = instance.annotations if where == "annotations" else instance.labels
    present.update(values)
    for key in KEYS:
        if key in values:
            instance.stamps.append(Stamp(path, stage, key, values[key], where, len(instance.listings) - 1))


def _touches(name: str, item: Node, instance: Instance) -> bool:
    if name == "replicas":
        return (
            item.text("name") == instance.node.text("metadata", "name") or item.text("name") == instance.name
        )
    image = item.text("name")
    for path, node in instance.node.walk():
        if path and path[-1] == "image" and node.kind == "scalar":
            written = re.split(r"[@]|:(?=[^/]*$)", node.value)[0]
            if written == image:
                return True
    return False


def _replacements(level: Kustomization, instances: list[Instance]) -> None:
    """Replacements may write anything: an object whose kind one targets is in doubt where names are concerned."""
    for item in level.root.elements("replacements"):
        if item.text("path"):
            doubt = Refusal(Reason.TRANSFORMED, f"{level.path} has replacements in files.", path=level.path)
            for instance in instances:
                instance.doubts.append(doubt)
            continue
        for each in item.elements("targets"):
            fields = [field.real.value for field in each.elements("fieldPaths")]
            risky = any(field.startswith("metadata") for field in fields)
            for instance in instances:
                kind = each.text("select", "kind")
                if kind in ("", instance.kind):
                    instance.touched.append((level.path, "replacements"))
                    if risky:
                        instance.doubts.append(
                            Refusal(Reason.TRANSFORMED, f"{level.path} replaces metadata.", path=level.path)
                        )


# Patches


def _patches(walker: Walker, level: Kustomization, fields: tuple[str, ...]) -> list[Patch]:
    found: list[Patch] = []
    for field in fields:
        for item in level.root.elements(field):
            try:
                found += _patch(walker, level, field, item)
            except Refusal as refusal:
                walker.result.blind.append(refusal)
    return found


def _patch(walker: Walker, level: Kustomization, field: str, item: Node) -> list[Patch]:
    if field == "patchesStrategicMerge":
        text = item.real.value
        return _bodies(walker, level, None, text if "\n" in text else "", "" if "\n" in text else text)
    target = item.at("target")
    selector = Selector.of_node(target) if target is not None and not target.is_null else None
    patches = _bodies(walker, level, selector, item.text("patch"), item.text("path"))
    renames = "true" in (item.text("options", "allowNameChange"), item.text("options", "allowKindChange"))
    return [replace(patch, renames=renames) for patch in patches]


def _bodies(
    walker: Walker, level: Kustomization, selector: Selector | None, text: str, path: str
) -> list[Patch]:
    where = level.path
    content = text.encode()
    if path:
        where = resolve(level.directory, path)
        content = walker.tree.read(where)
    roots = parse(where, content).roots()
    return [Patch(selector, root, where, level.path) for _, root in roots]


def _apply_patch(patch: Patch, instances: list[Instance], stage: str) -> None:
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
    if body.text("$patch") == "delete":
        instance.deleted = True
        return
    for where in ("annotations", "labels"):
        _set(instance, where, body.texts("metadata", where), patch.path or patch.listed_in, stage)
        for key in _nulls(body, where):
            (instance.annotations if where == "annotations" else instance.labels).pop(key, None)
            if key in KEYS:
                instance.stamps.append(_unstamp(patch, instance, stage, key, where))
    if any(key.value not in ("apiVersion", "kind", "metadata") for key, _ in body.pairs):
        instance.touched.append((patch.path, "patch"))


def _unstamp(patch: Patch, instance: Instance, stage: str, key: str, where: str) -> Stamp:
    return Stamp(patch.path or patch.listed_in, stage, key, "", where, len(instance.listings) - 1)


def _nulls(body: Node, where: str) -> list[str]:
    node = body.at("metadata", where)
    return [key.value for key, value in (node.real.pairs if node else []) if value.is_null]


def _json_patch(patch: Patch, instance: Instance, stage: str) -> None:
    for operation in patch.body.items:
        pointer = operation.text("path")
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        if parts[:1] != ["metadata"]:
            instance.touched.append((patch.path, "patch"))
        elif len(parts) == 3 and parts[1] in ("annotations", "labels"):
            _json_entry(patch, instance, stage, operation, parts[1], parts[2])
        elif len(parts) == 2 and parts[1] in ("annotations", "labels"):
            _set(instance, parts[1], operation.texts("value"), patch.path, stage)
        else:
            instance.doubts.append(
                Refusal(
                    Reason.TRANSFORMED, f"{patch.path} patches {pointer} of {instance.name}.", path=patch.path
                )
            )


def _json_entry(patch: Patch, instance: Instance, stage: str, operation: Node, where: str, key: str) -> None:
    if operation.text("op") == "remove":
        (instance.annotations if where == "annotations" else instance.labels).pop(key, None)
        if key in KEYS:
            instance.stamps.append(_unstamp(patch, instance, stage, key, where))
    elif operation.text("op") in ("add", "replace"):
        _set(instance, where, {key: operation.text("value")}, patch.path, stage)


# Files of transformers


def _transformers(walker: Walker, level: Kustomization, instances: list[Instance], stage: str) -> None:
    for item in level.root.elements("transformers"):
        try:
            for path, node in _configurations(walker, level, item.real.value):
                _transformer(walker, level, path, node, instances, stage)
        except Refusal as refusal:
            walker.result.blind.append(refusal)
            for instance in instances:
                instance.doubts.append(refusal)


def _configurations(walker: Walker, level: Kustomization, entry: str) -> list[tuple[str, Node]]:
    """Transformer documents behind an entry: written in place, a file, or a directory with a kustomization."""
    if "\n" in entry:
        return [(level.path, node) for _, node in parse(level.path, entry.encode()).roots()]
    path = resolve(level.directory, entry)
    if walker.tree.exists(path):
        return [(path, node) for _, node in parse(path, walker.tree.read(path)).roots()]
    inner = kustomization_path(walker.tree, path)
    if inner is None:
        raise Refusal(Reason.MISSING, f"{entry}, named in {level.path}, does not exist.", path=path)
    nested = walker._enter(inner)
    walker.loading.pop()
    found: list[tuple[str, Node]] = []
    for _, _, each in nested.entries("resources", "bases"):
        found += _configurations(walker, nested, each)
    return found


def _transformer(
    walker: Walker, level: Kustomization, path: str, node: Node, instances: list[Instance], stage: str
) -> None:
    kind = node.text("kind")
    where = f"{stage}transformer"
    if kind == "AnnotationsTransformer":
        _stamp_fields(node, "annotations", instances, path, where)
    elif kind == "LabelTransformer":
        _stamp_fields(node, "labels", instances, path, where)
    elif kind in ("PatchTransformer", "PatchStrategicMergeTransformer", "PatchJson6902Transformer"):
        for patch in _transformer_patches(walker, level, path, node):
            _apply_patch(patch, instances, where)
    elif kind == "NamespaceTransformer" and node.text("unsetOnly") != "true":
        for instance in instances:
            instance.namespace = node.text("metadata", "namespace") or instance.namespace
    elif kind not in _HARMLESS:
        doubt = Refusal(
            Reason.TRANSFORMED, f"{path} changes objects in a way that is not followed ({kind}).", path=path
        )
        for instance in instances:
            instance.doubts.append(doubt)


def _stamp_fields(node: Node, where: str, instances: list[Instance], path: str, stage: str) -> None:
    specs = node.elements("fieldSpecs")
    for instance in instances:
        for spec in specs:
            reaches = spec.text("path") == f"metadata/{where}" and spec.text("kind") in ("", instance.kind)
            present = instance.annotations if where == "annotations" else instance.labels
            reaches = reaches and spec.text("group") in ("", instance.group)
            if reaches and (present or spec.text("create") == "true"):
                _set(instance, where, node.texts(where), path, stage)
                break


def _transformer_patches(walker: Walker, level: Kustomization, path: str, node: Node) -> list[Patch]:
    target = node.at("target")
    selector = Selector.of_node(target) if target is not None else None
    text = node.text("patch") or node.text("patches") or node.text("jsonOp")
    patches = [] if not text else _bodies(walker, level, selector, text, "")
    if node.text("path"):
        patches += _bodies(walker, level, selector, "", node.text("path"))
    for item in node.elements("paths"):
        patches += _bodies(walker, level, selector, "", item.real.value)
    return patches


# Variables of Flux

_VARIABLE = re.compile(r"\$\{(\w+)(?::?([-=])([^{}]*))?\}")


def _substitute(instance: Instance, values: Mapping[str, str], *, certain: bool) -> None:
    if instance.annotations.get("kustomize.toolkit.fluxcd.io/substitute", "").lower() == "disabled":
        return
    instance.name = substituted(instance.name, values, certain=certain)
    instance.namespace = substituted(instance.namespace, values, certain=certain)


def substituted(text: str, values: Mapping[str, str], *, certain: bool = True) -> str:
    """Text with variables filled in as ``spec.postBuild`` does; unknown ones without a default stay as written.

    Where not all values are known (``certain`` is false), those with a default stay as written, too.
    """

    def fill(found: re.Match[str]) -> str:
        name, operator, default = found.groups()
        if values.get(name):
            return values[name]
        if not certain:
            return found.group()
        return default if operator else values.get(name, found.group())

    previous = ""
    while text != previous and "${" in text:
        # The innermost variables first: a default may hold another variable.
        previous, text = text, _VARIABLE.sub(fill, text)
    return text
