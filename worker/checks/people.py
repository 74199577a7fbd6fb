"""Checks of the people: a migration that nobody can finish should not begin."""

from collections.abc import Iterable

from migrations_app.rules.signoff import approvals_needed, eligible
from worker.checks.check import Check, passed, warn
from worker.context import Context


def approver(context: Context) -> Iterable[Check]:
    title = "Somebody can sign off"
    people = eligible(context.migration)
    needed = approvals_needed(context.migration.source_namespace)
    if len(people) < needed:
        yield warn(
            "approver",
            title,
            f"{needed} approval{' is' if needed == 1 else 's are'} needed, {_people(len(people))} could give one.",
            "An admin grants the role approver on the People page. The data can be moved meanwhile; the source stays.",
        )
    else:
        yield passed(
            "approver", title, f"{_people(len(people))} can, {needed} {'has' if needed == 1 else 'have'} to."
        )


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people" if number else "nobody"
