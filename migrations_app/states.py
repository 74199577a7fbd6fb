"""States of a migration and of a step, and which state may follow which.

A state carries its own word, tone and sentence, so that no template or view has to know one by name.
"""

from dataclasses import dataclass

from django.db import models


class State(models.TextChoices):
    """Where a migration stands."""

    DRAFT = "draft", "Draft"
    PREPARING = "preparing", "Checking"
    READY = "ready", "Ready to start"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Needs a person"
    PAUSED = "paused", "Paused"
    FAILED = "failed", "Stopped by a problem"
    ABORTING = "aborting", "Aborting"
    ABORTED = "aborted", "Aborted"
    ROLLING_BACK = "rolling-back", "Rolling back"
    ROLLED_BACK = "rolled-back", "Rolled back"
    RETAINED = "retained", "Done, source kept"
    UNDOING = "undoing", "Undoing"
    UNDONE = "undone", "Undone"
    PURGING = "purging", "Purging"
    COMPLETED = "completed", "Completed"
    DISCARDED = "discarded", "Discarded"

    @property
    def tone(self) -> str:
        """The visual group: neutral, busy, attention, danger or good."""
        return _TONES[self]

    @property
    def icon(self) -> str:
        """A name in static/icons.svg: status is a shape and a word, never colour alone."""
        return {
            "neutral": "circle",
            "busy": "spinner",
            "attention": "hand",
            "danger": "cross",
            "good": "check",
        }[self.tone]


_TONES: dict[str, str] = {
    State.DRAFT: "neutral",
    State.PREPARING: "busy",
    State.READY: "attention",
    State.RUNNING: "busy",
    State.WAITING: "attention",
    State.PAUSED: "attention",
    State.FAILED: "danger",
    State.ABORTING: "busy",
    State.ABORTED: "danger",
    State.ROLLING_BACK: "busy",
    State.ROLLED_BACK: "neutral",
    State.RETAINED: "good",
    State.UNDOING: "busy",
    State.UNDONE: "neutral",
    State.PURGING: "busy",
    State.COMPLETED: "good",
    State.DISCARDED: "neutral",
}

# The engine works on a migration only in these; `waiting` and `retained` are looked at again, slowly, because the
# outside world may change what a person waits for.
TICKING = frozenset(
    {
        State.PREPARING,
        State.RUNNING,
        State.WAITING,
        State.ABORTING,
        State.ROLLING_BACK,
        State.RETAINED,
        State.UNDOING,
        State.PURGING,
    }
)
FINISHED = frozenset({State.ROLLED_BACK, State.UNDONE, State.COMPLETED, State.DISCARDED})
# A claim in one of these migrations is held: no second migration may take it.
HOLDING = frozenset(set(State) - FINISHED - {State.DRAFT, State.PREPARING, State.READY})
# Nothing goes on before somebody decides.
NEEDS_A_PERSON = frozenset({State.READY, State.WAITING, State.PAUSED, State.FAILED, State.ABORTED})
DRAFTS = frozenset({State.DRAFT, State.PREPARING, State.READY})


@dataclass(frozen=True)
class Standing:
    """A state as people have to see it where its own word would hide something: what else there is to know of it."""

    state: State
    label: str
    tone: str
    icon: str

    @property
    def value(self) -> str:
        return str(self.state)


TRANSITIONS: dict[str, frozenset[str]] = {
    State.DRAFT: frozenset({State.PREPARING, State.DISCARDED}),
    State.PREPARING: frozenset({State.DRAFT, State.READY, State.DISCARDED}),
    State.READY: frozenset({State.DRAFT, State.PREPARING, State.RUNNING, State.DISCARDED}),
    State.RUNNING: frozenset(
        {State.WAITING, State.PAUSED, State.FAILED, State.ABORTING, State.RETAINED, State.ROLLING_BACK}
    ),
    State.WAITING: frozenset({State.RUNNING, State.PAUSED, State.FAILED, State.ABORTING, State.ROLLING_BACK}),
    State.PAUSED: frozenset({State.RUNNING, State.ABORTING, State.ROLLING_BACK}),
    State.FAILED: frozenset(
        {
            State.RUNNING,
            State.ABORTING,
            State.ROLLING_BACK,
            State.UNDOING,
            State.PURGING,
            State.UNDONE,
            State.COMPLETED,
        }
    ),
    State.ABORTING: frozenset({State.ABORTED, State.FAILED}),
    State.ABORTED: frozenset({State.ROLLING_BACK, State.UNDOING}),
    State.ROLLING_BACK: frozenset({State.ROLLED_BACK, State.FAILED}),
    State.ROLLED_BACK: frozenset(),
    State.RETAINED: frozenset({State.UNDOING, State.PURGING}),
    State.UNDOING: frozenset({State.UNDONE, State.FAILED}),
    State.UNDONE: frozenset(),
    State.PURGING: frozenset({State.COMPLETED, State.FAILED}),
    State.COMPLETED: frozenset(),
    State.DISCARDED: frozenset(),
}


class StepState(models.TextChoices):
    """Where one attempt at a step stands."""

    PENDING = "pending", "Not yet"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    SKIPPED = "skipped", "Not needed"
    FAILED = "failed", "Failed"

    @property
    def tone(self) -> str:
        return {
            "pending": "neutral",
            "running": "busy",
            "waiting": "attention",
            "done": "good",
            "skipped": "neutral",
            "failed": "danger",
        }[self.value]

    @property
    def icon(self) -> str:
        return {
            "pending": "circle",
            "running": "spinner",
            "waiting": "hand",
            "done": "check",
            "skipped": "dash",
            "failed": "cross",
        }[self.value]


@dataclass(frozen=True)
class StepEnd:
    """What an ended migration says of a step that did not come to its own end. `value` is the state that pages treat it as."""

    value: str
    label: str
    tone: str
    icon: str


STOPPED = StepEnd("skipped", "Stopped", "attention", "dash")
NOT_REACHED = StepEnd("pending", "Not reached", "neutral", "circle")


class IntentState(models.TextChoices):
    """Where one change to the cluster or to Git stands. `intended` without an answer is looked at again, never assumed."""

    INTENDED = "intended", "Intended"
    DONE = "done", "Done"
    FAILED = "failed", "Refused"
    UNDONE = "undone", "Undone"

    @property
    def tone(self) -> str:
        return {"intended": "busy", "done": "good", "failed": "danger", "undone": "neutral"}[self.value]

    @property
    def icon(self) -> str:
        return {"intended": "circle", "done": "check", "failed": "cross", "undone": "dash"}[self.value]


class Verdict(models.TextChoices):
    """What a preflight check says."""

    PASS = "pass", "Pass"
    WARN = "warn", "Warning"
    STOP = "stop", "Stop"

    @property
    def tone(self) -> str:
        return {"pass": "good", "warn": "attention", "stop": "danger"}[self.value]

    @property
    def icon(self) -> str:
        return {"pass": "check", "warn": "warn", "stop": "cross"}[self.value]
