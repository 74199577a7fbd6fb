"""Flux Kustomizations that a repository itself states: their paths and options."""

from __future__ import annotations

from dataclasses import dataclass

from gitops.change import Tree
from gitops.errors import Refusal
from gitops.values import FluxPath
from gitops.walk import normal
from gitops.yamltext import Node, parse

GROUP = "kustomize.toolkit.fluxcd.io"


@dataclass(frozen=True)
class Stated:
    """A Flux Kustomization in a file. ``where`` is ``file: namespace/name``; ``flux`` has its path in normal form."""

    where: str
    name: str
    namespace: str
    flux: FluxPath
    substitute_from: tuple[str, ...]  # ConfigMaps and Secrets whose variables are not known here


def stated(tree: Tree) -> list[Stated]:
    """Every Flux Kustomization of a repository, in order of its files."""
    found: list[Stated] = []
    for path in tree.paths():
        if not path.endswith((".yaml", ".yml")) or not _may_state(tree.read(path)):
            continue
        try:
            roots = parse(path, tree.read(path)).roots()
        except Refusal:
            continue
        for _, root in roots:
            if root.text("kind") == "Kustomization" and root.text("apiVersion").startswith(f"{GROUP}/"):
                try:
                    found.append(_stated(path, root))
                except Refusal:
                    continue  # a path that leads out of the repository applies nothing of it
    return found


def _may_state(content: bytes) -> bool:
    return GROUP.encode() in content and b"Kustomization" in content


def _stated(path: str, root: Node) -> Stated:
    name, namespace = root.text("metadata", "name"), root.text("metadata", "namespace")
    sources = root.elements("spec", "postBuild", "substituteFrom")
    patches = tuple(_patch(item) for item in root.elements("spec", "patches"))
    flux = FluxPath(
        normal(root.text("spec", "path") or "."),
        target_namespace=root.text("spec", "targetNamespace"),
        name_prefix=root.text("spec", "namePrefix"),
        name_suffix=root.text("spec", "nameSuffix"),
        substitute=root.texts("spec", "postBuild", "substitute"),
        substitute_from=tuple(f"{item.text('kind')} {item.text('name')}" for item in sources),
        components=tuple(item.real.value for item in root.elements("spec", "components")),
        patches=patches,
        common_annotations=root.texts("spec", "commonMetadata", "annotations"),
        common_labels=root.texts("spec", "commonMetadata", "labels"),
        source=root.text("spec", "sourceRef", "name"),
    )
    return Stated(
        f"{path}: {namespace}/{name}", name, namespace, flux, tuple(item.text("name") for item in sources)
    )


def _patch(item: Node) -> tuple[dict[str, str], str]:
    return item.texts("target"), item.text("patch")


def options_in(tree: Tree, path: str) -> FluxPath | None:
    """The options of the one Flux Kustomization that the repository states for a path; None where not exactly one."""
    found = [each for each in stated(tree) if each.flux.path == normal(path)]
    return found[0].flux if len(found) == 1 else None
