"""What the buttons of a page were about, as one value that their forms carry.

It stays the same while a step merely goes on, and changes with what a click would mean: the state, the step, the
attempt, the question at a gate, the problem that a retry answers.
"""

from migrations_app.models import Migration
from migrations_app.models.evidence import digest_of


def shown(migration: Migration) -> str:
    """The value for `migration` as it was read."""
    last = migration.runs.filter(step=migration.run_key).order_by("-attempt").first()
    return digest_of(
        {
            "state": str(migration.state),
            "course": str(migration.course),
            "step": migration.current_step,
            "attempt": last.attempt if last else 0,
            "waiting_for": migration.waiting_for,
            "problem": migration.problem,
        }
    )
