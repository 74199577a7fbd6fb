"""The fields of built-in kinds: drops and reports unknown ones, refuses wrong types, and describes them for explain.

The same table that decodes protobuf says which fields there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sandbox.apiserver.errors import StatusError, bad_request
from sandbox.apiserver.protobuf import INLINE, fields_table
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]

_ANYTHING = frozenset({"meta.v1.FieldsV1", "runtime.RawExtension"})
_TEXTS = frozenset({"meta.v1.Time", "meta.v1.MicroTime"})
_NUMBERS_OR_TEXTS = frozenset({"api.resource.Quantity", "util.intstr.IntOrString"})
_TYPE_META = frozenset({"apiVersion", "kind"})
_WORDS = {"s": "string", "i": "int64", "b": "bool", "d": "float64", "y": "[]uint8"}
_OPENAPI = {"s": "string", "i": "integer", "b": "boolean", "d": "number", "y": "string"}


@dataclass(frozen=True)
class Declared:
    """One field: kind is s, i, b, d, y (bytes), m (object) or M (map); type names the object or the map's values."""

    kind: str
    repeated: bool
    type: str


@dataclass
class Findings:
    """What decoding found: the paths of unknown fields."""

    unknown: list[str] = field(default_factory=list)


@cache
def declared_fields(message: str) -> dict[str, Declared]:
    """The fields of a message by their JSON name, with inlined messages opened."""
    found: dict[str, Declared] = {}
    for text in fields_table()["messages"][message].values():
        name, kind, *rest = text.split(":")
        inner = rest[0] if rest else ""
        if name in INLINE and kind == "m":
            found |= declared_fields(inner)
        else:
            found[name] = Declared(kind.lstrip("*"), kind.startswith("*"), inner)
    return found


def root_of(resource: ResourceType) -> str | None:
    """The message of a kind; None for one that the table does not have."""
    found: str | None = fields_table()["roots"].get(f"{resource.api_version}/{resource.kind}")
    return found


def check(item: Json, message: str, resource: ResourceType) -> Findings:
    """Removes unknown fields and nulls from an object in place. StatusError 400 for a value of a wrong type."""
    findings = Findings()
    _object(item, message, "", findings, resource)
    return findings


def _object(value: Any, message: str, path: str, findings: Findings, resource: ResourceType) -> None:
    if not isinstance(value, dict):
        raise _mismatch(value, path, message.rpartition(".")[2], resource)
    known = declared_fields(message)
    for name in list(value):
        inner = f"{path}.{name}" if path else name
        declared = known.get(name)
        if declared is None:
            if not (name in _TYPE_META and (not path or "metadata" in known)):
                findings.unknown.append(inner)
                del value[name]
        elif value[name] is None:
            del value[name]
        else:
            _field(value[name], declared, inner, findings, resource)


def _field(value: Any, declared: Declared, path: str, findings: Findings, resource: ResourceType) -> None:
    if declared.kind == "M":
        if not isinstance(value, dict):
            raise _mismatch(value, path, "map[string]", resource)
        entry = Declared("m" if len(declared.type) > 1 else declared.type, False, declared.type)
        for key in list(value):
            if value[key] is None and entry.kind == "s":
                value[key] = ""
            elif value[key] is not None:
                _one(value[key], entry, f"{path}.{key}", findings, resource)
    elif declared.repeated:
        if not isinstance(value, list):
            raise _mismatch(
                value,
                path,
                f"[]{declared.type.rpartition('.')[2] or _WORDS.get(declared.kind, '')}",
                resource,
            )
        for index, one in enumerate(value):
            _one(one, declared, f"{path}[{index}]", findings, resource)
    else:
        _one(value, declared, path, findings, resource)


def _one(value: Any, declared: Declared, path: str, findings: Findings, resource: ResourceType) -> None:
    if declared.kind == "m":
        if declared.type in _ANYTHING:
            return
        if declared.type in _TEXTS | _NUMBERS_OR_TEXTS:
            good = isinstance(value, str) or (
                declared.type in _NUMBERS_OR_TEXTS and isinstance(value, (int, float))
            )
            if not good or isinstance(value, bool):
                raise _mismatch(value, path, declared.type.rpartition(".")[2], resource)
            return
        _object(value, declared.type, path, findings, resource)
        return
    if not _is_a(value, declared.kind):
        raise _mismatch(value, path, _WORDS[declared.kind], resource)


def _is_a(value: Any, kind: str) -> bool:
    if kind in ("s", "y"):
        return isinstance(value, str)
    if kind == "b":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if kind == "i" else isinstance(value, (int, float))


def _mismatch(value: Any, path: str, wanted: str, resource: ResourceType) -> StatusError:
    names = {str: "string", bool: "bool", dict: "object", list: "array", int: "number", float: "number"}
    found = names.get(type(value), "null")
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: cannot unmarshal'
        f" {found} into Go struct field {resource.kind}.{path} of type {wanted}"
    )


# -- OpenAPI -----------------------------------------------------------------------------------------


def schema_name(message: str) -> str:
    if message.startswith("meta."):
        return f"io.k8s.apimachinery.pkg.apis.{message}"
    if message.startswith(("api.", "util.", "runtime.")):
        return f"io.k8s.apimachinery.pkg.{message}"
    return f"io.k8s.api.{message}"


def openapi_schemas(message: str, found: Json) -> None:
    """Adds the schema of a message, and of what it refers to, to `found`."""
    name = schema_name(message)
    if name in found:
        return
    special = _special(message)
    found[name] = special or {"type": "object", "properties": {}}
    if special:
        return
    known = declared_fields(message)
    properties = found[name]["properties"]
    if "metadata" in known:
        properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    for field_name, declared in known.items():
        properties[field_name] = _property(declared, found)


def _special(message: str) -> Json | None:
    if message in _TEXTS:
        return {"type": "string", "format": "date-time"}
    if message == "util.intstr.IntOrString":
        return {"type": "string", "format": "int-or-string"}
    if message in _NUMBERS_OR_TEXTS:
        return {"type": "string"}
    return {"type": "object"} if message in _ANYTHING else None


def _property(declared: Declared, found: Json) -> Json:
    if declared.kind == "M":
        values = _value(
            Declared("m" if len(declared.type) > 1 else declared.type, False, declared.type), found
        )
        return {"type": "object", "additionalProperties": values}
    one = _value(declared, found)
    return {"type": "array", "items": one} if declared.repeated else one


def _value(declared: Declared, found: Json) -> Json:
    if declared.kind != "m":
        return {"type": _OPENAPI[declared.kind]}
    openapi_schemas(declared.type, found)
    return {"allOf": [{"$ref": f"#/components/schemas/{schema_name(declared.type)}"}]}
