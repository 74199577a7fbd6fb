"""Checks the chain of events: content, order, gaps, and the checkpoints that were kept elsewhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from audit.canonical import START, digest
from audit.models import Event


@dataclass(frozen=True, slots=True)
class Problem:
    """Where the trail is broken, and how."""

    sequence: int
    what: str

    def __str__(self) -> str:
        return f"event {self.sequence}: {self.what}"


@dataclass(slots=True)
class Verdict:
    """What a verification found. `head` is the hash of the last event, `count` how many were read."""

    count: int = 0
    head: str = START
    head_sequence: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Mark:
    """A head that was once seen: event number and hash, from a checkpoint whose signature holds."""

    sequence: int
    hash: str


PROBLEM_LIMIT = 100


def verify(events: Iterable[Event], marks: Iterable[Mark] = ()) -> Verdict:
    """Walk `events`, oldest first, and compare with `marks`. Stops collecting after `PROBLEM_LIMIT` problems."""
    verdict = Verdict()
    expected = {mark.sequence: mark.hash for mark in marks}
    for event in events:
        for problem in _problems_of(event, verdict):
            if len(verdict.problems) < PROBLEM_LIMIT:
                verdict.problems.append(problem)
        marked = expected.pop(event.sequence, None)
        if marked is not None and marked != event.hash:
            verdict.problems.append(
                Problem(event.sequence, "differs from the signed checkpoint: the trail was rewritten")
            )
        verdict.count += 1
        verdict.head, verdict.head_sequence = event.hash, event.sequence
    for sequence in sorted(expected):
        verdict.problems.append(Problem(sequence, _missing(sequence, verdict.head_sequence)))
    return verdict


def _missing(sequence: int, last: int) -> str:
    if sequence > last:
        return f"is in a signed checkpoint but missing: the trail was cut off after event {last}"
    return "is in a signed checkpoint but missing"


def _problems_of(event: Event, so_far: Verdict) -> Iterator[Problem]:
    expected = so_far.head_sequence + 1
    if event.sequence > expected:
        missing = (
            f"event {expected} is"
            if event.sequence == expected + 1
            else f"events {expected} to {event.sequence - 1} are"
        )
        yield Problem(event.sequence, f"{missing} missing before it")
    elif event.sequence < expected:
        yield Problem(
            event.sequence, f"is there twice, or has a number that no event can have: {expected} comes next"
        )
    elif event.previous_hash != so_far.head:
        yield Problem(
            event.sequence, "does not follow from the event before it: one of the two was changed or moved"
        )
    if digest(event.fields()) != event.hash:
        yield Problem(event.sequence, "its content does not fit its hash: it was changed")


def all_events() -> Iterator[Event]:
    """Every event, oldest first, a few thousand in memory at a time; as of one moment, inside of a transaction."""
    return Event.objects.order_by("sequence").iterator(chunk_size=5000)
