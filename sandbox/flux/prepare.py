"""What kustomize-controller does to a checked-out tree before it builds: a kustomization.yaml is made where
there is none, and the Kustomization's own patches, images, components, names and namespace are written into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from sandbox.answers import Object

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def prepare(directory: Path, spec: Object) -> None:
    """Completes the kustomization of a directory in place. The directory is a throw-away copy."""
    path = kustomization_file(directory) or _generate(directory)
    changes = _changes(spec)
    if changes:
        content = yaml.safe_load(path.read_text()) or {}
        for key, value in changes.items():
            content[key] = [*(content.get(key) or []), *value] if isinstance(value, list) else value
        path.write_text(yaml.safe_dump(content, sort_keys=False))


def kustomization_file(directory: Path) -> Path | None:
    """The kustomization of a directory, or None."""
    return next((directory / name for name in FILE_NAMES if (directory / name).is_file()), None)


def _changes(spec: Object) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, field in (
        ("targetNamespace", "namespace"),
        ("namePrefix", "namePrefix"),
        ("nameSuffix", "nameSuffix"),
    ):
        if spec.get(key):
            changes[field] = spec[key]
    for key in ("patches", "images", "components"):
        if spec.get(key):
            # By way of JSON: the API's values may hold shared parts, which YAML would write as anchors.
            changes[key] = json.loads(json.dumps(spec[key]))
    return changes


def _generate(directory: Path) -> Path:
    """Lists every manifest below, and every directory that has a kustomization of its own."""
    found = sorted(_resources(directory, directory))
    path = directory / "kustomization.yaml"
    content = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": found}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _resources(directory: Path, root: Path) -> list[str]:
    found: list[str] = []
    for path in sorted(directory.iterdir()):
        name = path.relative_to(root).as_posix()
        if path.is_dir() and not path.name.startswith("."):
            found += [name] if kustomization_file(path) else _resources(path, root)
        elif path.is_file() and path.suffix in (".yaml", ".yml") and _is_manifest(path):
            found.append(name)
    return found


def _is_manifest(path: Path) -> bool:
    documents = [item for item in yaml.safe_load_all(path.read_text()) if item]
    return bool(documents) and all(
        isinstance(item, dict) and item.get("apiVersion") and item.get("kind") for item in documents
    )
