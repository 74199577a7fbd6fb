"""From a path in an artifact to the objects that it declares, as kustomize-controller builds them.

Uses `kubectl kustomize` (or kustomize) where it is found, otherwise the builder in sandbox.flux.kustomize.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from sandbox.answers import Object
from sandbox.flux import kustomize
from sandbox.flux.metadata import add_metadata
from sandbox.flux.prepare import prepare
from sandbox.flux.substitute import substitute

_TIMEOUT_S = 60.0
_CACHED = 64


class BuildFailed(Exception):
    """The tree cannot be built; the message is kustomize's."""


class PathNotFound(Exception):
    """spec.path is not in the artifact."""


class Builder:
    """Builds, and remembers what it built: the same tree and spec give the same objects."""

    def __init__(self, program: str | None = None) -> None:
        """`program` is 'kubectl', 'kustomize' or 'own'; by default HOLDFAST_SANDBOX_KUSTOMIZE, else what is found."""
        self.program = program or os.environ.get("HOLDFAST_SANDBOX_KUSTOMIZE") or _found_program()
        self._cache: OrderedDict[str, list[Object]] = OrderedDict()
        self._lock = Lock()

    def build(self, tree: Path, spec: Object, variables: dict[str, str] | None = None) -> list[Object]:
        """The objects that spec.path of a tree declares. BuildFailed or PathNotFound."""
        relevant = {key: spec.get(key) for key in _RELEVANT}
        key = repr((str(tree), relevant, variables))
        with self._lock:
            cached = self._cache.get(key)
        if cached is None:
            cached = self._build(tree, spec, variables)
            with self._lock:
                self._cache[key] = cached
                while len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
        return copy.deepcopy(cached)

    def _build(self, tree: Path, spec: Object, variables: dict[str, str] | None) -> list[Object]:
        with tempfile.TemporaryDirectory(prefix="kustomization-") as scratch:
            work = Path(scratch).resolve() / "tree"
            shutil.copytree(tree, work, symlinks=True, ignore=shutil.ignore_patterns(".git"))
            directory = _inside(work, str(spec.get("path") or "./"))
            try:
                prepare(directory, spec)
                objects = self._run(directory)
            except (kustomize.KustomizeError, OSError, yaml.YAMLError) as error:
                raise BuildFailed(str(error).replace(str(work), "")) from error
        objects = [substitute(item, variables) for item in objects] if variables is not None else objects
        common = spec.get("commonMetadata") or {}
        for item in objects:
            for place in ("labels", "annotations"):
                if common.get(place):
                    add_metadata(item, place, common[place])
        return objects

    def _run(self, directory: Path) -> list[Object]:
        if self.program == "own":
            return kustomize.build(directory)
        return run_program(self.program, directory)


_RELEVANT = (
    "path",
    "targetNamespace",
    "namePrefix",
    "nameSuffix",
    "patches",
    "images",
    "components",
    "commonMetadata",
)


def run_program(program: str, directory: Path) -> list[Object]:
    """The output of `kubectl kustomize` or `kustomize build`, parsed. KustomizeError with what it printed."""
    verb = "kustomize" if Path(program).name == "kubectl" else "build"
    command = [program, verb, "--load-restrictor=LoadRestrictionsNone", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise kustomize.KustomizeError(f"kustomize build took longer than {_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        raise kustomize.KustomizeError(
            f"kustomize build failed: {done.stderr.decode(errors='replace').strip()}"
        )
    return [item for item in yaml.load_all(done.stdout, Loader=kustomize.Loader) if item]


def _found_program() -> str:
    return next((program for program in ("kustomize", "kubectl") if shutil.which(program)), "own")


def _inside(work: Path, path: str) -> Path:
    directory = Path(os.path.normpath(work / path.lstrip("/")))
    if not directory.is_relative_to(work) or not directory.is_dir():
        raise PathNotFound(f"kustomization path not found: stat {path}: no such file or directory")
    return directory


def variables_of(spec: Object, read: Any) -> dict[str, str] | None:
    """The variables of spec.postBuild, None without one. `read(kind, name, optional)` gives a source's data."""
    post_build = spec.get("postBuild")
    if not post_build:
        return None
    values: dict[str, str] = {}
    for source in post_build.get("substituteFrom") or []:
        values.update(read(source["kind"], source["name"], bool(source.get("optional"))))
    values.update({key: str(value) for key, value in (post_build.get("substitute") or {}).items()})
    return values
