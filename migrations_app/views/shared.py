"""What the views of migrations share: load or 404, run one action, say what came of it."""

from collections.abc import Callable

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from accounts import permissions
from accounts.actions import note_refusal
from accounts.models import User
from migrations_app.models import Migration
from migrations_app.problems import Refused


def visible_migrations(request: HttpRequest) -> QuerySet[Migration]:
    """The migrations that this person may see: both namespaces have to be theirs, a draft's empty destination aside."""
    rows = Migration.objects.select_related("cluster")
    return permissions.visible(request.user, rows, "source_namespace", or_empty=["destination_namespace"])


def load(request: HttpRequest, reference: str) -> Migration:
    """The migration, or 404 where it is not there or not theirs to see."""
    return get_object_or_404(visible_migrations(request), reference=reference)


def see_other(name: str, *arguments: object) -> HttpResponseRedirect:
    """POST, then 303: a refresh never posts twice."""
    return HttpResponseRedirect(reverse(name, args=arguments), status=303)


def typed(request: HttpRequest, name: str, limit: int) -> str:
    """Free text of a form, at most `limit` characters, without the one character that PostgreSQL cannot keep."""
    return request.POST.get(name, "").replace("\x00", "")[:limit]


def attempt(request: HttpRequest, action: Callable[[], object], *, done: str = "") -> bool:
    """Runs one action. A refusal becomes a message that says why and what to do; True when it was done."""
    try:
        action()
    except Refused as refusal:
        note_refusal(request, refusal.reason, verb="action.refuse")
        messages.error(request, f"{refusal.reason} {refusal.next}".strip())
        return False
    if done:
        messages.success(request, done)
    return True


def allowed_in(request: HttpRequest, migration: Migration) -> Callable[[str], bool]:
    """A question for buttons: does this person hold a permission in both namespaces of this migration?"""

    def allowed(permission: str) -> bool:
        return permissions.can(request.user, permission, namespace=migration.namespaces)

    return allowed


def person(request: HttpRequest) -> User:
    """Who is signed in; the gate let nobody else in."""
    if not isinstance(request.user, User):
        raise TypeError("a view that acts is open to nobody who is not signed in")
    return request.user


def check_edit(request: HttpRequest, migration: Migration, permission: str = "migrations.edit") -> None:
    """Raises `accounts.permissions.Refused` unless the person holds it in both namespaces."""
    permissions.check(request.user, permission, namespace=migration.namespaces)
