"""Bodies in the API's protobuf envelope, which kubectl from 1.32 on sends for a few kinds."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver.errors import StatusError

Json = dict[str, Any]
MAGIC = b"k8s\0"


def is_protobuf(body: bytes) -> bool:
    return body.startswith(MAGIC)


def decode(body: bytes) -> Json:
    """The object in an envelope. StatusError 415 for a kind that is not known here."""
    raise StatusError(415, "UnsupportedMediaType", "protobuf is not supported yet")
