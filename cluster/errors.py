"""Errors of the cluster that can be expected. Each says what happened, what is safe now, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cluster.values import Ref


class ClusterError(Exception):
    """Base of all. `status` is the HTTP status, 0 when no answer came; `command` may be copied into a shell."""

    def __init__(self, happened: str, *, safe: str, next: str, command: str = "", status: int = 0) -> None:
        super().__init__(happened)
        self.happened = happened
        self.safe = safe
        self.next = next
        self.command = command
        self.status = status

    def __str__(self) -> str:
        return f"{self.happened} {self.safe} {self.next}".strip()


class Unavailable(ClusterError):
    """No answer, or the server cannot answer now. `maybe_done` is True when a mutating call may have been carried out."""

    def __init__(
        self,
        happened: str,
        *,
        safe: str,
        next: str,
        command: str = "",
        status: int = 0,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(happened, safe=safe, next=next, command=command, status=status)
        self.maybe_done = maybe_done


class NotFound(ClusterError):
    """The object is not there."""


class Gone(ClusterError):
    """410: a watch or list token is too old; list again."""


class AlreadyExists(ClusterError):
    """An object of that name is there. Compare `existing` and `labels` with ours before adopting it."""

    def __init__(
        self,
        happened: str,
        *,
        safe: str,
        next: str,
        existing: Ref,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
    ) -> None:
        super().__init__(happened, safe=safe, next=next, status=409)
        self.existing = existing
        self.labels = labels
        self.annotations = annotations


class Conflict(ClusterError):
    """The object changed since it was read, or is another object of the same name. Read again, then decide again."""


class Forbidden(ClusterError):
    """Access rules refuse the call. `rule` names the missing permission as far as the server tells it."""

    def __init__(self, happened: str, *, safe: str, next: str, rule: str, command: str = "") -> None:
        super().__init__(happened, safe=safe, next=next, command=command, status=403)
        self.rule = rule


DeniedBy = Literal[
    "kyverno-cluster-policy",
    "kyverno-validating-policy",
    "native-policy",
    "webhook",
    "pod-security",
    "built-in",
]


class Denied(ClusterError):
    """An admission rule refuses the call. `by` is the mechanism, `policy` its name where the message has it."""

    def __init__(
        self,
        happened: str,
        *,
        safe: str,
        next: str,
        by: DeniedBy,
        policy: str,
        message: str,
        status: int,
        command: str = "",
    ) -> None:
        super().__init__(happened, safe=safe, next=next, status=status, command=command)
        self.by = by
        self.policy = policy
        self.message = message


class EngineDown(ClusterError):
    """An admission webhook did not answer and fails closed: blocked by an outage, not by a rule."""

    def __init__(self, happened: str, *, safe: str, next: str, webhook: str, command: str = "") -> None:
        super().__init__(happened, safe=safe, next=next, status=500, command=command)
        self.webhook = webhook


class Invalid(ClusterError):
    """The object or request is not valid. `causes` are `field: message` texts."""

    def __init__(
        self, happened: str, *, safe: str, next: str, causes: tuple[str, ...], status: int = 422
    ) -> None:
        super().__init__(happened, safe=safe, next=next, status=status)
        self.causes = causes


class QuotaExceeded(ClusterError):
    """A ResourceQuota refuses the call; the message names it and the amounts."""


class Unsupported(ClusterError):
    """The cluster does not serve this kind or option."""
