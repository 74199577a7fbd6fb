"""Label and field selectors: parsed once, matched against many objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.apiserver.errors import StatusError, bad_request

Json = dict[str, Any]
LabelMatch = Callable[[Mapping[str, str]], bool]

_SET_BASED = re.compile(r"^\s*([\w./-]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUALITY = re.compile(r"^\s*([\w./-]+)\s*(!=|==|=)\s*([\w.-]*)\s*$")
_COMPARED = re.compile(r"^\s*([\w./-]+)\s*(>|<)\s*(-?\d+)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([\w./-]+)\s*$")


def _split(text: str) -> list[str]:
    """Splits at commas outside parentheses."""
    parts = re.split(r",(?![^(]*\))", text)
    return [part for part in parts if part.strip()]


def label_selector(text: str) -> LabelMatch | None:
    """A matcher for a labelSelector parameter; None when it selects everything. StatusError 400 when malformed."""
    requirements = [_requirement(part) for part in _split(text)]
    if not requirements:
        return None
    return lambda labels: all(requirement(labels) for requirement in requirements)


def _requirement(part: str) -> LabelMatch:
    if found := _SET_BASED.match(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALITY.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _COMPARED.match(part):
        return _comparison(*found.groups())
    if found := _EXISTS.match(part):
        negated, key = found.groups()
        return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {part!r}")


def _comparison(key: str, operator: str, number: str) -> LabelMatch:
    def compare(labels: Mapping[str, str]) -> bool:
        try:
            value = int(labels.get(key, ""))
        except ValueError:
            return False
        return value > int(number) if operator == ">" else value < int(number)

    return compare


def matches_object_selector(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """A metav1.LabelSelector (matchLabels, matchExpressions) against labels; an empty one matches all."""
    if not selector:
        return True
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(entry, labels) for entry in selector.get("matchExpressions") or ())


def _expression(entry: Json, labels: Mapping[str, str]) -> bool:
    key, values = entry["key"], entry.get("values") or []
    match entry["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
FIELDS: dict[tuple[str, str], frozenset[str]] = {
    ("", "pods"): frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    ("", "namespaces"): frozenset({"status.phase"}),
    ("", "nodes"): frozenset({"spec.unschedulable"}),
    ("", "secrets"): frozenset({"type"}),
    ("", "services"): frozenset({"spec.clusterIP", "spec.type"}),
    ("", "events"): frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    ("apps", "replicasets"): frozenset({"status.replicas"}),
    ("batch", "jobs"): frozenset({"status.successful"}),
}


def field_selector(
    text: str, table: tuple[str, str], extra: tuple[str, ...] = ()
) -> Callable[[Json], bool] | None:
    """A matcher for a fieldSelector parameter. StatusError 400 for a field that the resource does not offer."""
    terms = [_field_term(part) for part in text.split(",") if part.strip()]
    known = _COMMON_FIELDS | FIELDS.get(table, frozenset()) | {path.lstrip(".") for path in extra}
    for path, _, _ in terms:
        if path not in known:
            raise _unsupported_field(path)
    if not terms:
        return None
    return lambda item: all((_text_at(item, path) == value) is wanted for path, value, wanted in terms)


def _unsupported_field(path: str) -> StatusError:
    return bad_request(f'field label not supported: "{path}"')


def _field_term(part: str) -> tuple[str, str, bool]:
    for operator, wanted in (("!=", False), ("==", True), ("=", True)):
        if operator in part:
            path, _, value = part.partition(operator)
            return path.strip(), value.strip(), wanted
    raise bad_request(f"invalid selector: {part!r}; can't understand {part!r}")


def _text_at(item: Json, path: str) -> str:
    if path == "source":
        return str((item.get("source") or {}).get("component") or item.get("reportingComponent") or "")
    if path == "status.successful":
        return str((item.get("status") or {}).get("succeeded") or 0)
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value).lower() if isinstance(value, bool) else str(value)
