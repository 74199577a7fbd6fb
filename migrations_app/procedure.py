"""The procedure: one table that the wizard, the engine, the history and the docs read.

Order, titles and what may follow live here and nowhere else. `manage.py procedure` renders the table and the
state diagram of the docs from it, and a test compares them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    PREPARE = "prepare"
    MIGRATE = "migrate"
    CLEAN_UP = "clean-up"

    @property
    def label(self) -> str:
        return {"prepare": "Prepare", "migrate": "Migrate", "clean-up": "Clean up"}[self.value]


@dataclass(frozen=True)
class Step:
    """One named unit of a phase. `gate` waits for a person or for an outside system."""

    key: str
    phase: Phase
    title: str
    does: str
    leaves: str
    gate: bool = False
    # Until this step has begun to delete, Roll back can restore everything as recorded.
    reversible: bool = True


STEPS: tuple[Step, ...] = (
    Step(
        "inspect",
        Phase.PREPARE,
        "Inspect",
        "Reads claims, volumes, consumers, owners, protection layers and snapshots.",
        "Facts with UIDs",
    ),
    Step(
        "preflight",
        Phase.PREPARE,
        "Preflight",
        "Runs named checks, dry runs of the claims and of the mover among them. Each passes, warns or stops, and says what to do.",
        "The list of checks",
    ),
    Step(
        "plan",
        Phase.PREPARE,
        "Plan",
        "Renders every object and Git change, and predicts the outage.",
        "The plan and its digest",
    ),
    Step(
        "stage",
        Phase.MIGRATE,
        "Stage",
        "Creates an empty staging claim for each source claim.",
        "UIDs of staging claims and volumes",
    ),
    Step(
        "warm-copy",
        Phase.MIGRATE,
        "Warm copy",
        "Copies while the application runs, so that the final pass is short.",
        "Counts, bytes, rates",
    ),
    Step(
        "quiesce",
        Phase.MIGRATE,
        "Quiesce",
        "Suspends the GitOps owner, records replicas, scales the workloads down and waits until nothing holds the source.",
        "What was changed, to undo it exactly",
    ),
    Step("copy", Phase.MIGRATE, "Copy", "Makes the final pass on a still source.", "Counts, bytes, rates"),
    Step(
        "verify",
        Phase.MIGRATE,
        "Verify",
        "Proves that staging equals source: content and metadata, in both directions.",
        "Digests of both sides, differences",
    ),
    Step(
        "hand-over",
        Phase.MIGRATE,
        "Hand over",
        "Gives the staging volume to the destination claim, protected from its first moment.",
        "UIDs on both sides",
    ),
    Step(
        "deploy",
        Phase.MIGRATE,
        "Deploy",
        "Puts the application into the destination through Git and waits until it runs there on its claims.",
        "Revision and readiness",
        gate=True,
    ),
    Step(
        "test",
        Phase.MIGRATE,
        "Test",
        "A person confirms that the application works in the destination.",
        "Name, time and note",
        gate=True,
    ),
    Step(
        "sign-off",
        Phase.CLEAN_UP,
        "Sign off",
        "A second person approves the deletion of the source, seeing the proof.",
        "Signatures",
        gate=True,
    ),
    Step(
        "release",
        Phase.CLEAN_UP,
        "Release",
        "Hashes the source again, sets its volume to Retain, removes it from Git, lifts protection, deletes the claim.",
        "Each observation",
        reversible=False,
    ),
    Step(
        "retain",
        Phase.CLEAN_UP,
        "Retain",
        "Keeps the source volume until the deadline, with Undo. Then a person may purge it.",
        "The deadline",
        gate=True,
        reversible=False,
    ),
)

BY_KEY = {step.key: step for step in STEPS}
KEYS = tuple(BY_KEY)
STEP_CHOICES = [(step.key, step.title) for step in STEPS]

# The wizard shows what these three found before anybody starts anything.
PREPARATION = tuple(step.key for step in STEPS if step.phase is Phase.PREPARE)


def following(key: str) -> Step | None:
    """The step after `key`, or None after the last one."""
    position = KEYS.index(key)
    return STEPS[position + 1] if position + 1 < len(STEPS) else None


def is_before(key: str, other: str) -> bool:
    """True when step `key` comes before step `other`."""
    return KEYS.index(key) < KEYS.index(other)


def by_phase() -> Iterator[tuple[Phase, list[Step]]]:
    """The phases in order, each with its steps."""
    for phase in Phase:
        yield phase, [step for step in STEPS if step.phase is phase]
