"""Schemas of custom resources: pruning, defaults and validation, as apiextensions does them."""

from __future__ import annotations

import copy
import re
from typing import Any

from sandbox.apiserver.errors import Cause, field_invalid, field_not_supported, field_required, shown

Json = dict[str, Any]

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_TYPE_NAMES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def prune(value: Any, schema: Json, path: str = "") -> list[str]:
    """Removes what the schema does not know, in place; the paths that went."""
    gone: list[str] = []
    if isinstance(value, list):
        items = schema.get("items") or {}
        for index, one in enumerate(value):
            gone += prune(one, items, f"{path}[{index}]")
    if not isinstance(value, dict) or schema.get(_PRESERVE) or schema.get("x-kubernetes-embedded-resource"):
        return gone
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for name in list(value):
        inner = f"{path}.{name}" if path else name
        if not path and name in ("apiVersion", "kind", "metadata"):
            continue
        if name in properties:
            gone += prune(value[name], properties[name], inner)
        elif isinstance(others, dict):
            gone += prune(value[name], others, inner)
        elif not others:
            gone.append(inner)
            del value[name]
    return gone


def default(value: Any, schema: Json) -> None:
    """Fills in the schema's defaults, in place."""
    if isinstance(value, list):
        for one in value:
            default(one, schema.get("items") or {})
    if not isinstance(value, dict):
        return
    for name, inner in (schema.get("properties") or {}).items():
        if "default" in inner and (name not in value or (value[name] is None and not inner.get("nullable"))):
            value[name] = copy.deepcopy(inner["default"])
        if name in value:
            default(value[name], inner)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for name in value.keys() - (schema.get("properties") or {}).keys():
            default(value[name], others)


def validate(value: Any, schema: Json, path: str = "") -> list[Cause]:
    """What is wrong with a value, in the words of the API server."""
    if value is None:
        return [] if schema.get("nullable") or not path else _wrong_type(value, schema, path)
    if schema.get("x-kubernetes-int-or-string"):
        good = isinstance(value, (int, str)) and not isinstance(value, bool)
        return [] if good else [_typed(value, "integer,string", path)]
    if problems := _wrong_type(value, schema, path):
        return problems
    causes = _check_value(value, schema, path)
    if isinstance(value, dict):
        causes += _check_object(value, schema, path)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            causes += validate(one, schema.get("items") or {}, f"{path}[{index}]")
    return causes


def _typed(value: Any, wanted: str, path: str) -> Cause:
    names = {str: "string", bool: "boolean", dict: "object", list: "array", int: "integer", float: "number"}
    found = names.get(type(value), "null")
    return Cause(
        "FieldValueTypeInvalid",
        f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"',
        path,
    )


def _wrong_type(value: Any, schema: Json, path: str) -> list[Cause]:
    wanted = schema.get("type")
    types = _TYPE_NAMES.get(wanted or "")
    if not types:
        return []
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = is_number if wanted == "number" else isinstance(value, types)
    if wanted == "integer" and isinstance(value, bool):
        good = False
    return [] if good else [_typed(value, str(wanted), path)]


def _check_value(value: Any, schema: Json, path: str) -> list[Cause]:
    causes = []
    if (allowed := schema.get("enum")) is not None and value not in allowed:
        causes.append(field_not_supported(path, value, [str(one) for one in allowed]))
    if isinstance(value, str):
        if (pattern := schema.get("pattern")) and not re.search(pattern, value):
            causes.append(field_invalid(path, value, f"{path} in body should match '{pattern}'"))
        if (limit := schema.get("maxLength")) is not None and len(value) > limit:
            causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path))
        if (least := schema.get("minLength")) is not None and len(value) < least:
            causes.append(field_invalid(path, value, f"{path} in body should be at least {least} chars long"))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if (low := schema.get("minimum")) is not None and value < low:
            causes.append(
                field_invalid(path, value, f"{path} in body should be greater than or equal to {shown(low)}")
            )
        if (high := schema.get("maximum")) is not None and value > high:
            causes.append(
                field_invalid(path, value, f"{path} in body should be less than or equal to {shown(high)}")
            )
    return causes


def _check_object(value: Json, schema: Json, path: str) -> list[Cause]:
    causes = [
        field_required(f"{path}.{name}" if path else name)
        for name in schema.get("required") or ()
        if name not in value
    ]
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        if not path and name in ("apiVersion", "kind", "metadata"):
            continue
        if name in properties:
            causes += validate(inner, properties[name], here)
        elif isinstance(others, dict):
            causes += validate(inner, others, here)
    return causes
