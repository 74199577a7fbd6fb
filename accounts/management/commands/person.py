"""Makes accounts and grants roles from the command line: how the first admin comes to be."""

import getpass
import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.actions import NotGranted, grant, revoke
from accounts.grants import NO_ADMIN, an_admin_remains, held_here, in_words
from accounts.models import User, is_reserved
from accounts.roles import Role
from audit.trail import Actor, record


class Command(BaseCommand):
    help = "Make an account, or change its roles: person add NAME; person grant NAME ROLE [PATTERN ...]; person revoke NAME ROLE."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser(
            "add", help="make an account; the password is asked for, or read from standard input"
        )
        add.add_argument("name")
        for verb, text in (("grant", "give a role"), ("revoke", "take a role away")):
            change = verbs.add_parser(verb, help=text)
            change.add_argument("name")
            change.add_argument("role", choices=Role.values)
            if verb == "grant":
                change.add_argument(
                    "namespaces",
                    nargs="*",
                    default=["*"],
                    help="patterns, instead of those held; all namespaces when none is given",
                )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "add":
            return self._add(options["name"])
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(
                f"There is no account {options['name']!r}. Make it with: manage.py person add {options['name']}"
            )
        try:
            if options["verb"] == "grant":
                before = held_here(user, options["role"])
                given = grant(
                    user=user, role=options["role"], namespaces=options["namespaces"] or ["*"], by=None
                )
                self.stdout.write(in_words(given, before))
            else:
                gone = revoke(user=user, role=options["role"], by=None)
                self.stdout.write(
                    f"{user.username} {'is no longer' if gone else 'was not'} {options['role']}."
                )
        except NotGranted as problem:
            raise CommandError(str(problem)) from problem
        if not an_admin_remains():
            self.stderr.write(f"WARNING: {NO_ADMIN}")

    def _add(self, name: str) -> None:
        if User.objects.filter(username__iexact=name).exists():
            raise CommandError(f"An account {name!r} exists already.")
        if is_reserved(name):
            raise CommandError(
                f"{name!r} would read in the audit trail as Holdfast itself. Choose another name."
            )
        password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            validate_password(password, User(username=name))
            User(username=name, password="!").full_clean()  # noqa: S106 - checks the name alone
        except ValidationError as problem:
            raise CommandError(" ".join(problem.messages)) from problem
        with transaction.atomic():
            User.objects.create_user(username=name, password=password)
            record(actor=Actor.system("command line"), verb="account.create", kind="account", key=name)
        self.stdout.write(f"Made {name}. Grant a role next: manage.py person grant {name} admin")
