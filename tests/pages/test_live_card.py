"""The card that follows a migration says what is so now, not what the last act said before it stopped."""

import pytest
from django.utils import timezone

from accounts.models import User
from migrations_app.models import Migration
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn
from tests.pages.test_who_is_awaited import card, page

pytestmark = pytest.mark.django_db

OLD = "library: the Job is created."
PROBLEM = {"happened": "A flipped byte.", "safe": "The source is untouched.", "next": "Retry.", "command": ""}


def made(**fields: object) -> Migration:
    operator = User.objects.get(username="operator")
    return at_sign_off(operator, current_step="copy", message=OLD, **fields)


def state_card(shown: str) -> str:
    return shown.split('id="state"')[1].split("</section>")[0]


def test_a_pause_says_that_the_outage_goes_on(signed_in: SignedIn) -> None:
    operator = signed_in("operator")
    migration = made(state=State.PAUSED, outage_began_at=timezone.now())
    shown = state_card(page(operator, f"/migrations/{migration.reference}/"))
    assert "a pause does not end the outage" in shown and OLD not in shown
    assert "The application is down." in card(operator, "needs")
    Migration.objects.update(outage_began_at=None)
    assert (
        "outage" not in state_card(page(operator, f"/migrations/{migration.reference}/")).split("stands")[1]
    )


def test_what_stopped_leads_to_the_problem(signed_in: SignedIn) -> None:
    operator = signed_in("operator")
    migration = made(state=State.FAILED, problem=PROBLEM)
    shown = page(operator, f"/migrations/{migration.reference}/")
    assert "It stopped at Copy" in state_card(shown) and OLD not in state_card(shown)
    assert PROBLEM["happened"] in shown


def test_what_goes_on_has_a_row_of_its_own_below_what_keeps_its_place(signed_in: SignedIn) -> None:
    operator = signed_in("operator")
    for state, fields in (
        (State.WAITING, {"current_step": "quiesce", "waiting_for": "The outage begins."}),
        (State.PAUSED, {}),
        (State.RUNNING, {}),
    ):
        migration = at_sign_off(
            User.objects.get(username="operator"), **{"current_step": "copy", "state": state, **fields}
        )
        shown = state_card(page(operator, f"/migrations/{migration.reference}/"))
        stays, goes = shown.split('id="turns"')[1].split('id="go-on"')
        assert [stays.index(word) for word in ("Pause<", "Abort…", "Roll back…")] == sorted(
            stays.index(word) for word in ("Pause<", "Abort…", "Roll back…")
        )
        assert "Continue" not in stays and "Resume" not in stays
        assert ("form-continue" in goes) == (state == State.WAITING)
        assert ("form-resume" in goes) == (state == State.PAUSED)
