"""The watch of claims: list, then watch, list again on 410."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster.transport import Transport
from cluster.values import Change


class Watching(Transport):
    def watch_claims(
        self, *, stop: Callable[[], bool] = lambda: False, window_s: float = 60
    ) -> Iterator[Change]:
        """Every claim as "added", then "synced", then changes as they happen; ends when `stop()` is true.

        After a relist, "synced" comes again: what was not "added" since the last one is gone. Each watch lasts at
        most `window_s`, so a half-open connection is noticed. Raises `Unavailable` when the cluster is away.
        """
        raise NotImplementedError
