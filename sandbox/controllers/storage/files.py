"""Copies and removes directory trees for snapshots, clones and volumes."""

from __future__ import annotations

import logging
import shutil
import stat
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

_ATTEMPTS = 3


class CopyFailed(Exception):
    """A tree could not be copied; the text says which path and why."""


def copy_tree(source: Path, destination: Path) -> None:
    """Copies a tree with owners, modes, times, links, holes and extended attributes; all or nothing.

    The copy appears under its name when it is complete. A source that changes meanwhile is copied again.
    """
    if destination.exists():
        return
    partial = destination.with_name(f".{destination.name}.partial")
    for attempt in range(_ATTEMPTS):
        remove_tree(partial)
        partial.mkdir(parents=True)
        command = ["cp", "-a", "--reflink=auto", "--sparse=auto", f"{source}/.", str(partial)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            partial.rename(destination)
            return
        log.warning("copy of %s, attempt %d: %s", source, attempt + 1, done.stderr[-500:])
    remove_tree(partial)
    raise CopyFailed(done.stderr.strip()[-500:])


def remove_tree(path: Path) -> None:
    """Removes a tree, also one with directories that its owner may not write to. No error when it is gone."""
    if not path.is_symlink() and not path.exists():
        return

    def force(function: object, failed: str, error: object) -> None:
        del function, error
        parent = Path(failed).parent
        parent.chmod(stat.S_IRWXU)
        item = Path(failed)
        if item.is_dir() and not item.is_symlink():
            item.chmod(stat.S_IRWXU)
            shutil.rmtree(item, onerror=force)
        else:
            item.unlink(missing_ok=True)

    shutil.rmtree(path, onerror=force)


def used_bytes(path: Path) -> int:
    """What the files of a tree take, without their holes."""
    total = 0
    for item in path.rglob("*"):
        found = item.lstat()
        total += found.st_blocks * 512
    return total
