"""Whether the condition of a Kyverno rule holds for the deletion of one object. What is not understood is None. Pure.

A key is understood when it is one variable of the request that is known here, alone or through `to_lower`, with or without an
empty default. Operators that compare with plain text are understood; wildcards, durations and other variables are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cluster.values import Object
from dashboard.askers import SOMEBODY, Asker
from dashboard.logic import Known, every, negated, some

DEFAULT = r"""(?:\|\|\s*(?P<default>''|`""`|`\[\]`)\s*)?"""
VARIABLE = re.compile(
    r"\{\{\s*(?P<lower>to_lower\(\s*)?(?P<path>[\w.\"/-]+?)\s*" + DEFAULT + r"(?(lower)\)\s*)\}\}"
)
PAIR = re.compile(r"request\.oldObject\.metadata\.(annotations|labels)\.(?:\"([^\"]+)\"|([A-Za-z_]\w*))")
ROLES = ("request.roles", "request.clusterRoles")
LISTS = ("request.userInfo.groups", *ROLES)


@dataclass(frozen=True)
class Deletion:
    """The deletion of `obj`. `namespace` is its own, or its name; None: any. `asker` is None for anybody."""

    obj: Object
    namespace: str | None
    asker: Asker | None = None

    def pairs(self, kind: str) -> dict[str, str]:
        """Labels or annotations of the object."""
        return dict(self.obj.labels if kind == "labels" else self.obj.annotations)


def holds(conditions: Any, deletion: Deletion) -> Known:
    """Whether a conditions block is met: all of `all` and, if given, one of `any`. A list means all of it."""
    if isinstance(conditions, list) and conditions:
        return every(holds(one, deletion) for one in conditions)
    if not isinstance(conditions, dict):
        return None
    if "key" in conditions:
        return _compared(conditions, deletion)
    if conditions.keys() - {"any", "all"}:
        return None
    if not conditions or not all(isinstance(value, list) and value for value in conditions.values()):
        return None  # of empty lists versions differ; the schema lets anything else pass too
    parts = [every(holds(one, deletion) for one in conditions.get("all", ()))]
    if "any" in conditions:
        parts.append(some(holds(one, deletion) for one in conditions["any"]))
    return every(parts)


def _compared(condition: dict[str, Any], deletion: Deletion) -> Known:
    operator = str(condition.get("operator", ""))
    wanted = condition.get("value")
    given = wanted if isinstance(wanted, list) else [wanted]
    values = [value for value in given if isinstance(value, str)]
    if not values or len(values) < len(given):
        return None
    if any(mark in value for value in values for mark in ("*", "?", "{{", "[")):
        return None
    listed = isinstance(wanted, list)
    if operator in {"Equals", "Equal", "NotEquals", "NotEqual"} and listed:
        return None
    found = _variable(str(condition.get("key", "")).strip())
    if found is None:
        return None
    # Of a list, the other operators ask whether all of it is there, or whether not all of it is absent.
    many = found["path"] in LISTS
    if operator in ({"AnyIn"} if many else {"Equals", "Equal", "In", "AnyIn", "AllIn"}):
        return _among(found, values, deletion)
    if operator in ({"AllNotIn"} if many else {"NotEquals", "NotEqual", "NotIn", "AnyNotIn", "AllNotIn"}):
        return negated(_among(found, values, deletion))
    return None


@lru_cache(maxsize=1024)
def _variable(key: str) -> re.Match[str] | None:
    return VARIABLE.fullmatch(key)


def _among(found: re.Match[str], values: list[str], deletion: Deletion) -> Known:
    """Whether the variable is one of the values."""
    path = found["path"]
    if path in LISTS:
        return _belongs(path, values, deletion.asker)
    value = _value(path, deletion)
    if value is None and found["default"] == "''":
        value = "" if PAIR.fullmatch(path) else None
    if value is None:
        return _unnamed(path, deletion.asker) if "" not in values else None
    return (value.lower() if found["lower"] else value) in values


def _belongs(path: str, values: list[str], asker: Asker | None) -> Known:
    if asker is None:
        return None
    return any(asker.is_in(value) for value in values) if path not in ROLES else asker.has_role(values)


def _unnamed(path: str, asker: Asker | None) -> Known:
    """Somebody is nobody whom a policy names."""
    return (
        False if asker == SOMEBODY and path in {"request.userInfo.username", "serviceAccountName"} else None
    )


def _value(path: str, deletion: Deletion) -> str | None:
    pair = PAIR.fullmatch(path)
    if pair:
        return deletion.pairs(pair[1]).get(pair[2] or pair[3])
    if path == "request.operation":
        return "DELETE"
    if path in {"request.namespace", "request.oldObject.metadata.namespace"} and deletion.obj.namespace:
        return deletion.namespace
    if path in {"request.name", "request.oldObject.metadata.name"}:
        # Of many deleted at once, the request has no name.
        return deletion.obj.name if path != "request.name" else None
    if path == "request.userInfo.username" and deletion.asker is not None:
        return deletion.asker.user or None
    if path == "serviceAccountName" and deletion.asker is not None and deletion.asker.user:
        return deletion.asker.user.rpartition(":")[2]
    return None
