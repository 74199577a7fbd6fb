"""What a kustomization does to names, namespaces, labels and annotations, in the order in which kustomize does it.

Within one kustomization: strategic patches, patches, namespace, prefix, suffix, labels, annotations, JSON patches, and then the files
of ``transformers``. Whatever cannot be followed becomes a doubt of the objects that it may touch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gitops.change import resolve
from gitops.errors import Reason, Refusal
from gitops.kustomization import Kustomization, kustomization_path
from gitops.patching import Patch, apply_patch, bodies, patches_of, set_values
from gitops.selectors import Selector
from gitops.values import WORKLOADS, FluxPath
from gitops.variables import substitute_names
from gitops.yamltext import Node, parse

if TYPE_CHECKING:
    from gitops.walk import Instance, Walker

# Fields that give every object the same: what a directory gives, another may give as well.
COMMON_FIELDS = ("commonLabels", "commonAnnotations", "labels")
# Built-in transformers that touch neither names nor protection.
_HARMLESS = ("ImageTagTransformer", "ReplicaCountTransformer", "IAMPolicyGenerator", "HashTransformer")


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
    for patch in patches_of(walker, level, ("patchesStrategicMerge", "patches"), instances):
        apply_patch(patch, instances, f"{stage}patch")
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
    _common(level, instances)
    _labels(level, instances, stage)
    _stamp(
        level.root.texts("commonAnnotations"),
        instances,
        level.path,
        f"{stage}commonAnnotations",
        "annotations",
    )
    for patch in patches_of(walker, level, ("patchesJson6902",), instances):
        apply_patch(patch, instances, f"{stage}json-patch")
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
            apply_patch(patch, instances, "flux-patch")
    _namespace(flux.target_namespace, instances)
    _rename(flux.name_prefix, flux.name_suffix, instances)


def after_build(flux: FluxPath, instances: list[Instance]) -> None:
    """What Flux does to the built objects: variables and common metadata."""
    _stamp(flux.common_annotations, instances, "the Flux Kustomization", "flux", "annotations")
    _stamp(flux.common_labels, instances, "the Flux Kustomization", "flux", "labels")
    for instance in instances:
        instance.built_name = instance.name
        substitute_names(instance, flux.substitute, certain=not flux.substitute_from)


def _namespace(namespace: str, instances: Iterable[Instance]) -> None:
    if namespace:
        for instance in instances:
            instance.namespace = namespace


def _rename(prefix: str, suffix: str, instances: Iterable[Instance]) -> None:
    for instance in instances:
        instance.name = f"{prefix}{instance.name}{suffix}"


def _common(level: Kustomization, instances: list[Instance]) -> None:
    """Note on workloads what they get beside their text: it is in their selectors and their pods, too."""
    added = [(name, level.root.texts(name)) for name in ("commonLabels", "commonAnnotations")]
    for item in level.root.elements("labels"):
        wide = [key for key in ("includeSelectors", "includeTemplates") if item.text(key) == "true"]
        added.append((" ".join(["labels", *wide]), item.texts("pairs")))
    for name, values in added:
        for key, value in values.items():
            for instance in instances:
                if instance.kind in WORKLOADS:
                    instance.touched.append((level.path, f"{name} {key}: {value}"))


def _labels(level: Kustomization, instances: list[Instance], stage: str) -> None:
    _stamp(level.root.texts("commonLabels"), instances, level.path, f"{stage}labels", "labels")
    for item in level.root.elements("labels"):
        _stamp(item.texts("pairs"), instances, level.path, f"{stage}labels", "labels")


def _stamp(
    values: Mapping[str, str], instances: Iterable[Instance], path: str, stage: str, where: str
) -> None:
    for instance in instances:
        set_values(instance, where, values, path, stage)


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
            apply_patch(patch, instances, where)
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
                set_values(instance, where, node.texts(where), path, stage)
                break


def _transformer_patches(walker: Walker, level: Kustomization, path: str, node: Node) -> list[Patch]:
    target = node.at("target")
    selector = Selector.of_node(target) if target is not None else None
    text = node.text("patch") or node.text("patches") or node.text("jsonOp")
    patches = [] if not text else bodies(walker, level, selector, text, "")
    if node.text("path"):
        patches += bodies(walker, level, selector, "", node.text("path"))
    for item in node.elements("paths"):
        patches += bodies(walker, level, selector, "", item.real.value)
    return patches
