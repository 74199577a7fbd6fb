"""Lists the routes of the site with what each demands, for the table in the docs and for the tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter

from accounts.access import Access, access_of
from accounts.roles import PERMISSIONS, ROLES, Role, roles_with

METHODS = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its path as written in the URLconf, its view, its arguments (name, whether a number)."""

    path: str
    name: str
    view: Callable[..., Any]
    arguments: tuple[tuple[str, bool], ...]

    @property
    def access(self) -> Access | None:
        """What the view declares."""
        return access_of(self.view)

    @property
    def methods(self) -> list[str]:
        """GET and POST, as far as the view takes them."""
        taken = _methods(self.view)
        return [method for method in METHODS if taken is None or method in taken]

    @property
    def says_methods(self) -> bool:
        """Whether the view refuses methods that it does not take."""
        return _methods(self.view) is not None

    def roles(self, method: str) -> list[Role]:
        """The roles that may call it by `method`; none where signing in is enough or nothing is declared."""
        permission = self.access.permission(method) if self.access else ""
        return roles_with(permission) if permission else []


def routes() -> Iterator[Route]:
    """Every route of the URLconf, in its order."""
    yield from _walk(get_resolver().url_patterns, "/", ())


def _walk(patterns: list[Any], prefix: str, arguments: tuple[tuple[str, bool], ...]) -> Iterator[Route]:
    for entry in patterns:
        path = prefix + str(entry.pattern)
        own = tuple((name, isinstance(kind, IntConverter)) for name, kind in entry.pattern.converters.items())
        if isinstance(entry, URLResolver):
            yield from _walk(entry.url_patterns, path, arguments + own)
        elif isinstance(entry, URLPattern):
            yield Route(path, entry.name or "", entry.callback, arguments + own)


def _methods(view: Callable[..., Any] | None) -> set[str] | None:
    """The methods that a `require_http_methods` anywhere around `view` lets through; None for all."""
    while view is not None:
        cells = getattr(view, "__closure__", None) or ()
        names = getattr(getattr(view, "__code__", None), "co_freevars", ())
        for name, cell in zip(names, cells, strict=True):
            if name == "request_method_list":
                return set(cell.cell_contents)
        view = getattr(view, "__wrapped__", None)
    return None


def permission_table() -> str:
    """Permissions by role, as Markdown."""
    lines = ["| permission | lets one | " + " | ".join(Role.values) + " |", "|---|---|" + "---|" * len(Role)]
    for permission, meaning in PERMISSIONS.items():
        held = ["yes" if permission in ROLES[role] else "" for role in Role]
        lines.append(f"| `{permission}` | {meaning} | " + " | ".join(held) + " |")
    return "\n".join(lines)


def route_table() -> str:
    """Who gets which answer from which route, as Markdown."""
    people = ["nobody", "outsider", *Role.values]
    lines = ["| route | method | " + " | ".join(people) + " |", "|---|---|" + "---|" * len(people)]
    for route in sorted(routes(), key=lambda each: each.path):
        for method in route.methods:
            answers = [answer(route, method, who) for who in people]
            lines.append(f"| `{route.path}` | {method} | " + " | ".join(answers) + " |")
    return "\n".join(lines)


def answer(route: Route, method: str, who: str) -> str:
    """`yes`, `403`, or `sign in`, for nobody (not signed in), an outsider (no role), or a role."""
    access = route.access
    if access is None:
        return "403"
    if access.public:
        return "yes"
    if who == "nobody":
        return "sign in"
    if not access.permission(method):
        return "yes"
    return "yes" if who in {role.value for role in route.roles(method)} else "403"
