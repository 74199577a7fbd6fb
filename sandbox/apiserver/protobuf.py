"""Bodies in the API's protobuf envelope, which kubectl from 1.32 on sends with create commands.

The field numbers are in protobuf_fields.json. Protobuf bodies carry zero values of fields that JSON leaves out
when they are empty; those are dropped here, except where a zero says something.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.apiserver.errors import StatusError, bad_request

Json = dict[str, Any]
MAGIC = b"k8s\0"

INLINE = frozenset(
    {
        "volumeSource",
        "persistentVolumeSource",
        "localObjectReference",
        "handler",
        "ephemeralContainerCommon",
        "rule",
        "ruleWithOperations",
        "ingressRuleValue",
    }
)
_ZERO_COUNTS = frozenset(
    [
        "replicas",
        "completions",
        "parallelism",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "terminationGracePeriodSeconds",
        "gracePeriodSeconds",
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "value",
        "defaultMode",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
        "revisionHistoryLimit",
    ]
)
_FALSE_COUNTS = frozenset(
    [
        "suspend",
        "runAsNonRoot",
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "readOnlyRootFilesystem",
        "immutable",
        "optional",
        "privileged",
        "allowVolumeExpansion",
        "attachRequired",
    ]
)


def is_protobuf(body: bytes) -> bool:
    return body.startswith(MAGIC)


@cache
def fields_table() -> Json:
    found: Json = json.loads(Path(__file__).with_name("protobuf_fields.json").read_text())
    return found


def decode(body: bytes) -> Json:
    """The object in an envelope. StatusError 415 for a kind that is not known here, 400 for broken bytes."""
    try:
        envelope = {number: value for number, _, value in _parts(body[len(MAGIC) :])}
        meta = {number: value.decode() for number, _, value in _parts(envelope[1])}
        api_version, kind = meta.get(1, ""), meta.get(2, "")
        root = fields_table()["roots"].get(f"{api_version}/{kind}")
        if root is None:
            message = (
                f"a protobuf body of {api_version}, Kind={kind} is not known here; send application/json"
            )
            raise StatusError(415, "UnsupportedMediaType", message)
        return {"apiVersion": api_version, "kind": kind, **_message(envelope.get(2, b""), root)}
    except (KeyError, IndexError, ValueError, UnicodeDecodeError, struct.error) as error:
        raise bad_request(f"the protobuf body cannot be decoded: {error!r}") from error


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _parts(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of each part of a message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, wire, value
            continue
        if wire == 2:
            size, position = _varint(data, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + size > len(data):
            raise ValueError("the message is cut short")
        yield number, wire, data[position : position + size]
        position += size


def _message(data: bytes, name: str) -> Json:
    special = _SPECIAL.get(name)
    if special is not None:
        raise ValueError(f"{name} is not an object")
    known = fields_table()["messages"][name]
    found: Json = {}
    for number, wire, value in _parts(data):
        declared = known.get(str(number))
        if declared is not None:
            _set(found, declared, wire, value)
    return found


def _set(found: Json, declared: str, wire: int, value: Any) -> None:
    field, kind, *rest = declared.split(":")
    inner = rest[0] if rest else ""
    if kind == "M":
        key, entry = _map_entry(value, inner)
        found.setdefault(field, {})[key] = entry
    elif kind.startswith("*"):
        found.setdefault(field, []).extend(_repeated(kind[1:], wire, value, inner))
    elif field in INLINE and kind == "m":
        found.update(_message(value, inner))
    else:
        decoded = _single(kind, value, inner)
        if _says_something(field, decoded):
            found[field] = decoded


def _repeated(kind: str, wire: int, value: Any, inner: str) -> list[Any]:
    if kind in ("i", "b") and wire == 2:
        numbers = []
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            numbers.append(_single(kind, number, inner))
        return numbers
    return [_single(kind, value, inner)]


def _says_something(field: str, value: Any) -> bool:
    if value is None or value == "":
        return False
    if value is False:
        return field in _FALSE_COUNTS
    if value == 0 and isinstance(value, int):
        return field in _ZERO_COUNTS
    return True


def _map_entry(data: bytes, inner: str) -> tuple[str, Any]:
    key, entry = "", None
    for number, _, value in _parts(data):
        if number == 1:
            key = value.decode()
        elif number == 2:
            entry = _single(inner, value, "") if len(inner) == 1 else _single("m", value, inner)
    return key, "" if entry is None else entry


def _single(kind: str, value: Any, inner: str) -> Any:
    if kind == "s":
        return value.decode()
    if kind == "y":
        return base64.b64encode(value).decode()
    if kind == "b":
        return bool(value)
    if kind == "i":
        return value - (1 << 64) if value >= 1 << 63 else value
    if kind == "d":
        return struct.unpack("<d", value)[0]
    special = _SPECIAL.get(inner)
    return special(value) if special is not None else _message(value, inner)


def _quantity(data: bytes) -> Any:
    return next((value.decode() for number, _, value in _parts(data) if number == 1), "0")


def _int_or_string(data: bytes) -> Any:
    parts = {number: value for number, _, value in _parts(data)}
    return parts.get(3, b"").decode() if parts.get(1) else parts.get(2, 0)


def _time(data: bytes) -> Any:
    parts = {number: value for number, _, value in _parts(data)}
    if not parts.get(1):
        return None
    return datetime.fromtimestamp(parts[1], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(data: bytes) -> Any:
    parts = {number: value for number, _, value in _parts(data)}
    if not parts.get(1):
        return None
    moment = datetime.fromtimestamp(parts[1] + parts.get(2, 0) / 1e9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _raw(data: bytes) -> Any:
    raw = next((value for number, _, value in _parts(data) if number == 1), b"")
    return json.loads(raw) if raw else None


_SPECIAL = {
    "api.resource.Quantity": _quantity,
    "util.intstr.IntOrString": _int_or_string,
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.FieldsV1": _raw,
    "runtime.RawExtension": _raw,
}
