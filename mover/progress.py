"""Progress on standard output: a JSON line a second."""

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from mover.names import shown

if TYPE_CHECKING:
    from mover.counting import Counting


class Progress:
    """Bytes and files of the current phase. `totals` are bytes and files, as far as they are known.

    Where no totals are known, `count` starts a count of them, after the first second of a phase.
    """

    def __init__(self, phase: str, output: TextIO | None = None, every_s: float = 1.0) -> None:
        self.output = output or sys.stdout
        self.every_s = every_s
        self.phase_seconds: dict[str, float] = {}
        self.phase = ""
        self.count: Callable[[], Counting] | None = None
        self._counting: Counting | None = None
        self._began_s = time.monotonic()
        self.begin(phase)

    def begin(self, phase: str, totals: tuple[int | None, int | None] = (None, None)) -> None:
        """Starts a phase, and takes the time of the one before."""
        self.end()
        self.phase = phase
        self.totals = totals
        self.bytes = 0
        self.files = 0
        self.path = b""
        self._window: list[tuple[float, int]] = []
        self._last_s = time.monotonic()

    def end(self) -> None:
        """Ends the current phase."""
        now = time.monotonic()
        if self.phase:
            self.phase_seconds[self.phase] = round(
                self.phase_seconds.get(self.phase, 0) + now - self._began_s, 3
            )
        self.phase = ""
        self._began_s = now
        if self._counting is not None:
            self._counting.close()
            self._counting = None

    def tick(self) -> None:
        """Prints a line if the last one is a second old."""
        now = time.monotonic()
        if now - self._last_s < self.every_s:
            return
        self._last_s = now
        self._window = [*self._window[-10:], (now, self.bytes)]
        totals, kind = self._totals()
        first_s, first_bytes = self._window[0]
        rate = (self.bytes - first_bytes) / (now - first_s) if now > first_s else 0
        line = {
            "t": "progress",
            "phase": self.phase,
            "bytes": self.bytes,
            "bytes_total": totals[0],
            "files": self.files,
            "files_total": totals[1],
            "totals": kind,
            "rate_bytes_per_second": round(rate),
            "path": shown(self.path),
        }
        self.emit(line)

    def _totals(self) -> tuple[tuple[int | None, int | None], str | None]:
        """Totals of bytes and files, and what they are: known before, counted, or growing while they are counted."""
        if self.totals != (None, None):
            return self.totals, "known"
        if self._counting is None:
            if self.count is None or self.phase == "write-back":
                return self.totals, None
            try:
                self._counting = self.count()
            except OSError:  # no process, no handle: the totals are only for show
                self.count = None
                return self.totals, None
        counting = self._counting
        counting.look()
        # What is done can be ahead of the count, and a file that grows ahead of both.
        found = max(counting.bytes, self.bytes), max(counting.files, self.files)
        return found, "counted" if counting.complete else "growing"

    def emit(self, line: dict[str, object]) -> None:
        """Prints one line; a reader that is gone does not stop the work."""
        try:
            self.output.write(json.dumps(line, separators=(",", ":")) + "\n")
            self.output.flush()
        except (BrokenPipeError, OSError):
            pass
