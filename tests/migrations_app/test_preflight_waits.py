"""A check that saw Flux in the middle of a pass stops nobody: it looks again, for as long as a pass may take."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from migrations_app.states import State
from worker import checks
from worker.checks.check import passed, stop
from worker.context import Context
from worker.outcomes import Again, Done, Stop
from worker.steps import preflight

IN_A_PASS = replace(
    stop("gitops-owner", "Owner", "photos is not ready: Reconciliation in progress", "Mend it."), passing=True
)
READY = passed("gitops-owner", "Owner", "photos is ready.")


def context() -> Context:
    migration = SimpleNamespace(source_owner={}, destination_owner={}, plan={}, state=State.RUNNING)
    known: dict[str, Any] = {"memory": {}, "migration": migration}
    return cast(
        "Context",
        SimpleNamespace(**known, evidence=lambda *_: None, keep=lambda *_: None),
    )


def test_a_pass_that_begins_while_the_checks_run_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[IN_A_PASS], [READY]])
    monkeypatch.setattr(checks, "run", lambda _: next(answers))
    here = context()
    assert isinstance(preflight.tick(here), Again)
    assert isinstance(preflight.tick(here), Done)


def test_a_pass_that_never_ends_stops_the_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "run", lambda _: [IN_A_PASS])
    here = context()
    found = [preflight.tick(here) for _ in range(preflight.PASS_LOOKS + 1)]
    assert all(isinstance(each, Again) for each in found[:-1])
    last = found[-1]
    assert isinstance(last, Stop) and "Reconciliation in progress" in last.problem.happened


def test_what_a_page_reads_of_a_check_stays_as_it_was() -> None:
    assert set(IN_A_PASS.as_json()) == {"key", "title", "verdict", "text", "next", "command"}
