"""Undoes a change in a tree that may have moved on since."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from gitops.change import Change, FileEdit, Tree, inverse
from gitops.errors import Reason, Refusal
from gitops.yamltext import parse


def revert(tree: Tree, change: Change) -> Change:
    """Put back what a change took, and take what it added; what others changed meanwhile in the same files stays.

    Refuses (UNCERTAIN, with the diff to apply by hand) where both touched the same lines.
    """
    back = inverse(change)
    trial = tree.fork()
    for edit in back.edits:
        trial.write(edit.path, _merged(edit, tree.content(edit.path), back))
    result = trial.change(back.summary, since=tree)
    tree.adopt(trial)
    return result


def _merged(edit: FileEdit, present: bytes | None, back: Change) -> bytes | None:
    if present in (edit.before, edit.after):
        return edit.after
    if present is None or edit.before is None or edit.after is None:
        raise _conflict(edit.path, back)
    merged = _three_way(present, edit.before, edit.after)
    if merged is None:
        raise _conflict(edit.path, back)
    if edit.path.endswith((".yaml", ".yml", ".json")):
        parse(edit.path, merged)
    return merged


def _three_way(present: bytes, base: bytes, wanted: bytes) -> bytes | None:
    """The lines of git's own three-way merge, or None where it sees a conflict."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("present", "base", "wanted")]
        for path, content in zip(paths, (present, base, wanted), strict=True):
            path.write_bytes(content)
        done = subprocess.run(
            ["git", "merge-file", "--stdout", "--quiet", *map(str, paths)],
            capture_output=True, check=False, timeout=60, cwd=folder, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return done.stdout if done.returncode == 0 else None


def _conflict(path: str, back: Change) -> Refusal:
    return Refusal(
        Reason.UNCERTAIN, f"{path} was changed since, in the same place: the change cannot be undone with certainty.",
        path=path, by_hand=back.diff,
    )  # fmt: skip
