"""Reads the files of a commit, and builds a tree with a change, in a bare clone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gitops.change import Change
from gitops.errors import PushConflict, RepositoryError
from gitops.git import Git

BULK_BYTES = 2 * 1024 * 1024  # a file up to this size is read together with all the others
_REGULAR = ("100644", "100755")


@dataclass
class CommitSource:
    """Files of one commit. YAML is read all at once: one process instead of one a file."""

    git: Git
    directory: Path
    commit: str
    _entries: dict[str, tuple[str, str, int]] = field(default_factory=dict)  # path: (mode, blob, bytes)
    _blobs: dict[str, bytes] = field(default_factory=dict)

    def paths(self) -> Iterable[str]:
        if not self._entries:
            self._entries = dict(entries(self.git, self.directory, self.commit))
        return [path for path, (mode, _, _) in self._entries.items() if mode in _REGULAR]

    def read(self, path: str) -> bytes:
        list(self.paths())
        _, blob, size = self._entries[path]
        if blob not in self._blobs:
            wanted = [blob] if size > BULK_BYTES or not _is_text(path) else self._bulk()
            self._blobs.update(_read(self.git, self.directory, [blob, *wanted]))
        return self._blobs[blob]

    def load(self) -> None:
        """Read all YAML now, so that a broken clone shows here and not in the middle of an edit."""
        list(self.paths())
        if wanted := self._bulk():
            self._blobs.update(_read(self.git, self.directory, wanted))

    def _bulk(self) -> list[str]:
        return [
            blob
            for path, (mode, blob, size) in self._entries.items()
            if mode in _REGULAR and size <= BULK_BYTES and _is_text(path) and blob not in self._blobs
        ]


def _is_text(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json", "Kustomization"))


def entries(git: Git, directory: Path, commit: str) -> Iterable[tuple[str, tuple[str, str, int]]]:
    """(path, (mode, blob, size in bytes)) of everything in a commit; the size of a submodule is 0."""
    listing = git.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit, git_dir=directory)
    for record in listing.decode("utf-8", "surrogateescape").split("\0"):
        if record:
            about, path = record.split("\t", 1)
            mode, _, blob, size = about.split()
            yield path, (mode, blob, int(size) if size.isdigit() else 0)


def _read(git: Git, directory: Path, blobs: list[str]) -> dict[str, bytes]:
    wanted = list(dict.fromkeys(blobs))
    out = git.run(
        "cat-file", "--batch", git_dir=directory, stdin="".join(f"{blob}\n" for blob in wanted).encode()
    )
    found: dict[str, bytes] = {}
    position = 0
    for blob in wanted:
        end = out.index(b"\n", position)
        header = out[position:end].split()
        if len(header) != 3 or header[1] != b"blob":
            raise RepositoryError(
                "The clone lacks an object that it should hold.",
                next_step="Refresh it: it is then cloned anew.",
            )
        size = int(header[2])
        found[blob] = out[end + 1 : end + 1 + size]
        position = end + 1 + size + 1
    return found


def write_tree(git: Git, directory: Path, base: str, change: Change) -> str:
    """Hash of a tree: that of ``base`` with the change in it. Raises PushConflict where ``before`` does not match."""
    present = dict(entries(git, directory, base))
    lines = []
    for edit in change.edits:
        mode, blob, _ = present.get(edit.path, ("100644", "", 0))
        held = _read(git, directory, [blob])[blob] if blob else None
        if held != edit.before:
            raise PushConflict(f"{edit.path} is not what the change was made from.", diff=change.diff)
        if edit.after is None:
            lines.append(f"0 {'0' * 40}\t{edit.path}")
        else:
            made = (
                git.run("hash-object", "-w", "--stdin", git_dir=directory, stdin=edit.after).decode().strip()
            )
            lines.append(f"{mode} {made}\t{edit.path}")
    with tempfile.TemporaryDirectory(dir=git.state) as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git.run("read-tree", base, git_dir=directory, extra=index)
        records = "".join(f"{line}\0" for line in lines).encode()
        git.run("update-index", "-z", "--index-info", git_dir=directory, stdin=records, extra=index)
        return git.run("write-tree", git_dir=directory, extra=index).decode().strip()
