"""The main job, as people do it in a browser: an application moves, two people pass its gates, the source goes, and comes back."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driving import (
    Person,
    claims_of,
    directory,
    find_claim,
    in_git,
    kubectl,
    sign_in,
    walk_wizard,
)
from tests.mover.walker import picture
from tests.support.browser import ContextMaker
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("stack"),
]

PHOTOS = ("data-photos-db-0", "photos-cache", "photos-library")


def trees(stack: Stack, namespace: str, names: tuple[str, ...]) -> dict[str, dict[bytes, Any]]:
    found = claims_of(stack, namespace)
    return {name: picture(directory(stack, found[name])) for name in names}


def watch_the_copy(operator: Person) -> None:
    """Bytes, files, rate and time left, while nobody touches the page."""
    progress = operator.page.locator(".progress").first
    expect(progress.get_by_role("progressbar")).to_be_visible(timeout=120_000)
    expect(progress).to_contain_text(re.compile(r"[KM]iB.* files.*(/s|rate)", re.DOTALL))


def pass_the_gates(
    operator: Person, approver: Person, reference: str, before: dict[str, Any], destination: str
) -> None:
    """From a started migration to its released source."""
    names = tuple(before)
    operator.wait_for("Test")
    assert trees(operator.stack, destination, names) == before
    operator.page.fill("#note", "Opened it; the newest entry is there.")
    operator.press("Confirm that it works")
    operator.wait_for("Sign off")

    operator.follow("Sign-off")
    expect(operator.page.get_by_role("button", name="Approve the deletion")).to_have_count(0)
    approver.open(f"/migrations/{reference}/sign-off/")
    approver.wait_for("Waiting for a decision", inside="#decision-card")
    expect(approver.page.get_by_text("equal, no differences")).to_have_count(len(names))
    expect(approver.page.get_by_text("Opened it; the newest entry is there.").first).to_be_visible()
    approver.press("Approve the deletion")
    expect(approver.page.get_by_text("You approved.")).to_be_visible()


def undo(operator: Person, reference: str) -> None:
    operator.open(f"/migrations/{reference}/")
    operator.wait_for("Done, source kept")
    operator.follow("Undo…")
    operator.page.fill("#reason", "Somebody still needs it there.")
    operator.press("Undo")
    operator.wait_for("Undone")


def test_an_application_moves_and_comes_back_with_every_byte_and_attribute(
    stack: Stack, new_context: ContextMaker
) -> None:
    before = trees(stack, "media", PHOTOS)
    assert sum(len(tree) for tree in before.values()) > 50
    volumes = {name: claim["spec"]["volumeName"] for name, claim in claims_of(stack, "media").items()}
    operator = sign_in(new_context(), stack, "operator")
    approver = sign_in(new_context(), stack, "approver")

    find_claim(operator, "media", "photos-library")
    operator.follow("Migrate")
    reference = walk_wizard(
        operator,
        PHOTOS,
        application="photos",
        destination="photos",
        owner="flux-system/photos",
        bandwidth="256Ki",  # slow enough to be watched
    )
    watch_the_copy(operator)
    pass_the_gates(operator, approver, reference, before, "photos")

    operator.open(f"/migrations/{reference}/")
    operator.wait_for("Done, source kept")
    assert not set(PHOTOS) & set(claims_of(stack, "media"))
    assert not in_git(stack, "photos-library", "apps/photos")
    for name in PHOTOS:
        policy = kubectl(
            stack, "get", "pv", volumes[name], "-o", "jsonpath={.spec.persistentVolumeReclaimPolicy}"
        )
        assert policy == "Retain"

    undo(operator, reference)
    assert trees(stack, "media", PHOTOS) == before
    assert {name: claim["spec"]["volumeName"] for name, claim in claims_of(stack, "media").items()} == volumes
    operator.follow("Story")
    for words in ("migration.start", "signoff.approve", "claim.delete", "migration.undo"):
        expect(operator.page.get_by_text(re.compile(rf"^{re.escape(words)}")).first).to_be_visible()


def test_the_same_without_javascript(stack: Stack, new_context: ContextMaker) -> None:
    before = trees(stack, "office", ("notes-data",))
    operator = sign_in(new_context(java_script_enabled=False), stack, "operator2", script=False)
    approver = sign_in(new_context(java_script_enabled=False), stack, "approver", script=False)

    find_claim(operator, "office", "notes-data")
    operator.follow("Migrate")
    reference = walk_wizard(
        operator,
        ("notes-data",),
        application="notes",
        destination="photos",
        owner="flux-system/photos",
        warm_passes=0,
    )
    pass_the_gates(operator, approver, reference, before, "photos")
    undo(operator, reference)
    assert trees(stack, "office", ("notes-data",)) == before
