"""Writes notifications in the transaction of what they are about. Nothing is written where nobody asked for them."""

from django.conf import settings

from migrations_app.doorbell import ask
from migrations_app.models import Migration, Notification
from migrations_app.problems import Problem
from migrations_app.states import State

Kind = Notification.Kind


def notify(migration: Migration, kind: Notification.Kind, text: str) -> None:
    """Asks the worker to tell people, once the transaction has committed."""
    if not settings.HOLDFAST_NOTIFY_URL:
        return
    Notification.objects.create(migration=migration, kind=kind, text=text[:2000])
    ask("worker.ticks.notify")


def _name(migration: Migration) -> str:
    return f"{migration.application} ({migration.reference})"


def notify_of_wait(migration: Migration, waiting_for: str) -> None:
    """Tells that a person is awaited, and for what."""
    notify(migration, Kind.NEEDS_A_PERSON, f"{_name(migration)} waits: {waiting_for}")


def notify_of_problem(migration: Migration, problem: Problem) -> None:
    """Tells of what a person has to know although nothing stopped."""
    notify(migration, Kind.NEEDS_A_PERSON, f"{_name(migration)}: {problem.happened} {problem.next}")


def notify_of_state(migration: Migration, note: str) -> None:
    """Tells of the states in which nothing goes on without a person, and of the ends."""
    name = _name(migration)
    if migration.state == State.WAITING:
        notify_of_wait(migration, migration.waiting_for)
    elif migration.state == State.FAILED:
        notify(migration, Kind.FAILED, f"{name} stopped at {migration.step.title}: {note}")
    elif migration.state in {State.RETAINED, State.COMPLETED, State.ROLLED_BACK, State.UNDONE}:
        notify(migration, Kind.ENDED, f"{name}: {migration.standing.label}.")
