"""Two tabs, or two people, at one draft: what is saved replaces what was seen, and goes to the claim that was meant."""

import pytest
from django.test import Client

from accounts.models import User
from migrations_app.actions import drafting
from migrations_app.models import GitMode, Migration
from tests.pages.conftest import SignedIn
from tests.pages.making import draft
from tests.pages.test_options import FIELDS

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: SignedIn) -> Client:
    return signed_in("operator")


def three_claims() -> Migration:
    return draft(User.objects.get(username="operator"), claims=("a", "b", "c"))


def seen(client: Client, path: str) -> str:
    page = client.get(path)
    assert f'name="seen" value="{page.context["seen"]}"' in page.content.decode()
    return str(page.context["seen"])


def names(*claims: str) -> dict[str, str]:
    return {
        f"{field}_{c}": f"{c}-new" if field == "name" else ""
        for c in claims
        for field in ("name", "class", "size")
    }


def drop_a(migration: Migration) -> None:
    fresh = Migration.objects.get(pk=migration.pk)
    drafting.set_source(
        by=User.objects.get(username="operator"), migration=fresh, application="photos", claims=["b", "c"]
    )


def test_an_old_tab_gives_no_claim_the_name_of_another(operator: Client) -> None:
    migration = three_claims()
    path = f"/migrations/{migration.reference}/draft/destination/"
    old = seen(operator, path)
    drop_a(migration)
    fields = {"namespace": "photos", "owner": "", **names("a", "b", "c")}
    answer = operator.post(path, {**fields, "seen": old})
    page = answer.content.decode()
    assert answer.status_code == 422 and "changed after you had opened this page" in page
    assert 'value="b-new"' in page and 'value="photos"' in page
    assert Migration.objects.get().destination_namespace == ""
    # Looked at, and saved: what was typed for each claim is that claim's.
    assert operator.post(path, {**fields, "seen": answer.context["seen"]}).status_code == 303
    found = Migration.objects.get().transfers.values_list("source_name", "destination_name")
    assert list(found) == [("b", "b-new"), ("c", "c-new")]


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("source", {"application": "photos", "claims": ["a"]}),
        ("options", {**FIELDS, "git_mode": "none", "retention_days": "1"}),
    ],
)
def test_what_somebody_else_saved_is_not_overwritten_unseen(
    operator: Client, page: str, fields: dict[str, object]
) -> None:
    migration = three_claims()
    path = f"/migrations/{migration.reference}/draft/{page}/"
    old = seen(operator, path)
    drafting.set_options(
        by=User.objects.get(username="operator"),
        migration=migration,
        warm_passes=2,
        retention_days=30,
        pause_before_quiesce=False,
        git_mode=GitMode.NONE,
        test_note="Theirs.",
        limits={},
    )
    assert operator.post(path, {**fields, "seen": old}).status_code == 422
    found = Migration.objects.get()
    assert (found.retention_days, found.test_note, found.transfers.count()) == (30, "Theirs.", 3)


def test_what_the_checks_write_keeps_nobody_from_saving(operator: Client) -> None:
    migration = three_claims()
    path = f"/migrations/{migration.reference}/draft/options/"
    old = seen(operator, path)
    Migration.objects.update(version=9, plan={"checks": []}, plan_digest="sha256:x")
    Migration.objects.update(destination_namespace=migration.destination_namespace)
    fields = {**FIELDS, "git_mode": "none", "seen": old}
    operator.post(path, fields)
    assert Migration.objects.get().warm_passes == 1 and Migration.objects.get().version > 9


@pytest.mark.parametrize(
    ("size", "shown"), [(10**10, "9765625Ki"), (10**10 + 1, "10000000001"), (20 * 1024**3, "20Gi")]
)
def test_a_size_that_is_kept_can_be_saved_again(operator: Client, size: int, shown: str) -> None:
    migration = draft(User.objects.get(username="operator"))
    migration.transfers.update(destination_bytes=size)
    path = f"/migrations/{migration.reference}/draft/destination/"
    form = operator.get(path).context["form"]
    assert form["size_library"].value() == shown
    fields = {"namespace": "photos", "owner": "", "name_library": "library", "class_library": ""}
    assert operator.post(path, {**fields, "size_library": shown}).status_code == 303
    assert Migration.objects.get().transfers.get().destination_bytes == size
    refused = operator.post(path, {**fields, "size_library": "999999999999999Ti"})
    assert refused.status_code == 422 and b"more than any volume" in refused.content
