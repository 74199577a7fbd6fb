"""Flux Kustomizations that a repository itself states: their paths and options, and which repositories they apply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from gitops.change import Tree
from gitops.errors import Refusal
from gitops.values import FluxPath
from gitops.walk import normal
from gitops.yamltext import Node, parse

GROUP = "kustomize.toolkit.fluxcd.io"
SOURCE_GROUP = "source.toolkit.fluxcd.io"
OPERATOR_GROUP = "fluxcd.controlplane.io"


@dataclass(frozen=True)
class Stated:
    """A Flux Kustomization in a file. ``where`` is ``file: namespace/name``; ``flux`` has its path in normal form."""

    where: str
    name: str
    namespace: str
    flux: FluxPath
    substitute_from: tuple[str, ...]  # ConfigMaps and Secrets whose variables are not known here
    source_kind: str = ""
    source_namespace: str = ""


def stated(tree: Tree) -> list[Stated]:
    """Every Flux Kustomization of a repository, in order of its files."""
    found: list[Stated] = []
    for path, root in _objects(tree, GROUP, "Kustomization"):
        try:
            found.append(_stated(path, root))
        except Refusal:
            continue  # a path that leads out of the repository applies nothing of it
    return found


def _objects(tree: Tree, group: str, kind: str) -> Iterator[tuple[str, Node]]:
    """Every object of a kind that the repository states, with its file."""
    for path in tree.paths():
        if not path.endswith((".yaml", ".yml")):
            continue
        content = tree.read(path)
        if group.encode() not in content or kind.encode() not in content:
            continue
        try:
            roots = parse(path, content).roots()
        except Refusal:
            continue
        for _, root in roots:
            if root.text("kind") == kind and root.text("apiVersion").startswith(f"{group}/"):
                yield path, root


class Repositories:
    """The GitRepository objects that a repository states, to tell another repository from this one under another name."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def _urls(self) -> dict[str, list[tuple[str, str]]]:
        """Name: (namespace as written, URL), also of the source that the Flux operator makes."""
        found: dict[str, list[tuple[str, str]]] = {}
        for _, root in _objects(self._tree, SOURCE_GROUP, "GitRepository"):
            stated = (root.text("metadata", "namespace"), comparable(root.text("spec", "url")))
            found.setdefault(root.text("metadata", "name"), []).append(stated)
        for _, root in _objects(self._tree, OPERATOR_GROUP, "FluxInstance"):
            namespace = root.text("metadata", "namespace")
            if root.text("spec", "sync", "kind") == "GitRepository":
                name = root.text("spec", "sync", "name") or namespace or "flux-system"
                found.setdefault(name, []).append((namespace, comparable(root.text("spec", "sync", "url"))))
        return found

    def urls(self, name: str, namespace: str = "") -> set[str]:
        """URLs of the source of a name, "" among them where one is not known for certain. A namespace that is not
        written may be any."""
        return {
            url for where, url in self._urls.get(name, []) if not (where and namespace) or where == namespace
        }

    def surely_another(self, kustomization: Stated, source: str) -> bool:
        """Whether a Kustomization applies another repository than the source of that name does."""
        name = kustomization.flux.source
        if not source or name in ("", source):
            return False
        if kustomization.source_kind not in ("", "GitRepository"):
            return True
        mine = self.urls(source)
        theirs = self.urls(name, kustomization.source_namespace)
        return bool(mine and theirs) and "" not in mine | theirs and not mine & theirs


def comparable(url: str) -> str:
    """A repository's URL without what may differ between two of the same: scheme, user, port, ``.git``. "" if unsure."""
    text = re.sub(r"^[a-z+]+://", "", url.strip().lower())
    text = re.sub(r"^[^/@]*@", "", text)
    text = re.sub(r"^([^/:]+):(\d+(?=/))?", r"\1/", text).replace("//", "/")
    return "" if "${" in url else text.rstrip("/").removesuffix(".git")


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
        f"{path}: {namespace}/{name}",
        name,
        namespace,
        flux,
        tuple(item.text("name") for item in sources),
        root.text("spec", "sourceRef", "kind"),
        root.text("spec", "sourceRef", "namespace") or namespace,
    )


def _patch(item: Node) -> tuple[dict[str, str], str]:
    return item.texts("target"), item.text("patch")


def options_in(tree: Tree, path: str) -> FluxPath | None:
    """The options of the one Flux Kustomization that the repository states for a path; None where not exactly one."""
    found = [each for each in stated(tree) if each.flux.path == normal(path)]
    return found[0].flux if len(found) == 1 else None
