"""match and exclude: which requests a rule is about."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from sandbox.answers import Object

# Given a user name and groups: the names of the ClusterRoles and (namespace:name) Roles that are bound to them.
Roles = Callable[[Object], tuple[set[str], set[str]]]


def matches(block: Object, request: Object, roles: Roles, namespace_labels: Callable[[str], Object]) -> bool:
    """Whether a match or exclude block covers an AdmissionRequest. An empty block covers nothing."""
    if block.get("any"):
        return any(_filter(entry, request, roles, namespace_labels) for entry in block["any"])
    if block.get("all"):
        return all(_filter(entry, request, roles, namespace_labels) for entry in block["all"])
    return bool(block) and _filter(block, request, roles, namespace_labels)


def _filter(entry: Object, request: Object, roles: Roles, namespace_labels: Callable[[str], Object]) -> bool:
    resources = entry.get("resources") or {}
    people = {key: entry[key] for key in ("subjects", "roles", "clusterRoles") if entry.get(key)}
    if not resources and not people:
        return False
    if resources and not _resources(resources, request, namespace_labels):
        return False
    return not people or _people(people, request, roles)


def subject_object(request: Object) -> Object:
    """The object that a rule looks at: the new one, on DELETE the old one."""
    found: Object = request.get("object") or request.get("oldObject") or {}
    return found


def kind_matches(pattern: str, request: Object) -> bool:
    """'PersistentVolumeClaim', 'v1/PersistentVolumeClaim', 'apps/v1/Deployment', with wildcards; no subresources."""
    if request.get("subResource"):
        return False
    kind = request["kind"]
    parts = pattern.split("/")
    wanted = dict(zip(("kind", "version", "group"), reversed(parts), strict=False))
    if len(parts) == 2 and parts[0] != "*" and not parts[0].startswith("v"):
        wanted = {"kind": parts[1], "group": parts[0]}
    return all(fnmatchcase(str(kind.get(key, "")), value) for key, value in wanted.items())


def _resources(wanted: Object, request: Object, namespace_labels: Callable[[str], Object]) -> bool:
    item = subject_object(request)
    metadata = item.get("metadata") or {}
    name = metadata.get("name") or request.get("name") or ""
    namespace = request.get("namespace") or ""
    if request["kind"]["kind"] == "Namespace":
        namespace = name
    names = [*(wanted.get("names") or []), *([wanted["name"]] if wanted.get("name") else [])]
    checks = (
        not wanted.get("kinds") or any(kind_matches(kind, request) for kind in wanted["kinds"]),
        not wanted.get("operations") or request["operation"] in wanted["operations"],
        not names or any(fnmatchcase(name, pattern) for pattern in names),
        not wanted.get("namespaces") or any(fnmatchcase(namespace, one) for one in wanted["namespaces"]),
        _has_all(wanted.get("annotations") or {}, metadata.get("annotations") or {}),
        selected(wanted.get("selector"), metadata.get("labels") or {}),
        not wanted.get("namespaceSelector")
        or selected(wanted["namespaceSelector"], namespace_labels(namespace)),
    )
    return all(checks)


def _has_all(wanted: Object, found: Object) -> bool:
    return all(
        any(fnmatchcase(key, pattern) and fnmatchcase(str(found[key]), str(value)) for key in found)
        for pattern, value in wanted.items()
    )


def selected(selector: Object | None, labels: Object) -> bool:
    """A label selector, with wildcards in the values of matchLabels as Kyverno allows them."""
    if not selector:
        return True
    if not _has_all(selector.get("matchLabels") or {}, labels):
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions") or [])


def _expression(expression: Object, labels: Object) -> bool:
    key, values = expression["key"], expression.get("values") or []
    answers = {
        "In": key in labels and labels[key] in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return answers[expression["operator"]]


def _people(wanted: Object, request: Object, roles: Roles) -> bool:
    user: Object = request.get("userInfo") or {}
    cluster_roles, namespaced_roles = (
        roles(user) if "roles" in wanted or "clusterRoles" in wanted else (set(), set())
    )
    checks = (
        "subjects" not in wanted or any(_is_subject(one, user) for one in wanted["subjects"]),
        "clusterRoles" not in wanted or _any_like(wanted["clusterRoles"], cluster_roles),
        "roles" not in wanted or _any_like(wanted["roles"], namespaced_roles),
    )
    return all(checks)


def _any_like(patterns: list[str], names: set[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _is_subject(subject: Object, user: dict[str, Any]) -> bool:
    name, kind = str(subject.get("name", "")), subject.get("kind")
    if kind == "ServiceAccount":
        return bool(user.get("username") == f"system:serviceaccount:{subject.get('namespace')}:{name}")
    if kind == "Group":
        return any(fnmatchcase(group, name) for group in user.get("groups") or [])
    return fnmatchcase(str(user.get("username", "")), name)
