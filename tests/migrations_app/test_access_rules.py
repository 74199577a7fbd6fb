"""Which permissions the checks ask for before anything starts. No cluster is needed for these."""

from typing import Any

import pytest

from cluster.values import Rule
from migrations_app.models import GitMode
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.checks import access
from worker.context import Context

pytestmark = pytest.mark.django_db
SOURCE = {
    "kind": "Kustomization",
    "namespace": "team-a",
    "name": "photos",
    "source_namespace": "flux-system",
}
DESTINATION = {"kind": "Kustomization", "namespace": "team-b", "name": "photos"}
PATCH = Rule("patch", "kustomize.toolkit.fluxcd.io", "kustomizations", "team-b")


def needed(*, destination: str = "photos", **fields: Any) -> list[Rule]:
    fields = {"git_mode": GitMode.DIRECT, "source_owner": SOURCE, "destination_owner": DESTINATION, **fields}
    migration = at_sign_off(person("operator"), **fields)
    migration.destination_namespace = destination
    run = migration.runs.create(step="preflight", attempt=1)
    return access.needed(Context(migration, run, None))  # type: ignore[arg-type]


def test_what_deploy_and_roll_back_do_in_the_destination_is_asked_for() -> None:
    rules = needed()
    assert PATCH in rules
    assert Rule("list", "", "pods", "photos") in rules


@pytest.mark.parametrize(
    "fields",
    [
        {"git_mode": GitMode.NONE},
        {"destination": "media"},
        {"destination_owner": {}},
        {"source_owner": {}},
    ],
    ids=["not in Git", "one namespace", "no owner", "source without owner"],
)
def test_what_is_never_used_is_not(fields: dict[str, Any]) -> None:
    assert PATCH not in needed(**fields)
