"""How staging claims get the source's data. A strategy is one module behind one interface; the steps ask for it by name.

Verify, hand over and everything after them are the same for all: a strategy fills, it never vouches for itself.
"""

from typing import Protocol

from cluster.values import Manifest
from migrations_app.models import Migration, Strategy, Transfer
from worker.context import Context
from worker.outcomes import Outcome
from worker.strategies.copy import Copy


class FillsStaging(Protocol):
    """What a strategy has to offer. Each method is ticked like a step: observe, at most one act, an outcome."""

    def staging_claim(self, migration: Migration, transfer: Transfer) -> Manifest:
        """The claim that `stage` creates: empty, or with a data source."""
        ...

    def warm(self, context: Context) -> Outcome:
        """What can be done while the application runs; `Skipped` when nothing can."""
        ...

    def fill(self, context: Context) -> Outcome:
        """Makes staging equal to a source that nothing uses. Done means: verify may look."""
        ...


_STRATEGIES: dict[Strategy, FillsStaging] = {Strategy.COPY: Copy()}


def of(migration: Migration) -> FillsStaging:
    """The strategy of a migration."""
    return _STRATEGIES[Strategy(migration.strategy)]
