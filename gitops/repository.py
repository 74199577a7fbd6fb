"""Pushes changes to a repository, and makes a change again when the branch moved.

Commits are built from blobs in a bare clone and nothing is ever checked out, so that no hook, filter or link of a
repository is ever run or followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gitops.blobs import write_tree
from gitops.change import Change, Tree
from gitops.clone import KEY_TRAILER, REFERENCE_TRAILER, Clone, LogEntry, check_branch, check_commit
from gitops.errors import (
    PushConflict,
    PushRejected,
    Refusal,
    RepositoryTimeout,
    ReviewOutdated,
)
from gitops.git import Credentials

PUSH_TRIES = 5
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


@dataclass
class Repository(Clone):
    """A branch of a remote repository, kept as a bare clone in ``directory``; see `Clone` for reading."""

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

    def _make(
        self, make: Callable[[Tree], Change], base: str, previous: Change | None, expected_effect: str
    ) -> Change:
        try:
            change = make(self._loaded(base))
        except Refusal as refusal:
            if previous is None:
                raise
            raise ReviewOutdated(
                f"The branch moved, and the change no longer applies: {refusal.what}", diff=previous.diff,
                next_step="Look at what changed in Git, then plan again.",
            ) from refusal  # fmt: skip
        if change.edits and expected_effect and change.effect != expected_effect:
            raise ReviewOutdated(
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
        raise self._git.failure(arguments, code, err or out)


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


__all__ = ["Author", "Credentials", "LogEntry", "PushedCommit", "Repository", "check_branch", "check_commit"]
