"""Values: an edit of one file, a change of several, and a tree of files that edits can be laid over."""

from __future__ import annotations

import difflib
import hashlib
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gitops.errors import Reason, Refusal


@dataclass(frozen=True)
class FileEdit:
    """One file before and after, as bytes. ``before`` None: created. ``after`` None: deleted."""

    path: str
    before: bytes | None
    after: bytes | None

    @property
    def diff(self) -> str:
        """Unified diff as ``git diff`` shows it (``a/`` and ``b/`` prefixes, ``/dev/null``)."""
        lines = difflib.unified_diff(
            _lines(self.before),
            _lines(self.after),
            "/dev/null" if self.before is None else f"a/{self.path}",
            "/dev/null" if self.after is None else f"b/{self.path}",
        )
        return "".join(_with_newline_note(line) for line in lines)


@dataclass(frozen=True)
class Change:
    """Edits that belong together. Empty ``edits`` means that the tree already says what was asked for.

    ``notes`` are sentences for the person who reviews: what this change does not do, what else refers to the object.
    """

    edits: tuple[FileEdit, ...]
    summary: str
    notes: tuple[str, ...] = ()

    @property
    def diff(self) -> str:
        """Unified diff of all edits, in order of their paths."""
        return "".join(edit.diff for edit in self.edits)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of paths and bytes before and after: equal digests are the same change of the same files."""
        digest = hashlib.sha256()
        for edit in self.edits:
            for part in (edit.path.encode(), edit.before, edit.after):
                digest.update(b"-" if part is None else b"+%d:" % len(part) + part)
        return digest.hexdigest()

    @property
    def effect(self) -> str:
        """SHA-256 (hex) of the lines that go and come in each file: unlike `digest` it stays the same when somebody
        else changes other lines of these files meanwhile."""
        digest = hashlib.sha256()
        for edit in self.edits:
            lines = edit.diff.splitlines()[2:]
            kept = [line for line in lines if line.startswith(("+", "-"))]
            digest.update("\n".join([edit.path, *kept, ""]).encode())
        return digest.hexdigest()

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(edit.path for edit in self.edits)


class Source(Protocol):
    """Where a tree reads from: a directory, or a commit of a repository. Paths are relative, with slashes."""

    def paths(self) -> Iterable[str]:
        """Every regular file; links and submodules are left out."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of a file that `paths` names."""
        ...


@dataclass
class DirectorySource:
    """Files of a directory. Links are not followed; ``.git`` is left out."""

    root: Path

    def paths(self) -> Iterable[str]:
        for folder, names, files in self.root.walk() if hasattr(self.root, "walk") else _walk(self.root):
            names[:] = sorted(name for name in names if name != ".git")
            for name in sorted(files):
                path = folder / name
                if path.is_file() and not path.is_symlink():
                    yield path.relative_to(self.root).as_posix()

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()


@dataclass
class Tree:
    """Files of one moment, and edits in memory over them. Several requests may be made on one tree, in turn."""

    source: Source
    _edits: dict[str, bytes | None] = field(default_factory=dict)
    _known: frozenset[str] | None = None
    _cache: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: str | Path) -> Tree:
        """A tree over a directory on disk (never written to)."""
        return cls(DirectorySource(Path(directory)))

    def exists(self, path: str) -> bool:
        return self._edits[path] is not None if path in self._edits else path in self._originals()

    def read(self, path: str) -> bytes:
        """Bytes of a file as edited so far. Refuses (MISSING) where there is none."""
        content = self._edits[path] if path in self._edits else self.original(path)
        if content is None:
            raise Refusal(Reason.MISSING, f"{path} does not exist in the repository.", path=path)
        return content

    def original(self, path: str) -> bytes | None:
        """Bytes of a file before any edit, or None."""
        if path not in self._originals():
            return None
        if path not in self._cache:
            self._cache[path] = self.source.read(path)
        return self._cache[path]

    def paths(self, under: str = "") -> list[str]:
        """Sorted paths of files at any depth below the directory ``under`` ("" is the root)."""
        prefix = f"{under}/" if under else ""
        present = {path for path in self._originals() if path not in self._edits}
        present |= {path for path, content in self._edits.items() if content is not None}
        return sorted(path for path in present if path.startswith(prefix))

    def is_directory(self, path: str) -> bool:
        return path == "" or any(True for _ in self.paths(path))

    def write(self, path: str, content: bytes | None) -> None:
        """Lay an edit over the tree; None deletes."""
        self._edits[path] = content

    def fork(self) -> Tree:
        """A copy that can be tried out and thrown away."""
        return Tree(self.source, dict(self._edits), self._known, self._cache)

    def adopt(self, other: Tree) -> None:
        """Take over the edits of a fork that came out well."""
        self._edits = dict(other._edits)

    def change(self, summary: str, since: Tree | None = None, notes: tuple[str, ...] = ()) -> Change:
        """Everything edited so far, or what was edited since ``since`` was forked from this tree."""
        edits = []
        for path in sorted(self._edits):
            before = since.content(path) if since else self.original(path)
            after = self._edits[path]
            if before != after:
                edits.append(FileEdit(path, before, after))
        return Change(tuple(edits), summary, notes)

    def content(self, path: str) -> bytes | None:
        """Bytes as edited so far, or None where there is no such file."""
        return self.read(path) if self.exists(path) else None

    def _originals(self) -> frozenset[str]:
        if self._known is None:
            self._known = frozenset(self.source.paths())
        return self._known


def resolve(directory: str, entry: str) -> str:
    """Path of ``entry`` as written in ``directory``, relative to the root. Refuses (OUTSIDE) to leave the root."""
    path = posixpath.normpath(posixpath.join(directory, entry))
    if path == ".." or path.startswith(("../", "/")):
        raise Refusal(Reason.OUTSIDE, f"{entry} in {directory or 'the root'} leads out of the repository.")
    return "" if path == "." else path


def inverse(change: Change) -> Change:
    """The change that undoes a change, for a tree in which its files are still as it left them; see `revert`."""
    edits = tuple(FileEdit(edit.path, edit.after, edit.before) for edit in change.edits)
    return Change(edits, f"Undo: {change.summary}")


def _walk(root: Path) -> Iterable[tuple[Path, list[str], list[str]]]:
    import os

    for folder, names, files in os.walk(root):
        yield Path(folder), names, files


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode("utf-8", "replace").splitlines(keepends=True)


def _with_newline_note(line: str) -> str:
    return line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
