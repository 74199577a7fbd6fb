"""Logic of three values: true, false, and None for what cannot be told. Pure."""

from __future__ import annotations

from collections.abc import Iterable

Known = bool | None


def every(answers: Iterable[Known]) -> Known:
    found = list(answers)
    return False if False in found else None if None in found else True


def some(answers: Iterable[Known]) -> Known:
    found = list(answers)
    return True if True in found else None if None in found else False


def negated(answer: Known) -> Known:
    return None if answer is None else not answer
