"""The plan names what is put back on the way forward, too, and the review counts changes alone."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from migrations_app.models import GitMode, Migration
from migrations_app.models.evidence import digest_of
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.pages.conftest import SignedIn
from worker.steps.plan import objects

pytestmark = pytest.mark.django_db
PARENT = {"kind": "Kustomization", "namespace": "flux-system", "name": "apps"}
OWNER = {"kind": "Kustomization", "namespace": "flux-system", "name": "media", "parents": [PARENT]}


@pytest.fixture
def client(signed_in: SignedIn) -> Client:
    return signed_in("operator")


@pytest.fixture
def operator(client: Client) -> User:
    return User.objects.get(username="operator")


def planned(operator: User, **fields: Any) -> tuple[Migration, list[dict[str, Any]]]:
    migration = at_sign_off(operator, state=State.READY)
    for name, value in {"source_owner": OWNER, "git_mode": GitMode.DIRECT, **fields}.items():
        setattr(migration, name, value)
    migration.save()
    migration.transfers.update(facts={"claim": {"labels": {}, "annotations": {}, "access_modes": []}})
    return migration, objects(migration, list(migration.transfers.all()))


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({}, "release"),
        ({"git_mode": GitMode.NONE}, "release"),
        ({"destination_namespace": "media"}, "deploy"),
        ({"destination_namespace": "media", "git_mode": GitMode.NONE}, "release"),
    ],
    ids=str,
)
def test_what_is_suspended_is_resumed_in_the_opposite_order(
    operator: User, fields: dict[str, Any], step: str
) -> None:
    _, rows = planned(operator, **fields)
    suspended = [row["name"] for row in rows if row["verb"] == "suspend"]
    resumed = [(row["step"], row["name"]) for row in rows if row["verb"] == "resume"]
    assert suspended == ["apps", "media"] and resumed == [(step, "media"), (step, "apps")]
    steps = [row["step"] for row in rows]
    assert steps == sorted(steps, key=list(dict.fromkeys(steps)).index), "a step has one group"


def test_nothing_is_resumed_that_is_not_suspended(operator: User) -> None:
    _, rows = planned(operator, source_owner={"kind": "Helm", "namespace": "media", "name": "photos"})
    assert not [row for row in rows if row["verb"] in {"suspend", "resume"}]


def test_the_policy_of_the_new_volume_goes_back_after_its_claim_is_made(operator: User) -> None:
    _, rows = planned(operator)
    verbs = [row["verb"] for row in rows if row["step"] == "hand-over"]
    assert verbs == ["set to Retain", "delete", "create", "set back from Retain"]
    _, rows = planned(operator, destination_namespace="media")
    assert not [row for row in rows if row["step"] == "hand-over"]


def test_planned_twice_it_is_the_same(operator: User) -> None:
    migration, rows = planned(operator)
    again = objects(Migration.objects.get(pk=migration.pk), list(migration.transfers.all()))
    assert digest_of(rows) == digest_of(again)


def test_the_review_counts_changes_and_says_what_is_not_listed(operator: User, client: Client) -> None:
    migration, rows = planned(operator)
    migration.plan = {
        "objects": rows,
        "git": [],
        "checks": [],
        "outage": {"least_s": 30, "most_s": 60, "basis": ""},
    }
    migration.save(update_fields=["plan"])
    page = str(client.get(f"/migrations/{migration.reference}/draft/review/").content.decode())
    assert [row["verb"] for row in rows].count("keep") == 1
    assert re.search(rf"\b{len(rows) - 1} to the cluster", page), page[-3000:]
    assert 'id="not-listed"' in page
