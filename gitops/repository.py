"""A clone that the worker keeps: reads commits, pushes changes, and makes a change again when the branch moved.

The clone is bare and nothing is ever checked out: commits are built from blobs, so that no hook, filter or link of a
repository is ever run or followed. One lock a clone; every command is bounded in time.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gitops.blobs import CommitSource, write_tree
from gitops.change import Change, Tree
from gitops.errors import (
    PushConflict,
    PushRejected,
    Refusal,
    RepositoryError,
    RepositoryTimeout,
)
from gitops.git import Credentials, Git, check_url

REFERENCE_TRAILER = "Holdfast-Migration"
KEY_TRAILER = "Holdfast-Change"
DEPTH = 50
PUSH_TRIES = 5
_BRANCH = re.compile(r"^(?![-/.])(?!.*(\.\.|//|@\{|\.lock(/|$)))[^\s~^:?*\[\\\x00-\x1f]+(?<![/.])$")
_MOVED = re.compile(
    r"non-fast-forward|fetch first|stale info|cannot lock ref|failed to update ref|reference already exists"
)


@dataclass(frozen=True)
class Author:
    """Who a commit names as its author and committer."""

    name: str
    email: str

    def __post_init__(self) -> None:
        if re.search(r"[<>\n\r\x00]", self.name + self.email) or not self.name.strip():
            raise ValueError(
                "an author needs a name, and neither name nor address may hold < > or line breaks"
            )


@dataclass(frozen=True)
class PushedCommit:
    """What Git holds now. ``adopted``: an earlier attempt, or somebody else, had made the change already.

    ``commit`` is on ``branch`` of the remote; ``change`` is what it changes (empty where the branch said so before).
    """

    commit: str
    branch: str
    base: str
    change: Change
    adopted: bool = False


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
class Repository:
    """A branch of a remote repository, kept as a bare clone in ``directory``.

    ``timeout_s`` bounds each git command, ``lock_timeout_s`` the wait for another process that uses the clone.
    """

    url: str
    branch: str
    directory: Path
    credentials: Credentials = field(default_factory=Credentials)
    timeout_s: float = 120
    lock_timeout_s: float = 60

    def __post_init__(self) -> None:
        check_url(self.url)
        check_branch(self.branch)
        self.directory = Path(self.directory)
        state = self.directory.with_name(f"{self.directory.name}.state")
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

    # Writing

    def commit_change(
        self,
        make: Callable[[Tree], Change],
        message: str,
        author: Author,
        *,
        branch: str | None = None,
        reference: str = "",
        key: str = "",
        expected_effect: str = "",
    ) -> PushedCommit:
        """Make a change on the newest commit and push it, directly or as a new ``branch``.

        ``make`` is called with a fresh tree, and again each time the branch moved. ``reference`` and ``key`` become
        trailers: a commit that already has both is adopted instead of doubled. ``expected_effect`` is `Change.effect`
        of what was reviewed: a change that came out differently is not pushed.

        Raises Refusal (the change cannot be made), PushConflict (it no longer can, or differs from what was reviewed),
        PushRejected (the server said no), RepositoryError, RepositoryTimeout.
        """
        target = branch or self.branch
        check_branch(target)
        text = _message(message, reference, key)
        with self._locked():
            return self._push_until(make, text, author, target, reference, key, expected_effect)

    def _push_until(
        self,
        make: Callable[[Tree], Change],
        text: str,
        author: Author,
        target: str,
        reference: str,
        key: str,
        expected_effect: str,
    ) -> PushedCommit:
        previous: Change | None = None
        for _ in range(PUSH_TRIES):
            base = self._refresh()
            adopted = self._adoptable(reference, key, target)
            if adopted is not None:
                return PushedCommit(adopted[0], adopted[1], base, Change((), "Already in Git"), adopted=True)
            if target != self.branch and self._fetch_branch(target) is not None:
                raise PushConflict(
                    f"The branch {target} exists already and holds something else.",
                    next_step="Delete it or choose another name.",
                )
            change = self._make(make, base, previous, expected_effect)
            if not change.edits:
                return self._already_so(base, change, reference, key)
            commit = self._commit(base, change, text, author)
            if self._push(commit, target):
                return PushedCommit(commit, target, base, change)
            previous = change
        raise PushConflict(
            f"The branch {target} moved {PUSH_TRIES} times while the change was pushed.",
            diff=previous.diff if previous else "", next_step="Try again in a minute.",
        )  # fmt: skip

    def _loaded(self, commit: str) -> Tree:
        source = CommitSource(self._git, self.directory, commit)
        source.load()
        return Tree(source)

    def _make(
        self, make: Callable[[Tree], Change], base: str, previous: Change | None, expected_effect: str
    ) -> Change:
        try:
            change = make(self._loaded(base))
        except Refusal as refusal:
            if previous is None:
                raise
            raise PushConflict(
                f"The branch moved, and the change no longer applies: {refusal.what}", diff=previous.diff,
                next_step="Look at what changed in Git, then plan again.",
            ) from refusal  # fmt: skip
        if change.edits and expected_effect and change.effect != expected_effect:
            raise PushConflict(
                "Git changed since the plan was made: the change would now be another one than was reviewed.",
                diff=change.diff, next_step="Review the new change, then approve it again.",
            )  # fmt: skip
        return change

    def _already_so(self, base: str, change: Change, reference: str, key: str) -> PushedCommit:
        """The branch says what was wanted: by our own commit further back, or by somebody else's."""
        earlier = None
        if reference:
            self._deepen_until(lambda: self._find_commit(reference, key, self.branch) is not None)
            earlier = self._find_commit(reference, key, self.branch)
        return PushedCommit(earlier or base, self.branch, base, change, adopted=True)

    def _adoptable(self, reference: str, key: str, target: str) -> tuple[str, str] | None:
        if not (reference and key):
            return None
        merged = self._find_commit(reference, key, self.branch)
        if merged is not None:
            return merged, self.branch
        if target != self.branch and self._fetch_branch(target) is not None:
            pushed = self._find_commit(reference, key, target)
            return (pushed, target) if pushed is not None else None
        return None

    def _commit(self, base: str, change: Change, text: str, author: Author) -> str:
        tree = write_tree(self._git, self.directory, base, change)
        who = {
            "GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.email,
            "GIT_COMMITTER_NAME": author.name, "GIT_COMMITTER_EMAIL": author.email,
        }  # fmt: skip
        made = self._git.run(
            "commit-tree", tree, "-p", base, git_dir=self.directory, stdin=text.encode(), extra=who
        )
        return made.decode().strip()

    def _push(self, commit: str, target: str) -> bool:
        """Push without force. False: the branch moved. Raises PushRejected, RepositoryTimeout, RepositoryError."""
        arguments = ("push", "--porcelain", "origin", f"{commit}:refs/heads/{target}")
        try:
            code, out, err = self._git.attempt(*arguments, git_dir=self.directory, remote=True)
        except RepositoryTimeout as error:
            raise RepositoryTimeout(
                error.what, next_step="Try again: an earlier push that did arrive is found and adopted.",
                safe="The push may or may not have arrived.",
            ) from None  # fmt: skip
        if code == 0:
            self._git.run("update-ref", f"refs/remotes/origin/{target}", commit, git_dir=self.directory)
            return True
        said = self._git.redacted((out + b"\n" + err).decode("utf-8", "replace"))
        if "[remote rejected]" in said and not _MOVED.search(said):
            raise PushRejected(
                f"The Git server refused the push to {target}: {_remote_words(said)}",
                next_step="Push to a new branch and merge it there, or change the server's rule.",
            )
        if _MOVED.search(said):
            return False
        raise RepositoryError(self._git.explained(arguments, code, err or out))

    # The clone

    def _refresh(self) -> str:
        if not (self.directory / "HEAD").exists():
            return self._clone()
        self._clear_stale_locks()
        try:
            self._git.run("config", "remote.origin.url", self._fetch_url(), git_dir=self.directory)
            return self._fetch()
        except RepositoryTimeout:
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
        raise RepositoryError(
            self._git.explained(arguments, code, err or out),
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
        fresh = self.directory.with_name(f"{self.directory.name}.new")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        self._git.run("init", "--bare", "--quiet", str(fresh))
        self._git.run("config", "remote.origin.url", self._fetch_url(), git_dir=fresh)
        self._git.run("config", "gc.auto", "2000", git_dir=fresh)
        wanted = f"+refs/heads/{self.branch}:refs/remotes/origin/{self.branch}"
        code, out, err = self._git.attempt(
            "fetch", "--no-tags", f"--depth={DEPTH}", "origin", wanted, git_dir=fresh, remote=True
        )
        if code != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise RepositoryError(
                self._git.explained(("fetch",), code, err or out),
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
        for suffix in (".new",):
            shutil.rmtree(self.directory.with_name(self.directory.name + suffix), ignore_errors=True)

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
        """One process, and one thread, at a time. Raises RepositoryTimeout."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        path = self.directory.with_name(f"{self.directory.name}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _acquire(descriptor, time.monotonic() + self.lock_timeout_s)
            yield
        finally:
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


def _message(message: str, reference: str, key: str) -> str:
    if re.search(r"[\r\n\x00]", reference + key):
        raise ValueError("trailers are one line")
    trailers = [f"{REFERENCE_TRAILER}: {reference}"] if reference else []
    trailers += [f"{KEY_TRAILER}: {key}"] if key else []
    return message.strip() + ("\n\n" + "\n".join(trailers) if trailers else "") + "\n"


def _remote_words(said: str) -> str:
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]
    status = [line for line in said.splitlines() if "[remote rejected]" in line]
    words = " ".join([*lines, *status]).replace("\t", " ").strip()
    return words or "no reason given"
