"""Makes the people of the demo."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.actions import change_password, grant
from accounts.models import User
from accounts.roles import Role
from audit.trail import Actor, record

PEOPLE: dict[str, Role] = {
    "viewer": Role.VIEWER,
    "operator": Role.OPERATOR,
    "operator2": Role.OPERATOR,
    "approver": Role.APPROVER,
    "auditor": Role.AUDITOR,
    "admin": Role.ADMIN,
}


def password_of(username: str) -> str:
    """The documented demo password."""
    return f"demo-{username}"


class Command(BaseCommand):
    help = (
        "Make the people of the demo: viewer, operator, operator2, approver, auditor, admin. Passwords are demo- and the name. "
        "Needs HOLDFAST_DEMO=1. The last line printed is JSON: {name: {username, password}}."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.HOLDFAST_DEMO:
            raise CommandError(
                "demo_seed makes people with known passwords. It runs only with HOLDFAST_DEMO=1."
            )
        for username, role in PEOPLE.items():
            _ensure(username, role)
        shown = {name: {"username": name, "password": password_of(name)} for name in PEOPLE}
        self.stdout.write(json.dumps(shown))


@transaction.atomic
def _ensure(username: str, role: Role) -> None:
    user = User.objects.filter(username=username).first()
    if user is None:
        user = User.objects.create_user(username=username, password=password_of(username))
        actor = Actor.system("command line")
        record(actor=actor, verb="account.create", kind="account", key=username, note="A person of the demo.")
    elif not user.check_password(password_of(username)):
        change_password(user=user, password=password_of(username), by=Actor.system("command line"))
    grant(user=user, role=role, namespaces=["*"], by=None)
