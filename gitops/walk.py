"""Follows a kustomization tree as kustomize builds it, for objects of the kinds that are asked for.

Only names, namespaces, labels and annotations are followed: that is what decides which object a document is and
whether Flux prunes it. Whatever could hide or rename an object is remembered as a blind spot, never guessed.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from gitops.change import Tree, resolve
from gitops.errors import Reason, Refusal
from gitops.kustomization import RESOURCE_FIELDS, Kustomization, kustomization_path, load, target
from gitops.transform import after_build, apply_options, transform
from gitops.values import FluxPath, Stamp
from gitops.yamltext import Node, YamlFile, parse

IGNORED_NAMES = (".sops.yaml", ".flux.yaml", ".goreleaser.yml")  # Flux leaves these out of its artifacts


@dataclass(frozen=True)
class Listing:
    """The entry that brought an object or a directory in. ``kustomization`` "" is one that Flux makes up."""

    kustomization: str
    field: str
    position: int
    entry: str


@dataclass
class Instance:
    """One object on its way through the tree; names are those of the moment."""

    path: str
    document: int
    item: int | None
    node: Node
    file: YamlFile
    name: str
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]
    listings: list[Listing] = field(default_factory=list)  # from the file up to the top
    names: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # kustomization: (namespace, name) at its patches
    stamps: list[Stamp] = field(default_factory=list)
    doubts: list[Refusal] = field(default_factory=list)
    touched: list[tuple[str, str]] = field(default_factory=list)  # (file, what) that changes more than names
    deleted: bool = False
    built_name: str = ""  # as kustomize leaves it, before variables of Flux

    @property
    def kind(self) -> str:
        return self.node.text("kind")

    @property
    def group(self) -> str:
        version = self.node.text("apiVersion")
        return version.rpartition("/")[0]

    @property
    def encrypted(self) -> bool:
        return any(root.at("sops", "mac") is not None for _, root in self.file.roots())


@dataclass
class Blind:
    """A place that may declare objects that cannot be seen."""

    refusal: Refusal


@dataclass
class Walk:
    """Result: all instances of the kinds, what could not be seen into, every kustomization and file that takes part."""

    instances: list[Instance] = field(default_factory=list)
    files: list[str] = field(default_factory=list)  # of objects of any kind, as often as they are listed
    blind: list[Refusal] = field(default_factory=list)
    kustomizations: dict[str, Kustomization] = field(default_factory=dict)


class Walker:
    """Builds a `Walk` of one Flux path. ``kinds`` are the kinds of objects to follow."""

    def __init__(self, tree: Tree, kinds: frozenset[str]) -> None:
        self.tree = tree
        self.kinds = kinds
        self.result = Walk()
        self.files: dict[str, YamlFile] = {}
        self.loading: list[str] = []

    def run(self, flux: FluxPath) -> Walk:

        directory = normal(flux.path)
        path = kustomization_path(self.tree, directory)
        if path is not None:
            instances = self.kustomization(path, flux)
        else:
            instances = self.made_up(directory)
            for entry in flux.components:
                instances = self.component(Listing("", "components", -1, entry), directory, instances)
            apply_options(flux, instances)
        after_build(flux, instances)
        self.result.instances = instances
        return self.result

    def made_up(self, directory: str) -> list[Instance]:
        """What Flux generates where a directory has no kustomization file: every YAML file and nested tree."""
        if not self.tree.is_directory(directory):
            raise Refusal(Reason.MISSING, f"The directory {directory} does not exist.", path=directory)
        instances: list[Instance] = []
        nested: list[str] = []
        for path in self.tree.paths(directory):
            if any(path.startswith(f"{each}/") for each in nested):
                continue
            inner = outermost(self.tree, directory, path)
            if inner is not None:
                nested.append(posixpath.dirname(inner))
                instances += self._listed(self.kustomization(inner), Listing("", "resources", -1, inner))
            elif path.endswith((".yaml", ".yml")) and posixpath.basename(path) not in IGNORED_NAMES:
                instances += self._listed(self.objects(path), Listing("", "resources", -1, path))
        for instance in instances:
            instance.names[""] = (instance.namespace, instance.name)
        return instances

    def kustomization(self, path: str, flux: FluxPath | None = None) -> list[Instance]:
        """Objects of a kustomization after all of its transformations."""

        level = self._enter(path)
        instances = self._resources(level)
        for name, position, entry in level.entries("components"):
            instances = self.component(Listing(path, name, position, entry), level.directory, instances)
        for entry in flux.components if flux else ():
            instances = self.component(Listing(path, "components", -1, entry), level.directory, instances)
        self._hidden(level)
        transform(self, level, instances, flux=flux)
        self.loading.pop()
        return instances

    def component(self, listing: Listing, directory: str, instances: list[Instance]) -> list[Instance]:
        """What has been gathered so far, with a component's own objects, after the component's changes."""

        try:
            found = target(self.tree, directory, listing.entry)
        except Refusal as refusal:
            self.result.blind.append(refusal)
            return instances
        if found.kind == "remote":
            self._blind(
                Reason.REMOTE, f"{listing.entry} lies outside of this repository.", listing.kustomization
            )
            for instance in instances:
                instance.doubts.append(self.result.blind[-1])
            return instances
        level = self._enter(found.path)
        own = self._resources(level)
        everything = instances + self._listed(own, listing)
        for name, position, entry in level.entries("components"):
            everything = self.component(
                Listing(found.path, name, position, entry), level.directory, everything
            )
        self._hidden(level)
        transform(self, level, everything, component=True)
        self.loading.pop()
        return everything

    def _enter(self, path: str) -> Kustomization:
        if path in self.loading:
            raise Refusal(Reason.UNREADABLE, f"{path} contains itself.", path=path)
        self.loading.append(path)
        if path not in self.result.kustomizations:
            self.result.kustomizations[path] = load(self.tree, path)
        return self.result.kustomizations[path]

    def _resources(self, level: Kustomization) -> list[Instance]:
        instances: list[Instance] = []
        for name, position, entry in level.entries(*RESOURCE_FIELDS):
            listing = Listing(level.path, name, position, entry)
            try:
                found = target(self.tree, level.directory, entry)
            except Refusal as refusal:
                self.result.blind.append(refusal)
                continue
            if found.kind == "remote":
                self._blind(Reason.REMOTE, f"{entry} lies outside of this repository.", level.path)
            elif found.kind == "file":
                instances += self._listed(self.objects(found.path), listing)
            else:
                instances += self._listed(self.kustomization(found.path), listing)
        return instances

    def _listed(self, instances: list[Instance], listing: Listing) -> list[Instance]:
        for instance in instances:
            instance.listings.append(listing)
        return instances

    def _hidden(self, level: Kustomization) -> None:
        if level.root.elements("helmCharts") or level.root.elements("helmChartInflationGenerator"):
            self._blind(Reason.HELM_CHART, f"{level.path} inflates a Helm chart.", level.path)
        if level.root.elements("generators"):
            self._blind(Reason.GENERATED, f"{level.path} runs generators.", level.path)

    def _blind(self, reason: Reason, what: str, path: str) -> None:
        self.result.blind.append(Refusal(reason, what, path=path))

    def objects(self, path: str) -> list[Instance]:
        """Objects of the kinds that a file states, List documents opened."""
        self.result.files.append(path)
        content = self.tree.read(path)
        if not any(kind.encode() in content for kind in self.kinds):
            return []
        try:
            file = self.files.get(path) or parse(path, content)
        except Refusal as refusal:
            self.result.blind.append(refusal)
            return []
        self.files[path] = file
        instances: list[Instance] = []
        for index, root in file.roots():
            instances += self._of_document(path, file, index, root)
        return instances

    def _of_document(self, path: str, file: YamlFile, index: int, root: Node) -> list[Instance]:
        if root.kind != "map":
            return []
        kind = root.text("kind")
        if kind.endswith("List") and root.at("items") is not None:
            items = root.elements("items")
            found = [_instance(path, file, index, position, item.real) for position, item in enumerate(items)]
        else:
            found = [_instance(path, file, index, None, root)]
        return [instance for instance in found if instance.kind in self.kinds]


def _instance(path: str, file: YamlFile, index: int, item: int | None, node: Node) -> Instance:
    return Instance(
        path, index, item, node, file,
        name=node.text("metadata", "name"),
        namespace=node.text("metadata", "namespace"),
        labels=node.texts("metadata", "labels"),
        annotations=node.texts("metadata", "annotations"),
    )  # fmt: skip


def outermost(tree: Tree, directory: str, path: str) -> str | None:
    """The kustomization file of the highest directory between ``directory`` and the file, or None."""
    inner = path[len(directory) + 1 if directory else 0 :].split("/")[:-1]
    for depth in range(1, len(inner) + 1):
        found = kustomization_path(tree, posixpath.join(directory, *inner[:depth]))
        if found is not None:
            return found
    return None


def normal(path: str) -> str:
    """A Flux ``spec.path`` as a path relative to the root ("" is the root itself)."""
    return resolve("", path.strip().lstrip("/") or ".")
