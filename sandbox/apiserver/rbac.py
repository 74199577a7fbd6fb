"""Authorization by roles and bindings, evaluated from the stored objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver.auth import MASTERS
from sandbox.apiserver.call import User
from sandbox.apiserver.errors import StatusError, qualified
from sandbox.apiserver.store import Change, Store

Json = dict[str, Any]

_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Wish:
    """What a caller wants to do. `path` is set instead of a resource for paths such as /healthz."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True)
class _Grant:
    """The rules of one binding; namespace is empty for the whole cluster."""

    namespace: str
    rules: tuple[Json, ...]


class Authorizer:
    """Answers whether a user may do something. The bindings are read again after each change of one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._grants: dict[tuple[str, str], list[_Grant]] | None = None
        store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.table[0] == _GROUP:
            self._grants = None

    def allowed(self, user: User, wish: Wish) -> bool:
        if MASTERS in user.groups:
            return True
        if wish.path:
            return _path_allowed(wish, user) or any(
                _path_matches(rule, wish) for rule in self.rules_of(user, "")
            )
        return any(_matches(rule, wish) for rule in self.rules_of(user, wish.namespace))

    def require(self, user: User, wish: Wish) -> None:
        """StatusError 403, worded as the real one, unless the user may."""
        if not self.allowed(user, wish):
            raise denied(user, wish)

    def rules_of(self, user: User, namespace: str) -> Iterator[Json]:
        """The rules that hold for a user in a namespace (or in the whole cluster)."""
        grants = self._load()
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        for subject in subjects:
            for grant in grants.get(subject, ()):
                if not grant.namespace or grant.namespace == namespace:
                    yield from grant.rules

    def _load(self) -> dict[tuple[str, str], list[_Grant]]:
        if self._grants is None:
            self._grants = defaultdict(list)
            for plural in ("clusterrolebindings", "rolebindings"):
                for entry in self._store.entries((_GROUP, plural)):
                    self._add(entry.decode())
        return self._grants

    def _add(self, binding: Json) -> None:
        namespace = binding["metadata"].get("namespace", "")
        reference = binding.get("roleRef") or {}
        within = namespace if reference.get("kind") == "Role" else ""
        plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
        role = self._store.get((_GROUP, plural), within, reference.get("name", ""))
        if role is None or self._grants is None:
            return
        grant = _Grant(namespace, tuple(role.decode().get("rules") or ()))
        for subject in binding.get("subjects") or ():
            self._grants[_subject(subject, namespace)].append(grant)


def _subject(subject: Json, namespace: str) -> tuple[str, str]:
    if subject.get("kind") != "ServiceAccount":
        return subject.get("kind", ""), subject.get("name", "")
    return "User", f"system:serviceaccount:{subject.get('namespace') or namespace}:{subject.get('name', '')}"


def _matches(rule: Json, wish: Wish) -> bool:
    names = rule.get("resourceNames")
    return (
        _has(rule.get("verbs"), wish.verb)
        and _has(rule.get("apiGroups"), wish.group)
        and _has_resource(rule.get("resources") or (), wish)
        and (not names or wish.name in names)
    )


def _has(values: list[str] | None, wanted: str) -> bool:
    return bool(values) and ("*" in values or wanted in values)  # type: ignore[operator]


def _has_resource(resources: Iterable[str], wish: Wish) -> bool:
    full = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    return any(
        entry in ("*", full) or (entry == f"*/{wish.subresource}" and wish.subresource) for entry in resources
    )


_OPEN_PATHS = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")


def _path_allowed(wish: Wish, user: User) -> bool:
    """Discovery is open to whoever is authenticated (ClusterRole system:discovery)."""
    return wish.verb == "get" and any(
        wish.path == path or wish.path.startswith(f"{path}/") for path in _OPEN_PATHS
    )


def _path_matches(rule: Json, wish: Wish) -> bool:
    if not _has(rule.get("verbs"), wish.verb):
        return False
    return any(
        pattern in ("*", wish.path) or (pattern.endswith("*") and wish.path.startswith(pattern[:-1]))
        for pattern in rule.get("nonResourceURLs") or ()
    )


def denied(user: User, wish: Wish) -> StatusError:
    if wish.path:
        message = f'forbidden: User "{user.name}" cannot {wish.verb} path "{wish.path}"'
        return StatusError(403, "Forbidden", message, {})
    resource = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    where = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    named = f' "{wish.name}"' if wish.name else ""
    message = (
        f'{qualified(wish.resource, wish.group)}{named} is forbidden: User "{user.name}" cannot {wish.verb} resource'
        f' "{resource}" in API group "{wish.group}" {where}'
    )
    details = {"name": wish.name, "group": wish.group, "kind": wish.resource}
    return StatusError(403, "Forbidden", message, {key: value for key, value in details.items() if value})
