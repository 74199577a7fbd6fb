"""Errors that can be expected. Each says what happened, what is safe now and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

NOTHING_CHANGED = "Nothing was changed, neither in Git nor in the cluster."


class GitOpsError(Exception):
    """Base of every expected error of this package."""

    def __init__(
        self, what: str, *, safe: str = NOTHING_CHANGED, next_step: str = "", command: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.safe = safe
        self.next_step = next_step
        self.command = command

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.safe, self.next_step) if part)


class Reason(StrEnum):
    """Why an edit, or a search, was refused."""

    NOT_FOUND = "not-found"  # nothing in the tree declares it
    DECLARED_TWICE = "declared-twice"  # more than one document declares it
    REMOTE = "remote"  # it may come from a base that lives outside of this repository
    GENERATED = "generated"  # it may come from a generator plugin
    HELM_CHART = "helm-chart"  # it may come from a Helm chart
    TEMPLATED = "templated"  # names are filled in by a template or by variables that are not known
    ENCRYPTED = "encrypted"  # the document is encrypted with SOPS: an edit would break its seal
    UNREADABLE = "unreadable"  # the file is not YAML that can be read with certainty
    SHARED = "shared"  # the same file also makes objects elsewhere, and no place exists to tell them apart
    TRANSFORMED = "transformed"  # the tree changes the object in a way that cannot be followed with certainty
    EXISTS = "exists"  # what should be added is there already
    NAMESPACE = "namespace"  # the tree would put the object into another namespace or give it another name
    EMPTY = "empty"  # the edit would leave a kustomization that no longer builds
    REFERENCED = "referenced"  # something else in the tree needs the object in order to build
    OUTSIDE = "outside"  # a path leads out of the repository, or through a link
    MISSING = "missing"  # a path that the tree names does not exist
    UNCERTAIN = "uncertain"  # the edited text did not read back as the intended change


class Refusal(GitOpsError):
    """An edit that is not made because its result is not certain.

    ``path`` names the file that stands in the way, ``by_hand`` is the change that a person can make instead
    (YAML or instructions; may be empty).
    """

    def __init__(
        self, reason: Reason, what: str, *, path: str = "", by_hand: str = "", next_step: str = ""
    ) -> None:
        super().__init__(what, next_step=next_step or ("Make the change by hand:" if by_hand else ""))
        self.reason = reason
        self.path = path
        self.by_hand = by_hand


@contextmanager
def offering(by_hand: Callable[[], str]) -> Iterator[None]:
    """Give each refusal that is raised inside, and has no change to make by hand yet, this one."""
    try:
        yield
    except Refusal as refusal:
        if not refusal.by_hand:
            refusal.by_hand = by_hand()
            refusal.next_step = refusal.next_step or "Make the change by hand:"
        raise


class RepositoryError(GitOpsError):
    """The git program failed: no network, no rights, no such branch. The text is free of credentials."""


class RepositoryUnavailable(RepositoryError):
    """The Git server could not be reached, or broke off: an outage, after which the same call may succeed."""


class RepositoryTimeout(RepositoryUnavailable):
    """The git program took longer than it may; it and its children were ended."""


class PushRejected(RepositoryError):
    """The server refused the push for good: a hook, a protected branch, missing rights."""


class PushConflict(RepositoryError):
    """The branch moved and the change no longer applies. ``diff`` is the change as it was last computed."""

    def __init__(
        self, what: str, *, diff: str = "", next_step: str = "", safe: str = NOTHING_CHANGED
    ) -> None:
        super().__init__(what, next_step=next_step, safe=safe)
        self.diff = diff


class ReviewOutdated(PushConflict):
    """Git changed since the review: what would be pushed now is not what was reviewed."""
