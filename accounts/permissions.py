"""Who may do what: the questions that pages and actions ask."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet

from accounts.models import Grant, User
from accounts.roles import PERMISSIONS, ROLES, UNLIMITED_ONLY, Role, roles_with

M = TypeVar("M", bound=Model)
Person = User | AnonymousUser

_PATTERN = re.compile(r"[a-z0-9*?]([a-z0-9*?-]{0,251}[a-z0-9*?])?")


class Refused(Exception):
    """This person may not do that. `reason` is the sentence that they read."""

    def __init__(self, reason: str, *, permission: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.permission = permission


def valid_pattern(pattern: str) -> bool:
    """Whether `pattern` is a namespace name with `*` and `?` as the only wildcards."""
    return bool(_PATTERN.fullmatch(pattern))


def as_regex(pattern: str) -> str:
    """An unanchored regular expression for `pattern`, with one meaning in Python and in PostgreSQL."""
    return "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)


def matches(patterns: Iterable[str], namespace: str) -> bool:
    """Whether any pattern matches the whole of `namespace`."""
    return any(re.fullmatch(as_regex(pattern), namespace, re.DOTALL) for pattern in patterns)


def uncovered(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """The patterns of `before` that may match what no single pattern of `after` does: what was taken away."""
    # A wildcard is matched by one that stands for at least as much; `?` is less than `*`.
    wider = [
        "".join(".*" if char == "*" else "[^*]" if char == "?" else re.escape(char) for char in pattern)
        for pattern in after
    ]
    return sorted(
        pattern for pattern in set(before) if not any(re.fullmatch(each, pattern) for each in wider)
    )


def grants_of(user: Person, *, fresh: bool = False) -> list[Grant]:
    """The grants that count for `user` now; none for nobody and for the deactivated.

    Kept on the instance, so that a page with fifty buttons asks once; `fresh` asks again.
    """
    if not isinstance(user, User) or user.pk is None:
        return []
    kept: list[Grant] | None = getattr(user, "_grants_kept", None)
    if kept is None or fresh:
        kept = list(Grant.objects.filter(user_id=user.pk, user__is_active=True).order_by("role", "source"))
        user._grants_kept = kept  # type: ignore[attr-defined]
    return kept


def roles_of(user: Person) -> list[str]:
    """The names of the roles that `user` holds anywhere, each once, in the order of the table."""
    held = {grant.role for grant in grants_of(user)}
    return [role.value for role in Role if role.value in held]


def patterns_for(
    user: Person, permission: str, *, fresh: bool = False, since: datetime | None = None
) -> set[str]:
    """The namespace patterns in which `user` holds `permission`; with `since`, has held it without a gap from then on."""
    if permission not in PERMISSIONS:
        raise KeyError(f"There is no permission {permission!r}. accounts/roles.py lists them.")
    grants = [grant for grant in grants_of(user, fresh=fresh) if permission in ROLES[Role(grant.role)]]
    if since is not None:
        grants = [grant for grant in grants if grant.created_at <= since]
    patterns = {pattern for grant in grants for pattern in grant.namespaces}
    if permission in UNLIMITED_ONLY:
        return patterns & {"*"}
    return patterns


def _allowed(patterns: set[str], namespace: str | Iterable[str]) -> bool:
    names = [namespace] if isinstance(namespace, str) else list(namespace)
    wanted = [name for name in names if name]
    return bool(patterns) and all(matches(patterns, name) for name in wanted)


def can(
    user: Person,
    permission: str,
    namespace: str | Iterable[str] = "",
    *,
    fresh: bool = False,
    since: datetime | None = None,
) -> bool:
    """Whether `user` holds `permission` in every namespace named; in any namespace at all when none is.

    `fresh` asks the database again: for decisions, whose wait for a lock may outlast a grant. With `since`: by grants
    that have held without a gap from then on.
    """
    return _allowed(patterns_for(user, permission, fresh=fresh, since=since), namespace)


def check(user: Person, permission: str, namespace: str | Iterable[str] = "") -> None:
    """Raise `Refused` with the reason unless `user` holds `permission` there, as the database has it now."""
    if not _allowed(patterns_for(user, permission, fresh=True), namespace):
        raise Refused(why_not(permission, namespace), permission=permission)


def why_not(permission: str, namespace: str | Iterable[str] = "") -> str:
    """The sentence for a refusal or a disabled button: what is missing and who has it."""
    names = [namespace] if isinstance(namespace, str) else list(namespace)
    where = " and ".join(name for name in names if name)
    roles = " or ".join(role.value for role in roles_with(permission))
    return f"To {PERMISSIONS[permission]}{f' in {where}' if where else ''} you need the role {roles}. An admin grants it."


def visible(
    user: Person,
    queryset: QuerySet[M],
    *namespace_fields: str,
    permission: str = "migrations.view",
    or_empty: Sequence[str] = (),
) -> QuerySet[M]:
    """Only the rows whose every field in `namespace_fields` names a namespace where `user` holds `permission`.

    A row without a namespace (an empty text) shows only to those who hold the permission everywhere. The fields in
    `or_empty` may be empty, like the destination of a draft; where they are not, the same holds.
    """
    patterns = patterns_for(user, permission)
    if "*" in patterns:
        return queryset
    if not patterns or not namespace_fields:
        return queryset.none()
    for field in namespace_fields:
        queryset = queryset.filter(~Q(**{field: ""}), _within(field, patterns))
    for field in or_empty:
        queryset = queryset.filter(Q(**{field: ""}) | _within(field, patterns))
    return queryset


def _within(field: str, patterns: set[str]) -> Q:
    """The column `field` matches one of `patterns`. Plain names and each wildcard apart, so that indexes serve them."""
    names = sorted(pattern for pattern in patterns if not set("*?") & set(pattern))
    condition = Q(**{f"{field}__in": names})
    for pattern in sorted(patterns - set(names)):
        condition |= Q(**{f"{field}__regex": f"^({as_regex(pattern)})$"})
    return condition


def people_with(permission: str, namespace: str | Iterable[str] = "") -> list[User]:
    """Everybody active who holds `permission` in every namespace named (for "who may act" and preflight)."""
    roles = [role.value for role in roles_with(permission)]
    people = User.objects.filter(is_active=True, grants__role__in=roles).distinct().order_by("username")
    return [person for person in people if can(person, permission, namespace)]
