"""Abort: stops our Jobs and leaves everything else where it stands."""

from migrations_app.rules.possible import released
from worker import movers
from worker.context import Context
from worker.outcomes import Done, Outcome


def tick(context: Context) -> Outcome:
    back = (
        "The release has begun, so Undo is the way back: it rebuilds the source claims on their volumes."
        if released(context.migration)
        else "Roll back puts everything back."
    )
    return movers.remove_every(context) or Done(f"Stopped where it stood. {back}")
