"""Conditions of deny rules and preconditions: {any: [...], all: [...]} of key, operator, value."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from sandbox.kyverno.query import QueryError
from sandbox.kyverno.variables import resolve


def holds(conditions: Any, context: dict[str, Any]) -> bool:
    """Whether the conditions are met: all of `all` and, if given, one of `any`. A bare list means `all`."""
    if isinstance(conditions, list):
        groups = [entry for entry in conditions if "any" in entry or "all" in entry]
        plain = [entry for entry in conditions if entry not in groups]
        return all(holds(group, context) for group in groups) and all(_one(entry, context) for entry in plain)
    every = all(_one(entry, context) for entry in conditions.get("all") or [])
    some = conditions.get("any")
    return every and (not some or any(_one(entry, context) for entry in some))


def _one(entry: dict[str, Any], context: dict[str, Any]) -> bool:
    operator = str(entry.get("operator", "Equals")).lower()
    if operator not in _OPERATORS:
        raise QueryError(f"unknown operator {entry.get('operator')!r}")
    key = resolve(entry.get("key"), context)
    value = resolve(entry.get("value"), context)
    return _OPERATORS[operator](key, value)


def same(key: Any, value: Any) -> bool:
    """Equality as Kyverno has it: a string value may hold the wildcards * and ?."""
    if isinstance(key, str) and isinstance(value, str):
        return fnmatchcase(key, value.replace("[", "[[]"))
    if isinstance(key, bool) or isinstance(value, bool):
        return str(key).lower() == str(value).lower()
    if isinstance(key, int | float) and isinstance(value, str):
        return str(key) == value
    return bool(key == value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _any_in(key: Any, value: Any) -> bool:
    return any(same(one, wanted) for one in _listed(key) for wanted in _listed(value))


def _all_in(key: Any, value: Any) -> bool:
    return all(any(same(one, wanted) for wanted in _listed(value)) for one in _listed(key))


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": same,
    "equal": same,
    "notequals": lambda key, value: not same(key, value),
    "notequal": lambda key, value: not same(key, value),
    "in": _all_in,
    "allin": _all_in,
    "anyin": _any_in,
    "notin": lambda key, value: not _any_in(key, value),
    "allnotin": lambda key, value: not _any_in(key, value),
    "anynotin": lambda key, value: not _all_in(key, value),
    "greaterthan": lambda key, value: float(key) > float(value),
    "greaterthanorequals": lambda key, value: float(key) >= float(value),
    "lessthan": lambda key, value: float(key) < float(value),
    "lessthanorequals": lambda key, value: float(key) <= float(value),
}
