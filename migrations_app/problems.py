"""What went wrong, what is safe now, what to do next: the one shape in which a person reads a failure."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A failure that was expected to be possible. `command` can be copied into a shell; it may be empty."""

    happened: str
    safe: str
    next: str
    command: str = ""
    code: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Refused(Exception):
    """An action that is not possible now. The text is what the person reads."""

    def __init__(self, reason: str, *, next: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.next = next


class Stale(Refused):
    """Somebody or something else changed the migration first. Nothing was done."""

    def __init__(self) -> None:
        super().__init__(
            "The migration changed while you were looking at it. Nothing was done.",
            next="Look at its state now and decide again.",
        )
