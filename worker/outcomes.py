"""What a tick can come to."""

from dataclasses import dataclass
from datetime import datetime

from migrations_app.problems import Problem


@dataclass(frozen=True)
class Again:
    """Not done yet: look again after `after_s` seconds. `message` is the sentence on the page."""

    message: str
    after_s: float = 1.0
    # Nothing could be seen: a gate that waits for a person goes on waiting for that person.
    blind: bool = False


@dataclass(frozen=True)
class Done:
    """The step is complete, with everything observed that it has to leave."""

    message: str = ""


@dataclass(frozen=True)
class Skipped:
    """The step has nothing to do in this migration. `message` says why."""

    message: str


@dataclass(frozen=True)
class Wait:
    """A person, or something outside, is awaited. `permission` says who may act; it is looked at again meanwhile."""

    waiting_for: str
    permission: str
    after_s: float = 5.0
    message: str = ""


@dataclass(frozen=True)
class Stop:
    """The step cannot go on. A person reads the problem and retries, rolls back or aborts."""

    problem: Problem


@dataclass(frozen=True)
class GoBack:
    """An earlier step has to be done again, such as a sign-off that no longer holds."""

    step: str
    reason: str


@dataclass(frozen=True)
class Keep:
    """The source volume is kept until `until`; `problem` says why Undo is not certain, where it is not."""

    until: datetime
    message: str
    problem: Problem | None = None


Outcome = Again | Done | Skipped | Wait | Stop | GoBack | Keep
