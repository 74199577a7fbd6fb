"""What is ticked at first is the whole application: all claims that are stopped together."""

from typing import Any

import pytest

from dashboard import inventory
from dashboard.states import Owner
from tests.cluster import living
from tests.pages.conftest import SignedIn
from tests.pages.making import claim, cluster
from tests.support.cluster_process import Sandbox
from worker.reading import read_surroundings

pytestmark = pytest.mark.django_db


def by(owner: str, *users: str, kind: Owner = Owner.KUSTOMIZATION, application: str = "") -> dict[str, Any]:
    return {
        "owner_kind": kind,
        "owner_namespace": "flux-system" if owner else "",
        "owner_name": owner,
        "consumers": [{"kind": "StatefulSet", "name": user} for user in users],
        "facts": {"application": application},
    }


def test_an_application_is_chosen_with_what_its_stateful_sets_make(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    claim("library", **by("photos"))
    claim("data-db-0", **by("db", "db", kind=Owner.STATEFUL_SET, application="flux-system/photos"))
    # Nobody applies it, and the database uses it: it is stopped with the others.
    claim("dumps", **by("", "db", kind=Owner.NOBODY))
    claim("lonely", **by("", kind=Owner.NOBODY))
    claim("data-other-0", **by("other", "other", kind=Owner.STATEFUL_SET, application="flux-system/other"))
    # The same name, applied by somebody else.
    claim("stranger", **{**by("photos"), "owner_namespace": "team-b"})

    page = client.get("/migrations/new/", {"namespace": "media", "claims": "library"})
    assert (page.context["chosen"], page.context["application"]) == (
        ["data-db-0", "dumps", "library"],
        "photos",
    )
    groups = {group["name"]: [c.name for c in group["claims"]] for group in page.context["groups"]}
    assert groups["on their own"] == ["lonely"] and groups["other"] == ["data-other-0"]
    assert len(page.context["groups"]) == 4


def test_a_claim_that_two_applications_use_is_left_to_the_person(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    claim("a", **by("first", "one"))
    claim("b", **by("second", "two"))
    claim("shared", **by("", "one", "two", kind=Owner.NOBODY))
    page = client.get("/migrations/new/", {"namespace": "media", "claims": "a"})
    assert page.context["chosen"] == ["a"]


def test_the_photo_application_of_the_sandbox_is_chosen_whole(signed_in: SignedIn, sandbox: Sandbox) -> None:
    watcher = living.cluster_as(sandbox, "holdfast-watcher")
    inventory.refresh(cluster(), read_surroundings(watcher, tuple(watcher.list_claims())))
    page = signed_in("operator").get("/migrations/new/", {"namespace": "media", "claims": "photos-library"})
    assert page.context["chosen"] == ["data-photos-db-0", "photos-cache", "photos-library"]
