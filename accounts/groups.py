"""Turns the groups that an identity provider or a proxy names into roles."""

from collections.abc import Iterable

from django.conf import settings

from accounts.permissions import valid_pattern
from accounts.roles import Role

Roles = dict[Role, list[str]]


class BadMapping(ValueError):
    """HOLDFAST_GROUP_ROLES cannot be read."""


def parse(entries: Iterable[str]) -> dict[str, Roles]:
    """Roles by group, from entries such as `sre=operator` and `team-a=approver@team-a-*|shared`.

    Raises `BadMapping` on the first entry that does not make sense.
    """
    mapping: dict[str, Roles] = {}
    for entry in entries:
        group, equals, granted = entry.rpartition("=")
        role, at, patterns = granted.partition("@")
        namespaces = patterns.split("|") if at else ["*"]
        if not equals or not group or role not in Role.values:
            raise BadMapping(
                f"{entry!r} is not group=role or group=role@namespace|namespace, with a role of {', '.join(Role.values)}."
            )
        if not all(valid_pattern(pattern) for pattern in namespaces):
            raise BadMapping(f"{entry!r} names a namespace pattern that is not made of a-z, 0-9, -, * and ?.")
        mapping.setdefault(group, {}).setdefault(Role(role), []).extend(namespaces)
    return mapping


def roles_for(groups: Iterable[str]) -> Roles:
    """The roles, with their namespace patterns, of somebody in `groups`."""
    mapping = parse(settings.HOLDFAST_GROUP_ROLES)
    roles: Roles = {}
    for group in groups:
        for role, namespaces in mapping.get(group, {}).items():
            roles.setdefault(role, []).extend(namespaces)
    return {role: sorted(set(namespaces)) for role, namespaces in roles.items()}
