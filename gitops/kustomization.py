"""Reads kustomization files, and finds what their entries stand for."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from gitops.change import Tree, resolve
from gitops.errors import Reason, Refusal
from gitops.yamltext import Node, YamlFile, parse

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
RESOURCE_FIELDS = ("resources", "bases")
_FILE_LISTS = ("transformers", "generators", "validators", "patchesStrategicMerge", "crds", "configurations")
_REMOTE = re.compile(
    r"(^[a-z+]+://)|(^git@)|(^git::)|(^github\.com[/:])|([?&]ref=)|(^[\w.-]+\.[a-z]{2,}/.+//)"
)


@dataclass
class Kustomization:
    """One kustomization file. ``path`` is its file, ``directory`` where its entries are relative to."""

    path: str
    directory: str
    file: YamlFile
    root: Node

    @property
    def kind(self) -> str:
        return self.root.text("kind") or "Kustomization"

    def entries(self, *names: str) -> list[tuple[str, int, str]]:
        """(field, position, text) of each scalar item of the named lists."""
        found = []
        for name in names:
            for position, item in enumerate(self.root.elements(name)):
                if item.real.kind == "scalar" and not item.real.is_null:
                    found.append((name, position, item.real.value))
        return found

    def other_files(self) -> list[str]:
        """Paths, as written, of files that are used and not listed: by generators, patches, replacements, transformers."""
        found = [text for _, _, text in self.entries(*_FILE_LISTS) if "\n" not in text]
        found += [self.root.text("openapi", "path")]
        for field in ("patches", "patchesJson6902", "replacements"):
            found += [item.text("path") for item in self.root.elements(field)]
        for field in ("configMapGenerator", "secretGenerator"):
            for item in self.root.elements(field):
                files = [each.real.value for each in item.elements("files")]
                found += [each.partition("=")[2] or each for each in files]  # [KEY=]PATH
                found += [each.real.value for each in item.elements("envs")] + [item.text("env")]
        for item in self.root.elements("helmCharts"):
            found += [item.text("valuesFile")]
            found += [each.real.value for each in item.elements("additionalValuesFiles")]
        return [each for each in found if each]


def kustomization_path(tree: Tree, directory: str) -> str | None:
    """Path of the kustomization file in a directory, or None."""
    found = [path for name in FILE_NAMES if tree.exists(path := posixpath.join(directory, name))]
    if len(found) > 1:
        raise Refusal(Reason.UNREADABLE, f"{directory} has two kustomization files.", path=found[1])
    return found[0] if found else None


def load(tree: Tree, path: str) -> Kustomization:
    """Read a kustomization file. Refuses (UNREADABLE) what is not exactly one mapping."""
    file = parse(path, tree.read(path))
    roots = file.roots()
    if len(roots) != 1 or len(file.documents) != 1 or roots[0][1].kind != "map":
        raise Refusal(Reason.UNREADABLE, f"{path} is not one YAML mapping.", path=path)
    return Kustomization(path, posixpath.dirname(path), file, roots[0][1])


def is_remote(entry: str) -> bool:
    return bool(_REMOTE.search(entry))


@dataclass(frozen=True)
class Target:
    """What an entry stands for: a ``file``, a ``directory`` (its kustomization file in ``path``), or ``remote``."""

    kind: str
    path: str


def target(tree: Tree, directory: str, entry: str) -> Target:
    """What an entry of ``resources`` or ``components`` stands for. Refuses (MISSING, OUTSIDE)."""
    if is_remote(entry):
        return Target("remote", entry)
    path = resolve(directory, entry)
    if tree.exists(path):
        return Target("file", path)
    inner = kustomization_path(tree, path)
    if inner is not None:
        return Target("directory", inner)
    raise Refusal(
        Reason.MISSING, f"{entry}, named in {directory or 'the root'}, is neither a file nor a kustomization.",
        path=path, next_step="Mend the kustomization first: Flux cannot build it either.",
    )  # fmt: skip
