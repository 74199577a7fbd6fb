"""Writes the tables of docs/reference/roles.md from the code."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.routes import permission_table, route_table

PAGE = Path("docs/reference/roles.md")


class Command(BaseCommand):
    help = "Print the tables of roles, permissions and routes; --write puts them into docs/reference/roles.md, --check compares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true")
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        page = Path(settings.BASE_DIR) / PAGE
        tables = {"permissions": permission_table(), "routes": route_table()}
        if not (options["write"] or options["check"]):
            self.stdout.write("\n\n".join(tables.values()))
            return
        old = page.read_text(encoding="utf-8")
        new = old
        for name, table in tables.items():
            new = _replaced(new, name, table)
        if options["write"]:
            page.write_text(new, encoding="utf-8")
        elif new != old:
            raise CommandError(
                f"{PAGE} does not show the roles as they are. Run: python manage.py roles_table --write"
            )


def _replaced(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if begin not in text or end not in text:
        raise CommandError(f"{PAGE} needs the lines {begin} and {end}.")
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"
