"""The bare git repository DIR/git/fleet.git: copied from the manifests beside this file, in a few commits."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sandbox.flux.git import git

SOURCE = Path(__file__).parent / "fleet"
BRANCH = "main"

# Commit message and what it adds. `CLUSTER` stands for the cluster of the scenario.
_COMMITS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Describe the fleet", ("README.md",)),
    ("Create namespaces and limit them", ("infrastructure/CLUSTER", "clusters/CLUSTER/infrastructure.yaml")),
    ("Protect claims against pruning", ("shared", "components")),
    ("Refuse the deletion of protected claims", ("infrastructure/policies",)),
    ("Run the photo service", ("apps/photos", "clusters/CLUSTER/photos.yaml")),
    ("Prepare the move of the photo service to its own namespace", ("apps/photos-new",)),
    ("Run everything else", ("apps", "clusters/CLUSTER")),
)


def create(data: Path, cluster: str) -> Path:
    """The repository of a cluster, made if it is not there. Cloneable by its path or as file://<path>."""
    bare = data / "git" / "fleet.git"
    if bare.exists():
        return bare
    bare.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fleet-", dir=bare.parent) as scratch:
        work = Path(scratch) / "work"
        git("init", "-q", f"--initial-branch={BRANCH}", str(work))
        for message, paths in _COMMITS:
            _commit(work, message, [path.replace("CLUSTER", cluster) for path in paths])
        made = Path(scratch) / "fleet.git"
        git("clone", "-q", "--bare", str(work), str(made))
        git("--git-dir", str(made), "config", "receive.denyNonFastForwards", "true")
        made.rename(bare)
    return bare


def _commit(work: Path, message: str, paths: list[str]) -> None:
    for path in paths:
        source, target = SOURCE / path, work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    git("add", "-A", cwd=work)
    git("commit", "-q", "-m", message, cwd=work)
