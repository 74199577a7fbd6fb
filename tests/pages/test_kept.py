"""How long a source is kept, and what a number is called, as people read it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.models import User
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn
from tests.pages.test_who_is_awaited import page
from worker import movers
from worker.checks import destination

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, "until it is purged, which is possible at once"),
        (1, "until it is purged, which is possible 1 day after the release"),
        (7, "until it is purged, which is possible 7 days after the release"),
    ],
)
def test_the_days_are_the_least_that_a_source_is_kept(signed_in: SignedIn, days: int, words: str) -> None:
    client = signed_in("operator")
    migration = at_sign_off(User.objects.get(username="operator"), retention_days=days)
    for tab in ("", "sign-off/"):
        assert words in page(client, f"/migrations/{migration.reference}/{tab}")


@pytest.mark.parametrize("state", [State.UNDONE, State.ROLLED_BACK, State.COMPLETED])
def test_what_has_ended_keeps_no_source(signed_in: SignedIn, state: State) -> None:
    client = signed_in("operator")
    migration = at_sign_off(User.objects.get(username="operator"), state=state, current_step="retain")
    assert "Keeps source" not in page(client, f"/migrations/{migration.reference}/")


def test_a_size_is_one_that_people_typed() -> None:
    transfer = SimpleNamespace(
        destination_name="small", destination_bytes=500 * 1024**2, source_name="library", source_bytes=1024**3
    )
    found = list(destination.sizes(cast("Any", SimpleNamespace(transfers=[transfer]))))
    assert found[0].text == "small would have 500Mi, library has 1Gi."


def test_what_is_waited_for_is_counted_in_its_own_kind() -> None:
    job, pod = cast("Any", object()), cast("Any", object())
    assert movers._waiting_for_pods([job], [], " of an earlier attempt").message == (
        "Waiting for 1 mover Job of an earlier attempt to be gone."
    )
    assert movers._waiting_for_pods([job], [pod, pod], "").message == ("Waiting for 2 mover pods to be gone.")
