"""A process that dies at a chosen act: before the call, after it and before the answer is written down, or after that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import pytest

from migrations_app.models import Migration
from tests.journeys.driving import Driver
from worker.context import Context


class Died(BaseException):
    """Not an Exception: nothing in the product may catch it, as nothing catches a SIGKILL."""


class Moment(StrEnum):
    BEFORE = "before the call"
    BETWEEN = "between call and answer"
    AFTER = "after the answer"


class Reaper:
    """Kills the process once at every act that it has not killed it at before, at one moment of it."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.deaths: list[str] = []

    def act(self, original: Callable[..., Any], context: Context, **arguments: Any) -> Any:
        key, call = arguments["key"], arguments["call"]
        if key in self.deaths:
            return original(context, **arguments)

        def dying_call() -> Any:
            if self.moment is Moment.BEFORE:
                self._die(key)
            result = call()
            if self.moment is Moment.BETWEEN:
                self._die(key)
            return result

        result = original(context, **{**arguments, "call": dying_call})
        if self.moment is Moment.AFTER:
            self._die(key)
        return result

    def _die(self, key: str) -> None:
        self.deaths.append(key)
        raise Died(key)


@contextmanager
def deaths(monkeypatch: pytest.MonkeyPatch, driver: Driver, moment: Moment) -> Iterator[Reaper]:
    """Inside, each act of the worker kills it once; the next tick is that of another process."""
    reaper = Reaper(moment)
    original_act, original_tick = Context.act, type(driver).tick

    def act(self: Context, **arguments: Any) -> Any:
        return reaper.act(original_act, self, **arguments)

    def tick(self: Driver, migration: Migration) -> Migration:
        try:
            return original_tick(self, migration)
        except Died:
            return Migration.objects.get(pk=migration.pk)

    with monkeypatch.context() as patched:
        patched.setattr(Context, "act", act)
        patched.setattr(type(driver), "tick", tick)
        yield reaper
