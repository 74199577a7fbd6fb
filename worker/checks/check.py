"""The answer of one check."""

from dataclasses import asdict, dataclass
from typing import Any

from migrations_app.states import Verdict


@dataclass(frozen=True)
class Check:
    """`key` is the name in docs/reference/checks.md; `text` says what was found, `next` what to do about it."""

    key: str
    title: str
    verdict: Verdict
    text: str
    next: str = ""
    command: str = ""
    # What it saw passes by itself within seconds: worth another look before anybody is stopped by it.
    passing: bool = False

    def as_json(self) -> dict[str, Any]:
        shown = {**asdict(self), "verdict": str(self.verdict)}
        del shown["passing"]
        return shown


def passed(key: str, title: str, text: str) -> Check:
    return Check(key, title, Verdict.PASS, text)


def warn(key: str, title: str, text: str, next: str = "", command: str = "") -> Check:
    return Check(key, title, Verdict.WARN, text, next, command)


def stop(key: str, title: str, text: str, next: str, command: str = "") -> Check:
    return Check(key, title, Verdict.STOP, text, next, command)
