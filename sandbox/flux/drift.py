"""Whether the live object differs from what Git declares, and what spec.ignore leaves out of that question."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any

from sandbox.answers import Object
from sandbox.flux.values import dig

_MISSING = object()


def has_drifted(existing: Object, dry_run: Object) -> bool:
    """Compares labels, annotations and everything but metadata and status of a dry run with the live object."""
    for place in ("labels", "annotations"):
        if (dig(existing, "metadata", place) or {}) != (dig(dry_run, "metadata", place) or {}):
            return True
    return _content(existing) != _content(dry_run)


def _content(item: Object) -> Object:
    return {key: value for key, value in item.items() if key not in ("metadata", "status")}


def keep_ignored(declared: Object, existing: Object | None, rules: Iterable[Object]) -> Object:
    """The declared object with the live values at the JSON pointers of spec.ignore. Existing objects only."""
    if existing is None:
        return declared
    result = declared
    for rule in rules:
        if not _targets(rule.get("target") or {}, declared):
            continue
        result = copy.deepcopy(result) if result is declared else result
        for pointer in rule.get("paths") or []:
            _copy_value(result, existing, _parts(pointer))
    return result


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.lstrip("/").split("/")]


def _copy_value(target: Object, source: Object, parts: list[str]) -> None:
    value: Any = source
    for part in parts:
        value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
    parent = target
    for part in parts[:-1]:
        if value is _MISSING and not isinstance(parent.get(part), dict):
            return
        parent = parent.setdefault(part, {})
    if value is _MISSING:
        parent.pop(parts[-1], None)
    else:
        parent[parts[-1]] = copy.deepcopy(value)


def _targets(target: Object, item: Object) -> bool:
    group, _, version = str(item["apiVersion"]).rpartition("/")
    facts = {"group": group, "version": version, "kind": item["kind"], **_names(item)}
    return all(
        re.fullmatch(str(wanted), str(facts[key]))
        for key, wanted in target.items()
        if key in facts and wanted
    )


def _names(item: Object) -> Object:
    return {"name": item["metadata"]["name"], "namespace": item["metadata"].get("namespace") or ""}
