"""Test: a person confirms that the application works. Holdfast cannot know it."""

from worker import health
from worker.context import Context
from worker.outcomes import Done, Outcome, Wait


def tick(context: Context) -> Outcome:
    health.observe(context)
    if context.memory.get("confirmed_by"):
        return Done(f"Confirmed by {context.memory['confirmed_by']}.")
    return Wait(
        "Test the application in its new place, then confirm that it works.", "migrations.edit", after_s=30
    )
