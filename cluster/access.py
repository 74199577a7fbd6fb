"""What the cluster offers and allows us."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.transport import Transport
from cluster.values import Manifest, Rule


class Access(Transport):
    def can_i(self, rules: Iterable[Rule]) -> list[Rule]:
        """The rules that we lack, by SelfSubjectAccessReview; empty when we may do all."""
        raise NotImplementedError

    def whoami(self) -> str:
        """The user name that the server sees, or "" where it does not tell."""
        raise NotImplementedError

    def server_version(self) -> str:
        """Such as v1.33.1."""
        raise NotImplementedError

    def serves(self, group: str, kind: str) -> str:
        """The preferred version in which the cluster serves `kind` of `group` ("" for core), or "" when it does not."""
        raise NotImplementedError

    def dry_run_create(self, manifest: Manifest) -> list[str]:
        """Warnings of a server-side dry run; raises AlreadyExists, Denied, Invalid, QuotaExceeded, Forbidden, NotFound (namespace)."""
        raise NotImplementedError
