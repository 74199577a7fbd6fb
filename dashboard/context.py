"""What the frame around every page shows: the clusters, the navigation, the person."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from accounts.permissions import can, roles_of
from dashboard.models import Cluster

# Name of the route, label, permission, shortcut, beginning of the paths that belong to it.
_PLACES = (
    ("overview", "Overview", "claims.view", "g o", ""),
    ("claims", "Claims", "claims.view", "g c", "/claims/"),
    ("migrations", "Migrations", "migrations.view", "g m", "/migrations/"),
    ("validation", "Validation", "claims.view", "g v", "/validation/"),
    ("repositories", "Repositories", "settings.edit", "g r", "/settings/"),
    ("audit", "Audit", "audit.view", "g a", "/audit/"),
    ("people", "People", "users.edit", "g p", "/people/"),
)


@dataclass(frozen=True)
class Place:
    """One entry of the navigation."""

    label: str
    url: str
    keys: str
    current: bool


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of every page. Nothing of it asks a cluster."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"places": [], "clusters": [], "my_roles": []}
    # Whoever has no role sees their own account, and not even what the clusters are called.
    clusters = list(Cluster.objects.all()) if can(user, "claims.view") else []
    return {"places": _places(request), "clusters": clusters, "my_roles": roles_of(user)}


def _places(request: HttpRequest) -> list[Place]:
    found = []
    for name, label, permission, keys, prefix in _PLACES:
        if not can(request.user, permission):
            continue
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        current = request.path.startswith(prefix) if prefix else request.path == url
        found.append(Place(label, url, keys, current))
    return found
