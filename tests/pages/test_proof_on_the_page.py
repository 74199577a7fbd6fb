"""Pages call a copy proven only while it is: not while it is proven again, not when the source changed, not when it is given up."""

from typing import Any

import pytest
from django.test import Client

from migrations_app.actions import running
from migrations_app.models import Evidence, Migration, StepRun
from migrations_app.models.evidence import digest_of
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.support.people import person

pytestmark = pytest.mark.django_db

PROVEN = {"content_digest": "blake3:content", "metadata_digest": "blake3:metadata"}


def found(migration: Migration, kind: str, data: dict[str, Any], attempt: int = 1) -> None:
    Evidence.objects.create(
        migration=migration,
        transfer=migration.transfers.get(),
        step="verify",
        attempt=attempt,
        kind=kind,
        data=data,
        digest=digest_of(data),
    )


def proven(**fields: Any) -> Migration:
    migration = at_sign_off(person("operator"), **fields)
    StepRun.objects.create(migration=migration, step="verify", state="done")
    found(migration, "verify", {"outcome": "equal", "source": PROVEN, "destination": PROVEN})
    return migration


def says_proven(migration: Migration) -> bool:
    """Whether the migration's page and its evidence call it proven; they have to agree."""
    browser = Client()
    browser.force_login(migration.requested_by)
    page = browser.get(f"/migrations/{migration.reference}/").content.decode()
    card = browser.get(f"/migrations/{migration.reference}/evidence/").content.decode()
    green = "card--good" in card.split('id="proof-1"')[0].rsplit("<section", 1)[1]
    assert ("proven equal" in page) == green == ("equal, no differences" in card)
    return green


def test_a_retry_from_copy_is_not_proven_until_verify_has_ended() -> None:
    migration = proven(state=State.FAILED, current_step="verify", problem={"code": "source-in-use"})
    assert says_proven(migration)
    running.retry(by=migration.requested_by, migration=migration)
    assert migration.current_step == "quiesce" and not says_proven(migration)
    Migration.objects.filter(pk=migration.pk).update(current_step="verify")
    StepRun.objects.create(migration=migration, step="verify", attempt=2)
    assert not says_proven(migration)
    found(migration, "verify", {"outcome": "equal", "source": PROVEN, "destination": PROVEN}, attempt=2)
    assert says_proven(migration)


@pytest.mark.parametrize("key", sorted(PROVEN))
def test_a_source_that_hashes_to_something_else_is_red(key: str) -> None:
    migration = proven(state=State.FAILED, current_step="release", problem={"happened": "It was written to."})
    found(migration, "source-digest", PROVEN)
    assert says_proven(migration)
    found(migration, "source-digest", {**PROVEN, key: "blake3:other"})
    assert not says_proven(migration)
    browser = Client()
    browser.force_login(migration.requested_by)
    assert "card--danger" in browser.get(f"/migrations/{migration.reference}/evidence/").content.decode()


def test_a_copy_that_is_given_up_is_not_called_proven() -> None:
    assert not says_proven(proven(state=State.ROLLED_BACK, course="roll-back", current_step="deploy"))
