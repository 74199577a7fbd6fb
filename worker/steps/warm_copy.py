"""Warm copy: what the strategy can do while the application runs."""

from worker import strategies
from worker.context import Context
from worker.outcomes import Outcome


def tick(context: Context) -> Outcome:
    return strategies.of(context.migration).warm(context)
