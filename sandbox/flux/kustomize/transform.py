"""The built-in transformers, by their names in a kustomization and as objects of apiVersion builtin."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from sandbox.flux.kustomize import fieldpath
from sandbox.flux.kustomize.errors import KustomizeError
from sandbox.flux.kustomize.fieldpath import FieldSpec, add_pairs
from sandbox.flux.kustomize.merge import json_patch, strategic_merge
from sandbox.flux.kustomize.resource import CLUSTER_SCOPED, Resource, select
from sandbox.flux.kustomize.yaml_loader import Loader

_UNNAMED = frozenset({"CustomResourceDefinition", "Namespace", "APIService"})


def set_namespace(resources: list[Resource], namespace: str) -> None:
    """Every namespaced object, a Namespace object's own name, and the subjects of bindings."""
    accounts = {pair for one in resources if one.kind == "ServiceAccount" for pair in one.names()}
    for resource in resources:
        resource.remember()
        if resource.kind == "Namespace":
            resource.metadata["name"] = namespace
        elif resource.kind not in CLUSTER_SCOPED:
            resource.metadata["namespace"] = namespace
        if resource.kind in ("RoleBinding", "ClusterRoleBinding"):
            _move_subjects(resource, accounts, namespace)


def _move_subjects(resource: Resource, accounts: set[tuple[str, str]], namespace: str) -> None:
    for subject in resource.body.get("subjects") or []:
        own = (subject.get("namespace") or "", subject.get("name"))
        if subject.get("kind") == "ServiceAccount" and (own in accounts or own[1] == "default"):
            subject["namespace"] = namespace


def rename(resources: list[Resource], prefix: str, suffix: str) -> None:
    """namePrefix and nameSuffix."""
    for resource in resources:
        if resource.kind in _UNNAMED:
            continue
        resource.remember()
        resource.metadata["name"] = f"{prefix}{resource.name}{suffix}"
        resource.prefixes = prefix + resource.prefixes
        resource.suffixes += suffix


def set_labels(resources: list[Resource], entry: dict[str, Any]) -> None:
    """One entry of labels:, or commonLabels as such an entry with includeSelectors."""
    specs: list[FieldSpec] = [*fieldpath.METADATA_LABELS]
    if entry.get("includeSelectors"):
        specs += [*fieldpath.SELECTORS, *fieldpath.TEMPLATE_LABELS]
    elif entry.get("includeTemplates"):
        specs += fieldpath.TEMPLATE_LABELS
    specs += [FieldSpec.of(one) for one in entry.get("fields") or []]
    pairs = {key: str(value) for key, value in (entry.get("pairs") or {}).items()}
    for resource in resources:
        add_pairs(resource, specs, pairs)


def set_annotations(resources: list[Resource], pairs: dict[str, Any]) -> None:
    """commonAnnotations."""
    texts = {key: str(value) for key, value in pairs.items()}
    for resource in resources:
        add_pairs(resource, fieldpath.ANNOTATIONS, texts)


def set_replicas(resources: list[Resource], entry: dict[str, Any]) -> None:
    """One entry of replicas:. KustomizeError when nothing has that name."""
    chosen = [one for one in resources if any(name == entry["name"] for _, name in one.names())]
    kinds = {spec.kind for spec in fieldpath.REPLICAS}
    if not any(one.kind in kinds for one in chosen):
        raise KustomizeError(
            f"resource with name {entry['name']} does not match a config with the following GVK"
        )
    for resource in chosen:
        fieldpath.apply(resource, fieldpath.REPLICAS, lambda value: int(entry["count"]))


_IMAGE = re.compile(r"^(?P<name>[^@]*?)(?::(?P<tag>[^:/@]+))?(?:@(?P<digest>.+))?$")


def set_image(resources: list[Resource], entry: dict[str, Any]) -> None:
    """One entry of images: in every list of containers."""
    for resource in resources:
        if resource.kind != "CustomResourceDefinition":
            _images_in(resource.body, entry)


def _images_in(value: Any, entry: dict[str, Any]) -> None:
    if isinstance(value, list):
        for item in value:
            _images_in(item, entry)
        return
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key in ("containers", "initContainers") and isinstance(item, list):
            for container in item:
                if isinstance(container, dict) and isinstance(container.get("image"), str):
                    container["image"] = _image(container["image"], entry)
        _images_in(item, entry)


def _image(image: str, entry: dict[str, Any]) -> str:
    found = _IMAGE.match(image)
    if found is None or found["name"] != entry["name"]:
        return image
    name = entry.get("newName") or found["name"]
    tag = f":{found['tag']}" if found["tag"] else ""
    digest = f"@{found['digest']}" if found["digest"] else ""
    if entry.get("newTag") and entry.get("digest"):
        tag, digest = f":{entry['newTag']}", f"@{entry['digest']}"
    elif entry.get("newTag"):
        tag, digest = f":{entry['newTag']}", ""
    elif entry.get("digest"):
        tag, digest = "", f"@{entry['digest']}"
    return f"{name}{tag}{digest}"


# -- patches -----------------------------------------------------------------------------------------


def patch(
    resources: list[Resource], text: str, target: dict[str, Any] | None, *, rename: bool = False
) -> None:
    """One patch, strategic or JSON 6902, by its text. Deleted objects leave the list."""
    documents = [one for one in yaml.load_all(text, Loader=Loader) if one]
    for document in documents:
        if isinstance(document, list):
            _json_patch(resources, document, target)
        elif isinstance(document, dict):
            _strategic(resources, document, target, rename=rename)
        else:
            raise KustomizeError("unable to parse SM or JSON patch from the text")


def _json_patch(
    resources: list[Resource], operations: list[dict[str, Any]], target: dict[str, Any] | None
) -> None:
    if not target:
        raise KustomizeError("must specify a target for JSON patch")
    for resource in select(resources, target):
        resource.remember()
        # While the program builds, an object always has annotations: its own notes are among them.
        if not resource.metadata.get("annotations"):
            resource.metadata["annotations"] = {}
        resource.body = json_patch(resource.body, operations)


def _strategic(
    resources: list[Resource], document: dict[str, Any], target: dict[str, Any] | None, *, rename: bool
) -> None:
    chosen = select(resources, target) if target else _by_identity(resources, document)
    if not target and not chosen:
        name = (document.get("metadata") or {}).get("name")
        raise KustomizeError(
            f"no resource matches strategic merge patch {document.get('kind')} {name!r}: no matches for Id"
        )
    for resource in chosen:
        body = strategic_merge(resource.body, copy.deepcopy(document))
        if body is None:
            resources.remove(resource)
            continue
        if not rename:
            body["metadata"]["name"] = resource.name
            body["apiVersion"], body["kind"] = resource.body["apiVersion"], resource.body["kind"]
            _restore_namespace(body, resource)
        resource.remember()
        resource.body = body


def _restore_namespace(body: dict[str, Any], resource: Resource) -> None:
    body["metadata"].pop("namespace", None)
    if resource.namespace:
        body["metadata"]["namespace"] = resource.namespace


def _by_identity(resources: list[Resource], document: dict[str, Any]) -> list[Resource]:
    wanted = Resource(document)
    return [
        one
        for one in resources
        if (one.group, one.kind) == (wanted.group, wanted.kind)
        and any(
            name == wanted.name and (not wanted.namespace or space == wanted.namespace)
            for space, name in one.names()
        )
    ]


# -- transformers as objects -------------------------------------------------------------------------


def run_object(resources: list[Resource], config: dict[str, Any], directory: Path) -> None:
    """A transformer of apiVersion builtin. KustomizeError when it is of another sort."""
    kind = str(config.get("kind"))
    if config.get("apiVersion") != "builtin" or kind not in _OBJECTS:
        raise KustomizeError(f"unable to load transformer {config.get('apiVersion')} {kind}")
    _OBJECTS[kind](resources, config, directory)


def _annotations(resources: list[Resource], config: dict[str, Any], directory: Path) -> None:
    specs = [FieldSpec.of(one) for one in config.get("fieldSpecs") or []]
    for resource in resources:
        add_pairs(
            resource, specs, {key: str(value) for key, value in (config.get("annotations") or {}).items()}
        )


def _labels(resources: list[Resource], config: dict[str, Any], directory: Path) -> None:
    specs = [FieldSpec.of(one) for one in config.get("fieldSpecs") or []]
    for resource in resources:
        add_pairs(resource, specs, {key: str(value) for key, value in (config.get("labels") or {}).items()})


def _patch_object(resources: list[Resource], config: dict[str, Any], directory: Path) -> None:
    text = config.get("patch") or (directory / config["path"]).read_text()
    patch(resources, text, config.get("target"))


def _rename(prefix: str, suffix: str) -> Callable[[list[Resource], dict[str, Any], Path], None]:
    def run(resources: list[Resource], config: dict[str, Any], directory: Path) -> None:
        specs = [FieldSpec.of(one) for one in config.get("fieldSpecs") or []]
        chosen = [one for one in resources if any(spec.covers(one) for spec in specs)]
        rename(chosen, str(config.get(prefix) or ""), str(config.get(suffix) or ""))

    return run


_OBJECTS: dict[str, Callable[[list[Resource], dict[str, Any], Path], None]] = {
    "AnnotationsTransformer": _annotations,
    "LabelTransformer": _labels,
    "PatchTransformer": _patch_object,
    "PrefixTransformer": _rename("prefix", "-"),
    "SuffixTransformer": _rename("-", "suffix"),
    "NamespaceTransformer": lambda resources, config, directory: set_namespace(
        resources, config["metadata"]["namespace"]
    ),
    "ImageTagTransformer": lambda resources, config, directory: set_image(resources, config["imageTag"]),
    "ReplicaCountTransformer": lambda resources, config, directory: set_replicas(
        resources, config["replica"]
    ),
}
