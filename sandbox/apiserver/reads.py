"""Get, list in pages, and watch."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.apiserver import errors
from sandbox.apiserver.call import Call
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.selectors import LabelMatch, field_selector, label_selector
from sandbox.apiserver.store import Change, Entry, Follower, Store

Json = dict[str, Any]

_BOOKMARK_S = 10.0
_DEFAULT_TIMEOUT_S = 1800.0
_SNAPSHOTS = 64
_SNAPSHOT_LIFE_S = 300.0


@dataclass(frozen=True)
class Selection:
    """Which objects of a resource a request is about."""

    resource: ResourceType
    namespace: str
    labels: LabelMatch | None
    fields: Callable[[Json], bool] | None
    name: str = ""
    """The one name that the field selector leaves, so that others need not be decoded."""

    @classmethod
    def of(cls, call: Call, resource: ResourceType, namespace: str) -> Selection:
        return cls(
            resource,
            namespace,
            label_selector(call.query.get("labelSelector", "")),
            field_selector(call.query.get("fieldSelector", ""), resource.table, resource.selectable),
            _one_name(call.query.get("fieldSelector", "")),
        )

    def matches(self, entry: Entry | None) -> bool:
        if entry is None or (self.namespace and entry.namespace != self.namespace):
            return False
        if self.name and entry.name != self.name:
            return False
        if self.labels and not self.labels(entry.labels):
            return False
        return self.fields is None or self.fields(entry.decode())


def _one_name(text: str) -> str:
    for term in text.split(","):
        if term.strip().startswith("metadata.name="):
            return term.partition("=")[2].lstrip("=").strip()
    return ""


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    entries: list[Entry]
    version: int
    token: str = ""
    remaining: int = 0


@dataclass
class _Snapshot:
    entries: list[Entry]
    version: int
    since: float


class Reads:
    """All that looks at objects."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()

    def get(self, resource: ResourceType, namespace: str, name: str) -> Entry:
        entry = self._store.get(resource.table, namespace, name)
        if entry is None:
            raise errors.not_found(resource.group, resource.plural, name)
        return entry

    # -- lists ------------------------------------------------------------------------------------

    def page(self, call: Call, selection: Selection) -> Page:
        """The objects that match, or `limit` of them. Later pages show the same moment as the first.

        StatusError 410 when that moment is no longer kept; its metadata then has a token for an inconsistent rest.
        """
        limit = int(call.query.get("limit") or 0)
        if token := call.query.get("continue"):
            return self._next_page(selection, token, limit)
        self._check_version(call)
        entries = self.select(selection)
        if not limit or len(entries) <= limit:
            return Page(entries, self._store.version)
        key = uuid.uuid4().hex
        self._snapshots[key] = _Snapshot(entries, self._store.version, time.monotonic())
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return _cut(entries, 0, limit, self._store.version, key)

    def select(self, selection: Selection) -> list[Entry]:
        entries = self._store.entries(selection.resource.table, selection.namespace)
        if selection.labels is None and selection.fields is None:
            return entries
        return [entry for entry in entries if selection.matches(entry)]

    def _next_page(self, selection: Selection, token: str, limit: int) -> Page:
        position = _read_token(token)
        snapshot = self._snapshots.get(position["id"])
        fresh = snapshot is not None and time.monotonic() - snapshot.since < _SNAPSHOT_LIFE_S
        if snapshot is not None and fresh:
            return _cut(snapshot.entries, position["at"], limit, snapshot.version, position["id"])
        last = tuple(position["after"])
        if position["id"]:
            error = errors.expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new"
                " list without the continue parameter, or use the continue token in this response to retrieve the"
                " remainder of the results. Continuing with the provided token results in an inconsistent list"
            )
            error.extra_metadata = {"continue": _token("", 0, last)}
            raise error
        entries = [one for one in self.select(selection) if (one.namespace, one.name) > last]
        return _cut(entries, 0, limit or len(entries), self._store.version, "")

    def _check_version(self, call: Call) -> None:
        text = call.query.get("resourceVersion", "")
        if not text or text == "0":
            return
        version = parse_version(text)
        if version > self._store.version:
            raise too_large(version, self._store.version)
        if call.query.get("resourceVersionMatch") == "Exact" and version != self._store.version:
            raise errors.expired(f"The resourceVersion for the provided list is too old: {text}")

    # -- watches ----------------------------------------------------------------------------------

    async def watch(self, call: Call, selection: Selection) -> AsyncIterator[tuple[str, Entry | Json]]:
        """Event types with entries, until the timeout. BOOKMARK and ERROR come with an object."""
        table = selection.resource.table
        timeout_s = float(call.query.get("timeoutSeconds") or _DEFAULT_TIMEOUT_S)
        bookmarks = call.flag("allowWatchBookmarks")
        follower = self._store.follow(table)
        try:
            start = self._start(call, selection)
            if isinstance(start, errors.StatusError):
                yield "ERROR", start.to_json()
                return
            for event in start:
                yield event
            if call.flag("sendInitialEvents"):
                yield "BOOKMARK", _bookmark(selection.resource, self._store.version, initial=True)
            async for event in self._follow(follower, selection, timeout_s, bookmarks):
                yield event
        finally:
            self._store.unfollow(table, follower)

    def _start(self, call: Call, selection: Selection) -> list[tuple[str, Entry | Json]] | errors.StatusError:
        """What a watch sends first: the present state, or the changes since a version."""
        text = call.query.get("resourceVersion", "")
        if text in ("", "0") or call.flag("sendInitialEvents"):
            return [("ADDED", entry) for entry in self.select(selection)]
        version = parse_version(text)
        if version > self._store.version:
            return too_large(version, self._store.version)
        changes = self._store.since(selection.resource.table, version)
        if changes is None:
            return errors.expired(f"too old resource version: {version} ({self._store.floor})")
        return [event for change in changes if (event := _event(change, selection))]

    async def _follow(
        self, follower: Follower, selection: Selection, timeout_s: float, bookmarks: bool
    ) -> AsyncIterator[tuple[str, Entry | Json]]:
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0 and not self._store.closing:
            await follower.wait(min(left, _BOOKMARK_S))
            version = self._store.version
            changes = follower.take()
            if follower.overflowed:
                yield "ERROR", errors.expired("too many changes for this watch").to_json()
                return
            for change in changes:
                if event := _event(change, selection):
                    yield event
            if bookmarks and not changes:
                yield "BOOKMARK", _bookmark(selection.resource, version)


def _event(change: Change, selection: Selection) -> tuple[str, Entry | Json] | None:
    """What a change looks like to a watch with selectors: leaving the selection is a deletion."""
    was = selection.matches(change.before)
    if change.deleted:
        return ("DELETED", change.after) if was else None
    if selection.matches(change.after):
        return ("MODIFIED" if was else "ADDED"), change.after
    return ("DELETED", _with_version(change)) if was else None


def _with_version(change: Change) -> Json:
    """The last state that matched, with the version of the change that made it leave."""
    item = (change.before or change.after).decode()
    item["metadata"]["resourceVersion"] = str(change.version)
    return item


def _bookmark(resource: ResourceType, version: int, *, initial: bool = False) -> Json:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}


def parse_version(text: str) -> int:
    if not text.isdigit():
        raise errors.StatusError(
            400, "BadRequest", f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def too_large(version: int, current: int) -> errors.StatusError:
    cause = errors.Cause("ResourceVersionTooLarge", "Too large resource version")
    return errors.StatusError(
        504,
        "Timeout",
        f"Too large resource version: {version}, current: {current}",
        {"causes": [cause.to_json()], "retryAfterSeconds": 1},
    )


def _cut(entries: list[Entry], start: int, limit: int, version: int, key: str) -> Page:
    stop = min(start + limit, len(entries)) if limit else len(entries)
    chosen = entries[start:stop]
    remaining = len(entries) - stop
    if not remaining:
        return Page(chosen, version)
    last = (chosen[-1].namespace, chosen[-1].name)
    return Page(chosen, version, _token(key, stop, last), remaining)


def _token(key: str, position: int, last: tuple[str, ...]) -> str:
    text = json.dumps({"id": key, "at": position, "after": list(last)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> Json:
    try:
        padded = token + "=" * (-len(token) % 4)
        decoded: Json = msgspec.json.decode(base64.urlsafe_b64decode(padded))
        if not {"id", "at", "after"} <= decoded.keys():
            raise errors.bad_request("continue key is not valid")
    except (ValueError, msgspec.DecodeError) as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from error
    return decoded
