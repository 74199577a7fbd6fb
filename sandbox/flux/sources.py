"""What a Kustomization depends on: its source, other Kustomizations, and the sources of its variables."""

from __future__ import annotations

import base64
from collections.abc import Callable

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux import conditions
from sandbox.flux.values import dig
from sandbox.kinds import CONFIG_MAPS, GIT_REPOSITORIES, KUSTOMIZATIONS, SECRETS


class NotReady(Exception):
    """Something that is needed is missing or not ready; `reason` is that of the Ready condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def source_of(client: Client, item: Object) -> Object:
    """The GitRepository of a Kustomization, with an artifact. NotReady otherwise."""
    reference = item["spec"]["sourceRef"]
    namespace = reference.get("namespace") or item["metadata"]["namespace"]
    if reference["kind"] != "GitRepository":
        raise NotReady("ArtifactFailed", f"the sandbox has no sources of kind {reference['kind']}")
    source = client.find(GIT_REPOSITORIES, reference["name"], namespace)
    if source is None:
        raise NotReady(
            "ArtifactFailed", f"Source '{reference['kind']}/{namespace}/{reference['name']}' not found"
        )
    if not dig(source, "status", "artifact"):
        raise NotReady("ArtifactFailed", "Source artifact not found, retrying in 30s")
    return source


def check_dependencies(client: Client, item: Object, source: Object) -> None:
    """spec.dependsOn: all of them ready, at their current generation and, from the same source, at its revision."""
    for reference in item["spec"].get("dependsOn") or []:
        namespace = reference.get("namespace") or item["metadata"]["namespace"]
        name = f"{namespace}/{reference['name']}"
        found = client.find(KUSTOMIZATIONS, reference["name"], namespace)
        if found is None:
            raise NotReady("DependencyNotReady", f"dependency '{name}' not found")
        observed = dig(found, "status", "observedGeneration")
        if not conditions.is_true(found) or observed != found["metadata"].get("generation", observed):
            raise NotReady("DependencyNotReady", f"dependency '{name}' is not ready")
        applied = dig(found, "status", "lastAppliedRevision")
        if _same_source(item, found) and applied != source["status"]["artifact"]["revision"]:
            raise NotReady("DependencyNotReady", f"dependency '{name}' revision is not up to date")


def _same_source(one: Object, other: Object) -> bool:
    return _source_key(one) == _source_key(other)


def _source_key(item: Object) -> tuple[str, str, str]:
    reference = item["spec"]["sourceRef"]
    return reference["kind"], reference.get("namespace") or item["metadata"]["namespace"], reference["name"]


def variable_source(client: Client, namespace: str) -> Callable[[str, str, bool], dict[str, str]]:
    """Reads the data of a ConfigMap or Secret of postBuild.substituteFrom. NotReady when it is missing."""

    def read(kind: str, name: str, optional: bool) -> dict[str, str]:
        found = client.find(SECRETS if kind == "Secret" else CONFIG_MAPS, name, namespace)
        if found is None and not optional:
            raise NotReady("BuildFailed", f"substitute from '{kind}/{name}' error: not found")
        data = (found or {}).get("data") or {}
        if kind == "Secret":
            return {key: base64.b64decode(value).decode() for key, value in data.items()}
        return {key: str(value) for key, value in data.items()}

    return read
