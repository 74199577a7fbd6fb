"""A bare clone of one branch: fetched, deepened, made anew when broken; one lock a clone; every command bounded."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gitops.blobs import CommitSource
from gitops.change import Tree
from gitops.errors import RepositoryError, RepositoryTimeout, RepositoryUnavailable
from gitops.git import Credentials, Git, check_url

REFERENCE_TRAILER = "Holdfast-Migration"
KEY_TRAILER = "Holdfast-Change"
DEPTH = 50
_BRANCH = re.compile(r"^(?![-/.])(?!.*(\.\.|//|@\{|\.lock(/|$)))[^\s~^:?*\[\\\x00-\x1f]+(?<![/.])$")


@dataclass(frozen=True)
class LogEntry:
    """One commit: ``time`` in UTC, ``paths`` that it touches compared with its first parent."""

    commit: str
    author: str
    time: datetime
    subject: str
    body: str
    paths: tuple[str, ...]


@dataclass
class Clone:
    """A branch of a remote repository, kept as a bare clone in ``directory``.

    ``timeout_s`` bounds each git command, ``first_timeout_s`` (default: the same) the fetch that makes the clone,
    ``lock_timeout_s`` the wait for another process that uses the clone.
    """

    url: str
    branch: str
    directory: Path
    credentials: Credentials = field(default_factory=Credentials)
    timeout_s: float = 120
    lock_timeout_s: float = 60
    first_timeout_s: float | None = None

    def __post_init__(self) -> None:
        check_url(self.url)
        check_branch(self.branch)
        self.directory = Path(self.directory)
        state = self.directory.with_name(f"{self.directory.name}.state")
        self._holding = threading.local()
        self._git = Git(self.url, state, self.credentials, self.timeout_s)

    # Reading

    def refresh(self) -> str:
        """Fetch the branch and return its commit. A missing or broken clone is made anew."""
        with self._locked():
            return self._refresh()

    @property
    def head(self) -> str:
        """Commit of the branch as last fetched. Raises RepositoryError before the first `refresh`."""
        return self._commit_of(self.branch)

    def tree(self, commit: str | None = None) -> Tree:
        """The files of a commit (default: `head`), to read and to lay edits over."""
        with self._locked():
            wanted = commit or self.head
            check_commit(wanted)
            try:
                return self._loaded(wanted)
            except RepositoryError:
                if self._healthy():
                    raise
                self._clone()
                return self._loaded(wanted)

    def read(self, path: str, commit: str | None = None) -> bytes:
        """Bytes of one file. Refuses (MISSING) where there is none."""
        return self.tree(commit).read(path)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether ``ancestor`` is ``commit`` or part of its history. More history is fetched where needed."""
        check_commit(commit)
        check_commit(ancestor)
        with self._locked():
            for known in (commit, ancestor):
                if not self._has(known):
                    self._refresh()
                    self._deepen_until(lambda known=known: self._has(known))  # type: ignore[misc]
            if not self._has(commit) or not self._has(ancestor):
                return False
            if self._is_ancestor(ancestor, commit):
                return True
            self._deepen_until(lambda: self._is_ancestor(ancestor, commit))
            return self._is_ancestor(ancestor, commit)

    def log(self, since: str, until: str | None = None) -> list[LogEntry]:
        """Commits after ``since`` up to ``until`` (default: `head`), newest first."""
        check_commit(since)
        with self._locked():
            if not self._has(since):
                self._deepen_until(lambda: self._has(since))
            return self._log(f"{since}..{until or self._commit_of(self.branch)}")

    def find_commit(self, reference: str, key: str = "", branch: str | None = None) -> str | None:
        """Newest commit with the trailers of this migration (and change), in the history that is fetched, or None."""
        with self._locked():
            return self._find_commit(reference, key, branch or self.branch)

    # Inside of the lock

    def _loaded(self, commit: str) -> Tree:
        source = CommitSource(self._git, self.directory, commit)
        source.load()
        return Tree(source)

    def _refresh(self) -> str:
        if not (self.directory / "HEAD").exists():
            return self._clone()
        self._clear_stale_locks()
        try:
            self._git.run("config", "remote.origin.url", self._fetch_url(), git_dir=self.directory)
            return self._fetch()
        except RepositoryUnavailable:
            raise
        except RepositoryError:
            if self._healthy():
                raise
            return self._clone()

    def _fetch(self) -> str:
        if self._fetch_branch(self.branch) is None:
            raise RepositoryError(
                f"The repository has no branch {self.branch}.",
                next_step="Check the branch in the cluster's settings.",
            )
        commit = self._commit_of(self.branch)
        self._git.run("ls-tree", "-r", "--name-only", commit, git_dir=self.directory)
        return commit

    def _fetch_branch(self, branch: str) -> str | None:
        """Commit of a branch of the remote, fetched, or None where there is no such branch."""
        arguments = ("fetch", "--no-tags", "--force", *self._depth(branch), "origin",
                     f"+refs/heads/{branch}:refs/remotes/origin/{branch}")  # fmt: skip
        code, out, err = self._git.attempt(*arguments, git_dir=self.directory, remote=True)
        if code == 0:
            return self._commit_of(branch)
        if b"couldn't find remote ref" in err:
            self._git.attempt("update-ref", "-d", f"refs/remotes/origin/{branch}", git_dir=self.directory)
            return None
        raise self._git.failure(
            arguments,
            code,
            err or out,
            next_step="Check the URL, the credentials and the network; Holdfast tries again.",
        )

    def _depth(self, branch: str) -> tuple[str, ...]:
        """Limit the first fetch; later ones continue from what is there, so that a deeper history stays."""
        known = self._git.attempt(
            "rev-parse", "-q", "--verify", f"refs/remotes/origin/{branch}", git_dir=self.directory
        )
        return () if known[0] == 0 else (f"--depth={DEPTH}",)

    def _clone(self) -> str:
        """Clone into a directory beside, and put it into place only when it is whole."""
        self._sweep()
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f"{self.directory.name}.new-", dir=self.directory.parent))
        self._git.run("init", "--bare", "--quiet", str(fresh))
        self._git.run("config", "remote.origin.url", self._fetch_url(), git_dir=fresh)
        self._git.run("config", "gc.auto", "2000", git_dir=fresh)
        wanted = f"+refs/heads/{self.branch}:refs/remotes/origin/{self.branch}"
        code, out, err = self._git.attempt(
            "fetch", "--no-tags", f"--depth={DEPTH}", "origin", wanted, git_dir=fresh, remote=True,
            timeout_s=self.first_timeout_s,
        )  # fmt: skip
        if code != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise self._git.failure(
                ("fetch",),
                code,
                err or out,
                next_step="Check the URL, the branch, the credentials and the network.",
            )
        if self.directory.exists():
            shutil.rmtree(self.directory)
        fresh.rename(self.directory)
        return self._commit_of(self.branch)

    def _fetch_url(self) -> str:
        """The URL; of a local path the form that git can fetch a part of the history from."""
        local = Path(self.url)
        return f"file://{local.absolute()}" if "://" not in self.url and local.exists() else self.url

    def _sweep(self) -> None:
        """Remove what a clone that was killed left behind; a git that still runs there writes into nothing."""
        for path in self.directory.parent.glob(f"{self.directory.name}.new-*"):
            shutil.rmtree(path, ignore_errors=True)

    def _healthy(self) -> bool:
        code, _, _ = self._git.attempt("fsck", "--connectivity-only", "--no-dangling", git_dir=self.directory)
        return code == 0

    def _clear_stale_locks(self) -> None:
        """Locks of a git that was killed: nobody else can hold them while this process holds the clone's lock."""
        for path in [*self.directory.glob("*.lock"), *(self.directory / "refs").rglob("*.lock")]:
            path.unlink(missing_ok=True)

    def _deepen_until(self, enough: Callable[[], bool]) -> None:
        """Fetch more history in growing steps until a condition holds or there is no more."""
        step = DEPTH * 4
        while not enough() and (self.directory / "shallow").exists():
            how = "--unshallow" if step > DEPTH * 100 else f"--deepen={step}"
            self._git.run("fetch", "--no-tags", how, "origin", git_dir=self.directory, remote=True)
            step *= 5

    def _commit_of(self, branch: str) -> str:
        code, out, _ = self._git.attempt(
            "rev-parse", "-q", "--verify", f"refs/remotes/origin/{branch}^{{commit}}", git_dir=self.directory
        )
        if code != 0:
            raise RepositoryError("The repository has not been fetched yet.", next_step="Refresh it.")
        return out.decode().strip()

    def _has(self, commit: str) -> bool:
        return self._git.attempt("cat-file", "-e", f"{commit}^{{commit}}", git_dir=self.directory)[0] == 0

    def _is_ancestor(self, ancestor: str, commit: str) -> bool:
        code, _, _ = self._git.attempt(
            "merge-base", "--is-ancestor", ancestor, commit, git_dir=self.directory
        )
        return code == 0

    def _find_commit(self, reference: str, key: str, branch: str) -> str | None:
        wanted = {f"{REFERENCE_TRAILER}: {reference}"} | ({f"{KEY_TRAILER}: {key}"} if key else set())
        found = self._git.run(
            "log", "-z", "--fixed-strings", f"--grep={REFERENCE_TRAILER}: {reference}", "--format=%H%n%B",
            f"refs/remotes/origin/{branch}", git_dir=self.directory,
        )  # fmt: skip
        for entry in found.decode("utf-8", "replace").split("\0"):
            commit, *body = entry.split("\n")
            if wanted <= {line.strip() for line in body}:
                return commit
        return None

    def _log(self, span: str) -> list[LogEntry]:
        out = self._git.run(
            "log", "-m", "--first-parent", "--name-only", "--format=%x01%H%x00%an%x00%ct%x00%s%x00%b%x00", span, "--",
            git_dir=self.directory, extra={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
        entries = []
        for record in out.decode("utf-8", "replace").split("\x01")[1:]:
            commit, author, seconds, subject, body, paths = record.split("\0", 5)
            when = datetime.fromtimestamp(int(seconds), UTC)
            touched = tuple(line for line in paths.splitlines() if line)
            entries.append(LogEntry(commit, author, when, subject, body.strip(), touched))
        return entries

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process, and one thread, at a time; a thread that holds it may enter again. Raises RepositoryTimeout."""
        if getattr(self._holding, "yes", False):
            yield
            return
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        path = self.directory.with_name(f"{self.directory.name}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _acquire(descriptor, time.monotonic() + self.lock_timeout_s)
            self._holding.yes = True
            yield
        finally:
            self._holding.yes = False
            os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RepositoryTimeout(
                    "Another process has been using the clone for too long.",
                    next_step="Holdfast tries again.",
                ) from None
            time.sleep(0.05)


def check_branch(branch: str) -> None:
    """Refuse what is not a plain branch name."""
    if not _BRANCH.fullmatch(branch):
        raise RepositoryError(f"{branch!r} is not a name of a branch.")


def check_commit(commit: str) -> None:
    """Refuse what is not a full commit hash."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        raise RepositoryError(f"{commit!r} is not a full commit hash.")
