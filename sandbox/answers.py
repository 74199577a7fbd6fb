"""What a Kubernetes API server answers, as the sandbox's client gives it: objects, errors, events of a watch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.http import httpx

Object = dict[str, Any]
Objects = list[Object]


class ApiError(Exception):
    """An answer of 400 or above, or no answer at all (status 0). Carries the API's Status object."""

    def __init__(self, status: int, reason: str, message: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.body: dict[str, Any] = dict(body or {})

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """409 because another write came first (not because the name is taken)."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def already_exists(self) -> bool:
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def gone(self) -> bool:
        return self.status == 410

    @property
    def forbidden(self) -> bool:
        return self.status == 403


@dataclass(frozen=True)
class WatchEvent:
    """One change. `type` is ADDED, MODIFIED, DELETED, or SYNCED (the list is complete; `object` is empty)."""

    type: str
    object: Object


def key_of(item: Object) -> tuple[str, str]:
    """Namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def differences(known: dict[tuple[str, str], Object], items: Sequence[Object]) -> Iterator[WatchEvent]:
    """Turns a fresh list into events against what was known, and updates what is known."""
    fresh = {key_of(item): item for item in items}
    for key in [key for key in known if key not in fresh]:
        yield WatchEvent("DELETED", known.pop(key))
    for key, item in fresh.items():
        old = known.get(key)
        known[key] = item
        if old is None:
            yield WatchEvent("ADDED", item)
        elif old["metadata"]["uid"] != item["metadata"]["uid"]:
            yield WatchEvent("DELETED", old)
            yield WatchEvent("ADDED", item)
        elif old["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            yield WatchEvent("MODIFIED", item)


def event_of(line: str) -> WatchEvent:
    """The event in a line of a watch; ApiError where it is one."""
    raw = json.loads(line)
    if raw["type"] == "ERROR":
        status = raw["object"]
        raise ApiError(
            int(status.get("code", 500)), status.get("reason", ""), status.get("message", ""), status
        )
    return WatchEvent(raw["type"], raw["object"])


def error_of(answer: httpx.Response) -> ApiError:
    """The error that an answer of 400 or above stands for."""
    try:
        status = answer.json()
    except ValueError:
        return ApiError(answer.status_code, "", answer.text[:500])
    if not isinstance(status, dict):
        return ApiError(answer.status_code, "", str(status)[:500])
    return ApiError(answer.status_code, status.get("reason", ""), status.get("message", ""), status)
