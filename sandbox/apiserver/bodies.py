"""Answers: JSON objects, lists joined from stored bytes, streams of watch events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sandbox.apiserver.reads import Page
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.store import Entry

Json = dict[str, Any]


@dataclass
class Answer:
    """What goes back: a body at once, or a stream of chunks."""

    code: int
    body: bytes = b""
    content_type: str = "application/json"
    stream: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(code: int, item: Any) -> Answer:
    return Answer(code, msgspec.json.encode(item))


def raw_object(entry: Entry, resource: ResourceType) -> bytes:
    """The stored bytes, in the version of the request."""
    if resource.stored_api_version == resource.api_version:
        return entry.raw
    old = _prefix(resource.stored_api_version, resource.kind)
    return _prefix(resource.api_version, resource.kind) + entry.raw[len(old) :]


def _prefix(api_version: str, kind: str) -> bytes:
    return f'{{"apiVersion":"{api_version}","kind":"{kind}",'.encode()


def list_body(page: Page, resource: ResourceType) -> bytes:
    """A list. Items of built-in kinds carry no apiVersion and kind, as in the real server."""
    metadata: Json = {"resourceVersion": str(page.version)}
    if page.token:
        metadata["continue"] = page.token
        metadata["remainingItemCount"] = page.remaining
    head = msgspec.json.encode(
        {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata}
    )
    return head[:-1] + b',"items":[' + b",".join(_items(page.entries, resource)) + b"]}"


def _items(entries: Iterable[Entry], resource: ResourceType) -> Iterable[bytes]:
    if resource.custom:
        return (raw_object(entry, resource) for entry in entries)
    cut = len(_prefix(resource.api_version, resource.kind))
    return (b"{" + entry.raw[cut:] for entry in entries)


def event_line(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"
