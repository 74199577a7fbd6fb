"""Builds a Flux path with the kustomize program, where there is one, and compares two builds object by object.

A second opinion: the edits themselves do not depend on it.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gitops.change import Tree
from gitops.errors import GitOpsError, Reason
from gitops.kustomization import FILE_NAMES, kustomization_path
from gitops.statements import Plain, plain
from gitops.values import FluxPath, ObjectRef
from gitops.walk import IGNORED_NAMES, Walker, normal, outermost
from gitops.yamltext import parse


class BuildError(GitOpsError):
    """The tree does not build, or would need the network to build."""


@dataclass(frozen=True)
class Difference:
    """Objects by identity (kind, namespace, name as built)."""

    removed: tuple[ObjectRef, ...]
    added: tuple[ObjectRef, ...]
    changed: tuple[ObjectRef, ...]


def program() -> tuple[str, ...] | None:
    """The command that builds, or None where neither kustomize nor kubectl is installed."""
    for name, arguments in (("kustomize", ("build",)), ("kubectl", ("kustomize",))):
        found = shutil.which(name)
        if found:
            return (found, *arguments, "--load-restrictor", "LoadRestrictionsNone")
    return None


def build(tree: Tree, flux: FluxPath, *, timeout_s: float = 60) -> dict[ObjectRef, Plain]:
    """What the Flux path makes, before variables and options of the Flux Kustomization. Raises BuildError.

    A directory without a kustomization file gets the one that Flux would generate.
    """
    command = program()
    if command is None:
        raise BuildError("Neither kustomize nor kubectl is installed.", next_step="Install one of them.")
    walk = Walker(tree, frozenset({"PersistentVolumeClaim"})).run(flux)
    if any(each.reason == Reason.REMOTE for each in walk.blind):
        raise BuildError("The tree has remote bases; it is not built here.")
    directory = normal(flux.path)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_out(tree, root)
        if kustomization_path(tree, directory) is None:
            (root / directory / FILE_NAMES[0]).write_text(generated(tree, directory), encoding="utf-8")
        return _objects(_run([*command, str(root / directory)], root, timeout_s))


def _run(command: list[str], root: Path, timeout_s: float) -> bytes:
    environment = {"HOME": str(root), "PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"The build took longer than {timeout_s:g} s.") from None
    if done.returncode != 0:
        text = done.stderr.decode("utf-8", "replace").replace(f"{root}/", "").strip()
        raise BuildError(f"The tree does not build: {text[-600:]}")
    return done.stdout


def write_out(tree: Tree, root: Path) -> None:
    """Write all files of a tree into an empty directory."""
    for path in tree.paths():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(tree.read(path))


def generated(tree: Tree, directory: str) -> str:
    """The kustomization that Flux makes up for a directory that has none."""
    entries: list[str] = []
    for path in tree.paths(directory):
        inner = outermost(tree, directory, path)
        listed = posixpath.dirname(inner) if inner else path
        plain_file = path.endswith((".yaml", ".yml")) and posixpath.basename(path) not in IGNORED_NAMES
        if (inner or plain_file) and listed not in entries:
            entries.append(listed)
    lines = [f"  - {posixpath.relpath(entry, directory or '.')}" for entry in entries]
    return "\n".join(
        ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources:", *lines, ""]
    )


def _objects(output: bytes) -> dict[ObjectRef, Plain]:
    objects: dict[ObjectRef, Plain] = {}
    for _, root in parse("build", output).roots():
        ref = ObjectRef(root.text("kind"), root.text("metadata", "namespace"), root.text("metadata", "name"))
        objects[ref] = plain(root)
    return objects


def compare(before: dict[ObjectRef, Plain], after: dict[ObjectRef, Plain]) -> Difference:
    """What went, what came, and what is another object under the same name."""
    return Difference(
        removed=tuple(ref for ref in before if ref not in after),
        added=tuple(ref for ref in after if ref not in before),
        changed=tuple(ref for ref in before if ref in after and before[ref] != after[ref]),
    )
