"""How a migration was turned round: who, when, why, what had stopped it, and what came of it."""

from dataclasses import dataclass
from typing import Any

from audit.models import Event
from migrations_app import procedure
from migrations_app.models import Course, Migration, StepRun

_CLOSED = "Closed as it is"
_VERBS = {
    f"migration.{course}": str(course.label)
    for course in (Course.ABORT, Course.ROLL_BACK, Course.UNDO, Course.PURGE)
} | {"migration.close": _CLOSED}
# After these, what had stopped it before is not why it is turned round.
_GOES_ON = ("migration.retry", "migration.resume", "migration.continue", *_VERBS)


@dataclass
class Turn:
    """One way back, or the purge, or the end by hand."""

    title: str
    who: str
    at: Any
    reason: str
    stopped_by: str
    run: StepRun | None = None


def turns(found: Migration) -> list[Turn]:
    """What people turned round, oldest first, each with the last attempt at it."""
    if found.course == Course.FORWARD:
        return []
    runs = {run.step: run for run in found.runs.exclude(step__in=procedure.KEYS).order_by("id")}
    verbs = ("migration.fail", *_GOES_ON)
    events = Event.objects.filter(kind="migration", key=found.reference, verb__in=verbs).order_by("sequence")
    said, stopped_by = [], ""
    for event in events:
        if event.verb == "migration.fail":
            stopped_by = event.note
            continue
        if event.verb in _VERBS:
            run = runs.get(event.verb.removeprefix("migration."))
            said.append(Turn(_VERBS[event.verb], event.actor, event.at, event.note, stopped_by, run))
        stopped_by = ""
    return said
