"""What a run found, kept small however much it finds."""

from mover.errors import OUT_OF_SPACE, MoverError
from mover.protocol import Counted, Difference, Problem, Skip

KEPT = 200


class SideTally:
    """One tree: counts by type, bytes of file sizes."""

    def __init__(self) -> None:
        self.files = 0
        self.directories = 0
        self.symlinks = 0
        self.fifos = 0
        self.devices = 0
        self.bytes = 0
        self.hard_links = 0
        self.content_digest: str | None = None
        self.metadata_digest: str | None = None

    def add(self, counted: Counted) -> None:
        """Adds what a task looked at."""
        self.files += counted.files
        self.symlinks += counted.symlinks
        self.fifos += counted.fifos
        self.devices += counted.devices
        self.bytes += counted.bytes

    def counts(self) -> dict[str, int]:
        """By type."""
        return {
            "files": self.files,
            "directories": self.directories,
            "symlinks": self.symlinks,
            "fifos": self.fifos,
            "devices": self.devices,
        }


class Tally:
    """A run."""

    def __init__(self) -> None:
        self.sides: tuple[SideTally, ...] = (SideTally(), SideTally())
        self.differences: list[Difference] = []
        self.differences_by_class: dict[str, int] = {}
        self.skipped: list[Skip] = []
        self.skipped_total = 0
        self.problems: list[Problem] = []
        self.problems_total = 0
        self.copied_files = 0
        self.copied_bytes = 0
        self.unchanged_files = 0
        self.resumed_ranges = 0
        self.deleted_files = 0
        self.changed = 0
        self.vanished = 0
        self.extra = 0
        self.unkept: dict[str, int] = {}

    def differ(self, differences: tuple[Difference, ...] | list[Difference]) -> None:
        """Counts differences, and keeps the first ones."""
        for difference in differences:
            self.differences_by_class[difference.kind] = self.differences_by_class.get(difference.kind, 0) + 1
            # Of missing and extra names more are kept for a while, to find the renamed ones among them.
            if len(self.differences) < KEPT * 5:
                self.differences.append(difference)

    def skip(self, skipped: tuple[Skip, ...] | list[Skip]) -> None:
        """Counts entries left out."""
        self.skipped_total += len(skipped)
        self.skipped += skipped[: max(0, KEPT - len(self.skipped))]

    def fail(self, problems: tuple[Problem, ...] | list[Problem]) -> None:
        """Counts errors. A full disk stops the run: whatever comes next would fail as well."""
        self.problems_total += len(problems)
        self.problems += problems[: max(0, KEPT - len(self.problems))]
        for problem in problems:
            if problem.number in OUT_OF_SPACE:
                raise MoverError(
                    problem.reason,
                    path=problem.path,
                    next_step="The destination is full. Make it larger, then run again: what is there is continued.",
                )

    def note(self, unkept: dict[str, int]) -> None:
        """Counts entries of which a class could not be kept."""
        for name, count in unkept.items():
            self.unkept[name] = self.unkept.get(name, 0) + count

    def stop(self, error: MoverError) -> None:
        """What ended the run comes first, with what to do next; it may have been counted as an error of its file already."""
        reason = f"{error.reason}. {error.next_step}" if error.next_step else error.reason
        others = [p for p in self.problems if (p.path, p.reason) != (error.path, error.reason)]
        if len(others) == len(self.problems):
            self.problems_total += 1
        self.problems = [Problem(error.path, reason, 0), *others]

    @property
    def differences_total(self) -> int:
        """All differences, kept or not."""
        return sum(self.differences_by_class.values())

    def pair_renamed(self) -> None:
        """Turns a missing and an extra file of the same content, each the only one with it, into one renamed file."""
        by_hint: dict[bytes, list[Difference]] = {}
        for difference in self.differences:
            if difference.hint:
                by_hint.setdefault(difference.hint, []).append(difference)
        for pair in by_hint.values():
            if sorted(d.kind for d in pair) != ["extra", "missing"]:
                continue
            missing, extra = sorted(pair, key=lambda d: d.kind, reverse=True)
            self.differences.remove(extra)
            position = self.differences.index(missing)
            self.differences[position] = Difference(missing.path, "renamed", missing.path, extra.path)
            for kind, change in (("missing", -1), ("extra", -1), ("renamed", 1)):
                self.differences_by_class[kind] = self.differences_by_class.get(kind, 0) + change
        self.differences_by_class = {kind: n for kind, n in self.differences_by_class.items() if n}
