"""What is not moved is listed again where it matters: at Deploy and at Test, and nowhere else."""

from typing import Any

import pytest

from accounts.models import User
from migrations_app.models import Migration
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn

pytestmark = pytest.mark.django_db
LEFT = "Git declares these in media too, and they are not moved: Service photos-db, Service photos."


def shown(signed_in: SignedIn, step: str, verdict: str = "warn", **fields: Any) -> bool:
    client = signed_in("operator")
    check = {
        "key": "git-left-behind",
        "title": "What else",
        "verdict": verdict,
        "text": LEFT,
        "next": "",
        "command": "",
    }
    migration: Migration = at_sign_off(
        User.objects.get(username="operator"), current_step=step, plan={"checks": [check]}, **fields
    )
    page = str(client.get(f"/migrations/{migration.reference}/").content.decode())
    return LEFT in page


@pytest.mark.parametrize(
    ("step", "fields", "expected"),
    [
        ("deploy", {"state": State.RUNNING}, True),
        ("test", {}, True),
        ("test", {"verdict": "pass"}, False),
        ("sign-off", {}, False),
        ("copy", {"state": State.RUNNING}, False),
        ("deploy", {"state": State.ROLLING_BACK, "course": "roll-back"}, False),
    ],
    ids=str,
)
def test_what_is_not_moved_is_said_again(
    signed_in: SignedIn, step: str, fields: dict[str, Any], expected: bool
) -> None:
    assert shown(signed_in, step, **fields) is expected
