"""Builds a directory: resources, components, generators, transformers, then hashes and references."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from sandbox.flux.kustomize import generators, references, transform
from sandbox.flux.kustomize.errors import KustomizeError
from sandbox.flux.kustomize.resource import Resource, same_kind
from sandbox.flux.kustomize.yaml_loader import Loader

_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REFUSED = (
    "replacements",
    "vars",
    "helmCharts",
    "helmChartInflationGenerator",
    "generators",
    "configurations",
    "crds",
)
_TAB = re.compile(r"(?<=\S)[ \t]*\t[ \t]*")
_REMOTE = ("http://", "https://", "git@", "ssh://", "github.com/")


def build(directory: Path) -> list[dict[str, Any]]:
    """The objects that a directory declares. KustomizeError when it cannot be built, or needs what is not here."""
    resources = _accumulate(Path(os.path.normpath(directory)), [], ())
    for resource in resources:
        if resource.hashed:
            resource.remember()
            resource.metadata["name"] = f"{resource.name}-{generators.hash_suffix(resource.body)}"
    references.follow(resources)
    for resource in resources:
        for place in ("labels", "annotations"):
            if not resource.metadata.get(place):
                resource.metadata.pop(place, None)
    return [resource.body for resource in resources]


def _accumulate(directory: Path, below: list[Resource], path: tuple[Path, ...]) -> list[Resource]:
    """What a directory makes of what is `below` it: nothing for a base or overlay, everything so far for a component."""
    if directory in path:
        raise KustomizeError(f"cycle detected: candidate root '{directory}' contains itself")
    content = _read(directory)
    if refused := [field for field in _REFUSED if content.get(field)]:
        raise KustomizeError(
            f"the sandbox's builder has no {', '.join(refused)}: install kubectl or kustomize"
        )
    resources = below
    for entry in [*(content.get("resources") or []), *(content.get("bases") or [])]:
        _append(resources, _load(directory, str(entry), (*path, directory)))
    for entry in content.get("components") or []:
        resources = _accumulate(Path(os.path.normpath(directory / entry)), resources, (*path, directory))
    _generate(resources, content, directory)
    _transform(resources, content, directory, (*path, directory))
    return resources


def _read(directory: Path) -> dict[str, Any]:
    found = [directory / name for name in _FILES if (directory / name).is_file()]
    if not found:
        raise KustomizeError(
            f"unable to find one of {', '.join(map(repr, _FILES))} in directory '{directory}'"
        )
    if len(found) > 1:
        raise KustomizeError(f"Found multiple kustomization files under: {directory}")
    content = yaml.load(found[0].read_text(), Loader=Loader)  # noqa: S506 - it is a safe loader
    if not content:
        raise KustomizeError("kustomization.yaml is empty")
    if not isinstance(content, dict):
        raise KustomizeError(f"invalid Kustomization: {found[0]}")
    return content


def _load(directory: Path, entry: str, path: tuple[Path, ...]) -> list[Resource]:
    if "\n" in entry:
        return [Resource(item) for item in yaml.load_all(entry, Loader=Loader) if item]
    if entry.startswith(_REMOTE):
        raise KustomizeError(f"the sandbox's builder does not fetch {entry}")
    target = Path(os.path.normpath(directory / entry))
    if target.is_dir():
        return _accumulate(target, [], path)
    if not target.is_file():
        raise KustomizeError(f"accumulating resources from '{entry}': no such file or directory")
    return [Resource(item) for item in documents(target)]


def _load_all(text: str) -> list[Any]:
    try:
        return list(yaml.load_all(text, Loader=Loader))
    except yaml.YAMLError:
        # PyYAML refuses what other parsers take: a tab between two words of a line.
        return list(yaml.load_all(_TAB.sub(" ", text), Loader=Loader))


def documents(file: Path) -> list[dict[str, Any]]:
    """The objects of a file; Lists are taken apart."""
    try:
        loaded = _load_all(file.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        raise KustomizeError(f"MalformedYAMLError: {error} in File: {file.name}") from error
    found: list[dict[str, Any]] = []
    for item in loaded:
        if not item:
            continue
        if not isinstance(item, dict) or not item.get("kind"):
            raise KustomizeError(f"missing Resource metadata in {file.name}")
        if item["kind"].endswith("List") and isinstance(item.get("items"), list):
            found += item["items"]
        else:
            found.append(item)
    return found


def _append(resources: list[Resource], more: list[Resource]) -> None:
    for resource in more:
        for existing in resources:
            if same_kind(existing, resource) and existing.names()[-1] == resource.names()[-1]:
                raise KustomizeError(
                    f"may not add resource with an already registered id: {resource.kind}.{resource.name}"
                )
        resources.append(resource)


def _generate(resources: list[Resource], content: dict[str, Any], directory: Path) -> None:
    common = content.get("generatorOptions") or {}
    for field, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
        for entry in content.get(field) or []:
            fresh = generators.generate(kind, entry, common, directory)
            if fresh.behavior == "create":
                _append(resources, [fresh])
                continue
            existing = [
                one
                for one in resources
                if one.kind == kind and any(name == fresh.name for _, name in one.names())
            ]
            if not existing:
                raise KustomizeError(f"id {kind} {fresh.name!r} does not exist; cannot merge or replace")
            generators.combine(existing[0], fresh)


def _transform(
    resources: list[Resource], content: dict[str, Any], directory: Path, path: tuple[Path, ...]
) -> None:
    """In the order of kustomize: patches, namespace, names, labels, annotations, JSON patches, replicas, images."""
    for entry in content.get("patchesStrategicMerge") or []:
        file = directory / str(entry)
        transform.patch(resources, file.read_text() if file.is_file() else str(entry), None)
    for entry in content.get("patches") or []:
        _patch(resources, entry, directory)
    if content.get("namespace"):
        transform.set_namespace(resources, content["namespace"])
    if content.get("namePrefix") or content.get("nameSuffix"):
        transform.rename(resources, content.get("namePrefix") or "", content.get("nameSuffix") or "")
    for entry in content.get("labels") or []:
        transform.set_labels(resources, entry)
    if content.get("commonLabels"):
        transform.set_labels(resources, {"pairs": content["commonLabels"], "includeSelectors": True})
    if content.get("commonAnnotations"):
        transform.set_annotations(resources, content["commonAnnotations"])
    for entry in content.get("patchesJson6902") or []:
        _patch(resources, entry, directory)
    for entry in content.get("replicas") or []:
        transform.set_replicas(resources, entry)
    for entry in content.get("images") or []:
        transform.set_image(resources, entry)
    for entry in content.get("transformers") or []:
        for config in _load(directory, str(entry), path):
            transform.run_object(resources, config.body, directory)


def _patch(resources: list[Resource], entry: dict[str, Any], directory: Path) -> None:
    if entry.get("path"):
        try:
            text = (directory / entry["path"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise KustomizeError(f"failed to get the patch file from path({entry['path']}): {why}") from error
    else:
        text = str(entry.get("patch") or "")
    options = entry.get("options") or {}
    transform.patch(resources, text, entry.get("target"), rename=bool(options.get("allowNameChange")))
