"""An Undo or a Purge that cannot end by itself is closed by a person, who says so by name."""

from typing import Any

import pytest

from accounts.models import User
from audit.models import Event
from migrations_app.actions import running
from migrations_app.models import Course, Migration
from migrations_app.problems import Refused
from migrations_app.rules.claims import held
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn

pytestmark = pytest.mark.django_db

LOST = {"happened": "Volume pv-source is gone.", "safe": "", "next": "", "command": "", "code": "volume-lost"}


def stopped(**fields: Any) -> Migration:
    wanted = {"state": State.FAILED, "current_step": "retain", "course": Course.UNDO, "problem": LOST}
    return at_sign_off(User.objects.get(username="operator"), **{**wanted, **fields})


@pytest.mark.parametrize(("course", "end"), [(Course.UNDO, State.UNDONE), (Course.PURGE, State.COMPLETED)])
def test_closing_lets_go_of_the_claims_and_is_on_record(
    signed_in: SignedIn, course: Course, end: State
) -> None:
    client = signed_in("operator")
    migration = stopped(course=course)
    assert held(migration.cluster_id, "media", ["library"]) == {"library": migration.reference}
    path = f"/migrations/{migration.reference}/act/close/"
    assert path in client.get(f"/migrations/{migration.reference}/").content.decode()
    page = client.get(path).content.decode()
    assert "pv-source is gone" in page and "Type photos to confirm" in page

    version = migration.version
    client.post(path, {"version": version, "typed": "something", "reason": "No."})
    assert Migration.objects.get().state == State.FAILED
    client.post(path, {"version": version, "typed": "photos", "reason": "The copy is enough."})
    migration = Migration.objects.get()
    assert migration.state == end and "pv-source is gone" in migration.message
    assert migration.standing.label == "Closed as it is", "neither undone nor completed is what happened"
    assert "Closed as it is" in client.get("/migrations/?show=ended").content.decode()
    assert not held(migration.cluster_id, "media", ["library"])
    event = Event.objects.get(verb="migration.close")
    assert event.note == "The copy is enough." and event.actor == "operator"
    assert "Closed as it is by operator" in client.get(f"/migrations/{migration.reference}/").content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"problem": {**LOST, "code": "git"}},
        {"course": Course.FORWARD},
        {"course": Course.ROLL_BACK},
        {"state": State.UNDOING},
        {"state": State.RETAINED},
    ],
    ids=str,
)
def test_whatever_may_still_end_by_itself_is_not_closed(signed_in: SignedIn, fields: dict[str, Any]) -> None:
    client = signed_in("operator")
    migration = stopped(**fields)
    with pytest.raises(Refused):
        running.close(by=User.objects.get(username="operator"), migration=migration, typed="photos")
    assert "act/close/" not in client.get(f"/migrations/{migration.reference}/").content.decode()
