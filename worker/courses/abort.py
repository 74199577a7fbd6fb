"""Abort: stops our Jobs and leaves everything else where it stands."""

from worker import movers
from worker.context import Context
from worker.outcomes import Done, Outcome


def tick(context: Context) -> Outcome:
    return movers.remove_every(context) or Done("Stopped where it stood. Roll back puts everything back.")
