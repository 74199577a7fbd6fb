"""Questions about grants, for those who change them."""

from collections.abc import Sequence

from accounts.models import Grant, User
from accounts.permissions import uncovered
from accounts.roles import Role

NO_ADMIN = "Nobody can grant roles now. Make somebody admin with: manage.py person grant NAME admin"


def held_here(user: User, role: str) -> list[str]:
    """The patterns in which the role was granted here, which `grant` replaces."""
    grants = Grant.objects.filter(user=user, role=role, source=Grant.Source.LOCAL)
    return [pattern for grant in grants for pattern in grant.namespaces]


def in_words(given: Grant, before: Sequence[str]) -> str:
    """The sentence for whoever granted `given`: where the role is held, and where no longer."""
    lost = uncovered(before, given.namespaces)
    gone = f", no longer in {' '.join(lost)}" if lost else ""
    return f"{given.user.username} is {given.role} in {' '.join(given.namespaces)}{gone}."


def an_admin_remains() -> bool:
    """Whether anybody who may sign in can grant roles."""
    return Grant.objects.filter(role=Role.ADMIN, user__is_active=True, namespaces__contains=["*"]).exists()
