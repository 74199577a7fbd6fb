"""Builds a tree with kubectl kustomize, and says in lines what is different between two builds."""

from pathlib import Path
from typing import Any

import pytest

from gitops.build import BuildError, build, compare, program
from gitops.change import Change, Tree
from gitops.errors import Refusal
from gitops.kustomization import FILE_NAMES
from gitops.values import FluxPath


def needs_kustomize() -> None:
    if program() is None:
        pytest.skip("NEITHER kubectl NOR kustomize IS INSTALLED: what the edits build is not checked")


def applied(root: Path, change: Change) -> Tree:
    """The tree of a directory with a change in it."""
    tree = Tree.of(root)
    for edit in change.edits:
        tree.write(edit.path, edit.after)
    return tree


def difference(before: Tree, after: Tree, path: str) -> list[str]:
    """Lines ``removed|added|changed Kind namespace/name``, the changed ones with each field. [] where nothing builds."""
    try:
        old = build(before, FluxPath(path))
    except (BuildError, Refusal):
        return ["does not build"]
    new = build(after, FluxPath(path))
    found = compare(old, new)
    lines = [f"removed {ref}" for ref in found.removed] + [f"added {ref}" for ref in found.added]
    for ref in found.changed:
        lines += [f"changed {ref} {line}" for line in fields(old[ref], new[ref])]
    return sorted(lines)


def fields(old: Any, new: Any, where: str = "") -> list[str]:
    if old == new:
        return []
    if old[0] == new[0] == "map":
        before, after = _by_key(old), _by_key(new)
        lines = []
        for key in sorted(before.keys() | after.keys()):
            nothing = ("none", "nothing")
            lines += fields(before.get(key, nothing), after.get(key, nothing), f"{where}/{key}")
        return lines
    return [f"{where}: {_short(old)} -> {_short(new)}"]


def _by_key(whole: Any) -> dict[str, Any]:
    return {key[1][1] if key[0] == "scalar" else key[1]: value for key, value in whole[1][1:]}


def _short(value: Any) -> str:
    kind, body = value
    if kind == "map":
        return "{" + ", ".join(f"{_short(key)}: {_short(each)}" for key, each in body[1:]) + "}"
    if kind == "list":
        return "[" + ", ".join(_short(each) for each in body[1:]) + "]"
    return (
        repr(body[1])
        if kind == "scalar" and "\n" in body[1]
        else str(body[1])
        if kind == "scalar"
        else str(body)
    )


def directories(tree: Tree) -> set[str]:
    """Every directory with a kustomization file."""
    return {path.rpartition("/")[0] for path in tree.paths() if path.rpartition("/")[2] in FILE_NAMES}
