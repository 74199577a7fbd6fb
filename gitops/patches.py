"""Adds a patch, or an entry for a file, to a kustomization."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from gitops import edit
from gitops.change import Tree
from gitops.errors import Reason, Refusal
from gitops.kustomization import Kustomization
from gitops.locate import Found
from gitops.selectors import Selector, matches


def regular(name: str) -> str:
    """A name as the anchored regular expression that selects exactly it."""
    return name.replace(".", "\\.")


def selector_at(found: Found, kustomization: str) -> dict[str, str]:
    """A target that selects exactly this object among those that reach a kustomization. Refuses where none does."""
    namespace, name = found.instance.names[kustomization]
    selector = {"kind": found.instance.kind, "name": regular(name)}
    reaching = [each for each in found.walk.instances if kustomization in each.names]
    if sum(1 for each in reaching if matches(Selector.of_mapping(selector), each)) > 1 and namespace:
        selector["namespace"] = namespace
    if sum(1 for each in reaching if matches(Selector.of_mapping(selector), each)) > 1:
        raise Refusal(
            Reason.TRANSFORMED, f"A patch in {kustomization} could not tell {found.declaration.ref} from another.",
            path=kustomization,
        )  # fmt: skip
    return selector


def add_patch(tree: Tree, level: Kustomization, selector: Mapping[str, str], patch: str) -> None:
    """Append a patch with a target to ``patches`` of a kustomization."""
    lines = ["target:", *edit.entries(selector, "  "), "patch: |-"]
    lines += [f"  {line}" for line in patch.rstrip("\n").split("\n")]
    edited = edit.append_item(level.file, 0, ("patches",), "\n".join(lines) + "\n")
    tree.write(level.path, edited.content)


def add_entry(tree: Tree, level: Kustomization, field: str, path: str) -> None:
    """Append a file or a directory (path from the root) to a list of a kustomization."""
    entry = posixpath.relpath(path, level.directory or ".")
    edited = edit.append_item(level.file, 0, (field,), edit.written_scalar(entry))
    tree.write(level.path, edited.content)
