"""Where the source controller leaves what it fetched, and the Kustomization controller finds it."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from sandbox.flux.git import git

_KEPT = 3


class Artifacts:
    """Checked-out trees under DIR/flux, one directory a repository and commit."""

    def __init__(self, data: Path) -> None:
        self._root = data / "flux"

    def mirror(self, namespace: str, name: str) -> Path:
        """The bare clone of a repository."""
        return self._root / "mirror" / namespace / f"{name}.git"

    def tree(self, namespace: str, name: str, commit: str) -> Path:
        """The tree of one commit; it may not be there (any more)."""
        return self._root / "artifact" / namespace / name / commit

    def export(self, namespace: str, name: str, commit: str) -> Path:
        """Checks a commit out of the mirror, once, and forgets all but the newest few."""
        tree = self.tree(namespace, name, commit)
        if not tree.exists():
            work = tree.with_name(f".{commit}.{uuid.uuid4().hex[:8]}")
            work.mkdir(parents=True)
            mirror = self.mirror(namespace, name)
            git("--git-dir", str(mirror), "--work-tree", str(work), "checkout", "-q", "-f", commit, "--", ".")
            work.rename(tree)
        self._forget(tree)
        return tree

    def remove(self, namespace: str, name: str) -> None:
        """Removes everything of a repository."""
        shutil.rmtree(self.mirror(namespace, name), ignore_errors=True)
        shutil.rmtree(self._root / "artifact" / namespace / name, ignore_errors=True)

    def _forget(self, newest: Path) -> None:
        newest.touch()
        trees = sorted(newest.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in trees[_KEPT:]:
            shutil.rmtree(path, ignore_errors=True)
