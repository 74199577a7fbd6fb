"""The watch of claims: list, then watch, list again on 410."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from cluster.answers import Asked, Status, error_of
from cluster.base import Ref
from cluster.connection import Answer
from cluster.errors import Gone
from cluster.listing import Collections
from cluster.reads import CLAIM
from cluster.values import Change, Claim
from cluster.wire import ClaimW

GRACE_S = 15.0


class WatchEvent(msgspec.Struct):
    type: str = ""
    object: msgspec.Raw = msgspec.Raw(b"{}")


KINDS: dict[str, Literal["added", "modified", "deleted"]] = {
    "ADDED": "added",
    "MODIFIED": "modified",
    "DELETED": "deleted",
}


class Watching(Collections):
    """Follows claims as they change."""

    def watch_claims(
        self, *, stop: Callable[[], bool] = lambda: False, window_s: int = 60, resource_version: str = ""
    ) -> Iterator[Change]:
        """Every claim as "added", then "synced", then changes as they happen; "idle" when a window ends. Ends when `stop()` is true.

        After a relist, "synced" comes again: what was not "added" since the one before is gone. Given the `resource_version` of a
        list, it starts there without listing. Each watch lasts at most `window_s`: a half-open connection is noticed soon after.
        Raises `Unavailable` when the cluster is away.
        """
        while not stop():
            if not resource_version:
                claims, resource_version = self.list_claims_at()
                yield from (Change("added", claim, claim.resource_version) for claim in claims)
                yield Change("synced", None, resource_version)
            try:
                for change in self._watch(resource_version, window_s, stop):
                    resource_version = change.resource_version or resource_version
                    yield change
            except Gone:
                resource_version = ""

    def list_claims_at(self) -> tuple[list[Claim], str]:
        """All claims and the resourceVersion of the list, from which a watch may go on."""
        return self._list_all(CLAIM, self.resource(CLAIM.kind), None)

    def _watch(self, resource_version: str, window_s: int, stop: Callable[[], bool]) -> Iterator[Change]:
        resource = self.resource(CLAIM.kind)
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(window_s),
        }
        asked = Asked("watch", Ref("v1", CLAIM.kind, "", ""))
        with self._connection.lines(resource.path(), query, window_s + GRACE_S) as (status, lines):
            if status >= 300:
                raise error_of(Answer(status, b"".join(lines)), asked)
            for line in lines:
                change = self._change(line, asked)
                if change:
                    yield change
                if stop():
                    return
        yield Change("idle", None, "")

    def _change(self, line: bytes, asked: Asked) -> Change | None:
        event = msgspec.json.decode(line, type=WatchEvent)
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=Status)
            raise error_of(Answer(status.code or 500, bytes(event.object)), asked)
        claim = CLAIM.value(msgspec.json.decode(event.object, type=ClaimW), self.resource(CLAIM.kind))
        if event.type == "BOOKMARK":
            return Change("bookmark", None, claim.resource_version)
        kind = KINDS.get(event.type)
        return Change(kind, claim, claim.resource_version) if kind else None
