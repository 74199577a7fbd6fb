"""Strategic merge, with the merge keys of the built-in kinds, and JSON patches."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.flux.kustomize.errors import KustomizeError

# By the name of the list. The list of ports has another key in a Service than in a container.
_MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
}
_BUILT_IN = ("", "apps", "batch", "autoscaling", "policy", "extensions")


def strategic_merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any] | None:
    """The patched object; None when the patch deletes it."""
    if patch.get("$patch") == "delete":
        return None
    group = str(target.get("apiVersion", "")).rpartition("/")[0]
    is_known = group in _BUILT_IN or group.endswith(".k8s.io")
    kind = str(target.get("kind", ""))
    merged = _merge(target, patch, _Lists(kind) if is_known else None)
    return merged


class _Lists:
    """The merge keys of the lists of one kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def keys_of(self, name: str, items: list[Any]) -> tuple[str, ...]:
        if name == "ports":
            return ("port", "protocol") if self._kind == "Service" else ("containerPort", "protocol")
        keys = _MERGE_KEYS.get(name, ())
        return keys if all(isinstance(one, dict) for one in items) else ()


def _merge(target: dict[str, Any], patch: dict[str, Any], lists: _Lists | None) -> dict[str, Any]:
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    result = dict(target)
    for key, value in patch.items():
        if key == "$patch":
            continue
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            if value.get("$patch") == "delete":
                result.pop(key, None)
                continue
            old = result.get(key)
            result[key] = _merge(old if isinstance(old, dict) else {}, value, lists)
        elif isinstance(value, list):
            result[key] = _merge_list(key, result.get(key), value, lists)
        else:
            result[key] = value
    return result


def _merge_list(name: str, old: Any, patch: list[Any], lists: _Lists | None) -> list[Any]:
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [
            copy.deepcopy(one)
            for one in patch
            if not (isinstance(one, dict) and one.get("$patch") == "replace")
        ]
    if not isinstance(old, list) or lists is None:
        return _without_directives(patch, lists)
    if name == "finalizers":
        return [*old, *(one for one in patch if one not in old)]
    keys = lists.keys_of(name, [*old, *patch])
    if not keys:
        return _without_directives(patch, lists)
    return _merge_associative(old, patch, keys, lists)


def _merge_associative(
    old: list[dict[str, Any]], patch: list[dict[str, Any]], keys: tuple[str, ...], lists: _Lists
) -> list[Any]:
    """kustomize puts the patch's items first, in the patch's order, and the rest after them."""
    rest = list(old)
    first: list[Any] = []
    for item in patch:
        match = next((one for one in rest if _same_key(one, item, keys)), None)
        if match is not None:
            rest.remove(match)
        if item.get("$patch") == "delete":
            continue
        first.append(_merge(match or {}, item, lists))
    return [*first, *rest]


def _same_key(one: dict[str, Any], other: dict[str, Any], keys: tuple[str, ...]) -> bool:
    used = [key for key in keys if key in one or key in other]
    return bool(used) and all(
        one.get(key) == other.get(key)
        or (
            key == "protocol"
            and "TCP" in (one.get(key), other.get(key))
            and None in (one.get(key), other.get(key))
        )
        for key in used
    )


def _without_directives(items: list[Any], lists: _Lists | None) -> list[Any]:
    return [
        _merge({}, item, lists) if isinstance(item, dict) else item
        for item in items
        if not (isinstance(item, dict) and item.get("$patch") == "delete")
    ]


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902. KustomizeError when a path is not there or a test fails."""
    document = copy.deepcopy(target)
    for operation in operations:
        document = _operate(document, operation)
    return document


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation.get("op"), str(operation.get("path", ""))
    if kind in ("move", "copy"):
        value = copy.deepcopy(_read(document, str(operation["from"])))
        if kind == "move":
            document = _write(document, str(operation["from"]), "remove", None)
        return _write(document, path, "add", value)
    if kind == "test":
        if _read(document, path) != operation.get("value"):
            raise KustomizeError(f"testing path {path} value failed")
        return document
    if kind not in ("add", "remove", "replace"):
        raise KustomizeError(f"unexpected kind of operation: {kind!r}")
    return _write(document, path, str(kind), copy.deepcopy(operation.get("value")))


def _parts(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _read(document: Any, path: str) -> Any:
    value = document
    for part in _parts(path):
        value = _child(value, part, path)
    return value


def _child(value: Any, part: str, path: str) -> Any:
    try:
        return value[int(part)] if isinstance(value, list) else value[part]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise KustomizeError(f"doc is missing path: {path}: missing value") from error


def _write(document: Any, path: str, kind: str, value: Any) -> Any:
    parts = _parts(path)
    if not parts:
        return value
    parent = document
    for part in parts[:-1]:
        parent = _child(parent, part, path)
    last = parts[-1]
    if isinstance(parent, list):
        _write_list(parent, last, kind, value, path)
    elif isinstance(parent, dict):
        # The program replaces what is not there, too (measured with kustomize 5.5).
        if kind == "remove" and last not in parent:
            raise KustomizeError(
                f"{kind} operation does not apply: doc is missing key: {path}: missing value"
            )
        if kind == "remove":
            del parent[last]
        else:
            parent[last] = value
    else:
        raise KustomizeError(f"{kind} operation does not apply: doc is missing path: {path}: missing value")
    return document


def _write_list(parent: list[Any], last: str, kind: str, value: Any, path: str) -> None:
    if kind == "add" and last == "-":
        parent.append(value)
        return
    index = int(last) if last.isdigit() else -1
    if not 0 <= index < len(parent) + (kind == "add"):
        raise KustomizeError(f"{kind} operation does not apply: invalid index: {path}")
    if kind == "add":
        parent.insert(index, value)
    elif kind == "remove":
        del parent[index]
    else:
        parent[index] = value
