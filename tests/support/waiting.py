"""Waiting for something to become true, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    ask: Callable[[], T],
    *,
    timeout_s: float = 10,
    what: str = "",
    every_s: float | Callable[[], float] = 0.05,
) -> T:
    """Calls `ask` until its answer is true and returns that answer; `AssertionError` with the last answer after `timeout_s`.

    An `AssertionError` of `ask` itself counts as "not yet", and is shown when time is up. `every_s` may be asked anew each time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        problem: object
        try:
            answer = ask()
        except AssertionError as error:
            problem = error
        else:
            if answer:
                return answer
            problem = answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or ask!r}; last answer: {problem!r}")
        time.sleep(every_s() if callable(every_s) else every_s)
