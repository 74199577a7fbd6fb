"""Who asks for a deletion, as policies tell them apart: somebody whom no policy names, or a controller of the cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

EVERYONE = "system:authenticated"
KUBE_SYSTEM = "system:serviceaccounts:kube-system"
ACCOUNTS = "system:serviceaccount:kube-system:"

EVERYBODYS_ROLES = ("system:basic-user", "system:discovery", "system:public-info-viewer")


@dataclass(frozen=True)
class Asker:
    """A user and its groups. An empty `user` is somebody whom no policy names, and who has no role that one names."""

    user: str = ""
    groups: frozenset[str] = frozenset({EVERYONE})

    def is_user(self, pattern: str) -> bool:
        return fnmatchcase(self.user, pattern) if self.user else set(pattern) == {"*"}

    def is_in(self, pattern: str) -> bool:
        return any(fnmatchcase(group, pattern) for group in self.groups)

    def has_role(self, patterns: Iterable[str]) -> bool | None:
        """What roles a controller has is not read here, nor who has those that everybody has as a rule."""
        common = any(fnmatchcase(role, pattern) for role in EVERYBODYS_ROLES for pattern in patterns)
        return None if self.user or common else False


SOMEBODY = Asker()
CONTROLLERS = tuple(
    Asker(ACCOUNTS + name, frozenset({EVERYONE, "system:serviceaccounts", KUBE_SYSTEM}))
    for name in ("namespace-controller", "generic-garbage-collector", "statefulset-controller")
)


def harmless(pattern: str) -> bool:
    """Leaves out nodes, which may delete no claims, or the cluster's own controllers, which are judged by themselves."""
    return pattern in {"system:nodes", KUBE_SYSTEM} or pattern.startswith(("system:node:", ACCOUNTS))


def among(people: Mapping[str, Any], asker: Asker | None) -> bool | None:
    """Whether the asker is among the subjects, roles and clusterRoles of a Kyverno filter; None: it cannot be told."""
    if not people:
        return True
    if asker is None:
        groups = [s.get("name", "") for s in people.get("subjects") or () if s.get("kind") == "Group"]
        return (
            True if people.keys() == {"subjects"} and any(fnmatchcase(EVERYONE, g) for g in groups) else None
        )
    answers: list[bool | None] = []
    if people.get("subjects"):
        answers.append(any(_is(subject, asker) for subject in people["subjects"]))
    answers += [asker.has_role(people[key]) for key in ("roles", "clusterRoles") if people.get(key)]
    return False if False in answers else None if None in answers else True


def _is(subject: Mapping[str, Any], asker: Asker) -> bool:
    name = str(subject.get("name", ""))
    if subject.get("kind") == "Group":
        return asker.is_in(name)
    if subject.get("kind") == "ServiceAccount":
        name = f"system:serviceaccount:{subject.get('namespace', '')}:{name}"
        return bool(asker.user) and asker.is_user(name)
    return asker.is_user(name)
