"""The three patch types of the API that need no ownership: merge, strategic merge and JSON patch."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.apiserver.errors import StatusError, bad_request
from sandbox.apiserver.listtypes import merge_key, merges_primitives

Json = dict[str, Any]

_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386. Returns a new value."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# -- strategic merge ---------------------------------------------------------------------------------


def strategic_merge(target: Json, patch: Json) -> Json:
    """A strategic merge patch with its directives: $patch, $retainKeys, $setElementOrder, $deleteFromPrimitiveList."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(target)
    if (retained := patch.get("$retainKeys")) is not None:
        merged = {key: value for key, value in merged.items() if key in retained}
    for key, value in patch.items():
        _merge_field(merged, key, value, patch)
    return merged


def _merge_field(merged: Json, key: str, value: Any, patch: Json) -> None:
    if key.startswith(_DELETE_PRIMITIVES):
        field = key.removeprefix(_DELETE_PRIMITIVES)
        merged[field] = [item for item in merged.get(field) or [] if item not in value]
    elif key.startswith(_ORDER):
        field = key.removeprefix(_ORDER)
        if field not in patch and field in merged:
            merged[field] = _ordered(merged[field], value, field)
    elif key.startswith("$"):
        return
    elif value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        merged[key] = strategic_merge(_mapping(merged.get(key)), value)
    elif isinstance(value, list):
        order = patch.get(_ORDER + key)
        combined = _merge_list(merged.get(key) or [], value, key)
        merged[key] = _ordered(combined, order, key) if order is not None else combined
    else:
        merged[key] = value


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _merge_list(target: list[Any], patch: list[Any], field: str) -> list[Any]:
    if merges_primitives(field):
        return target + [item for item in patch if item not in target]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    key = merge_key(field, patch)
    if not key or not all(isinstance(item, dict) for item in [*target, *patch]):
        return patch
    return _merge_keyed(target, patch, key, field)


def _merge_keyed(target: list[Json], patch: list[Json], key: str, field: str) -> list[Json]:
    merged = list(target)
    for item in patch:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = next((index for index, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif place is None:
            merged.append(strategic_merge({}, item))
        else:
            merged[place] = strategic_merge(merged[place], item)
    return merged


def _ordered(items: list[Any], order: list[Any], field: str) -> list[Any]:
    """Sorts the items that the order names into that order; the rest keeps its place at the end."""
    key = merge_key(field, order)

    def identity(item: Any) -> Any:
        return item.get(key) if isinstance(item, dict) else item

    ranks = {identity(entry): rank for rank, entry in enumerate(order)}
    return sorted(items, key=lambda item: ranks.get(identity(item), len(ranks)))


# -- JSON patch --------------------------------------------------------------------------------------


def _rejected() -> StatusError:
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request")


def json_patch(target: Json, operations: Any) -> Json:
    """RFC 6902. StatusError 422 when a test fails or a path is missing, as the API server answers it."""
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        )
    document: Any = copy.deepcopy(target)
    for operation in operations:
        document = _operate(document, operation)
    if not isinstance(document, dict):
        raise _rejected()
    return document


def _operate(document: Any, operation: Json) -> Any:
    kind = operation.get("op")
    path = _pointer(operation.get("path"))
    if kind in ("add", "replace", "test") and "value" not in operation:
        operation = {**operation, "value": None}
    if kind == "test":
        if _read(document, path, missing=None) != operation["value"]:
            raise _rejected()
        return document
    if kind == "add":
        return _write(document, path, copy.deepcopy(operation["value"]), insert=True)
    if kind == "replace":
        _read(document, path)
        return _write(document, path, copy.deepcopy(operation["value"]), insert=False)
    if kind == "remove":
        return _remove(document, path)
    if kind in ("copy", "move"):
        source = _pointer(operation.get("from"))
        value = copy.deepcopy(_read(document, source))
        if kind == "move":
            document = _remove(document, source)
        return _write(document, path, value, insert=True)
    raise _rejected()


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _rejected()
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


_REQUIRED = object()


def _read(document: Any, path: list[str], missing: Any = _REQUIRED) -> Any:
    value = document
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif missing is _REQUIRED:
            raise _rejected()
        else:
            return missing
    return value


def _write(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _read(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and insert and last == "-":
        parent.append(value)
    elif isinstance(parent, list) and last.isdigit() and int(last) <= len(parent):
        if insert:
            parent.insert(int(last), value)
        else:
            parent[int(last)] = value
    else:
        raise _rejected()
    return document


def _remove(document: Any, path: list[str]) -> Any:
    _read(document, path)
    if not path:
        raise _rejected()
    parent = _read(document, path[:-1])
    if isinstance(parent, list):
        del parent[int(path[-1])]
    else:
        del parent[path[-1]]
    return document
