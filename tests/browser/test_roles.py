"""Each role sees what it may, is told what it may not, and is offered no door that is closed to it."""

import pytest
from playwright.sync_api import Page, expect

from migrations_app.models import Migration
from tests.browser.conftest import Visit
from tests.migrations_app.making import asked, at_sign_off
from tests.pages.making import claim
from tests.support.people import person

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PLACES = {
    "viewer": ["Overview", "Claims", "Migrations", "Validation"],
    "operator": ["Overview", "Claims", "Migrations", "Validation"],
    "approver": ["Overview", "Claims", "Migrations", "Validation"],
    "auditor": ["Overview", "Claims", "Migrations", "Validation", "Audit"],
    "admin": ["Overview", "Claims", "Migrations", "Validation", "Repositories", "Audit", "People"],
}


@pytest.fixture
def migration(transactional_db: None) -> Migration:
    claim("library")
    made = at_sign_off(person("operator", name="requester"))
    asked(made)
    return made


def offered(page: Page, role: str, name: str) -> bool:
    """Is there such a door, and is it open?"""
    door = page.get_by_role("main").get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    return door.count() > 0 and door.first.is_enabled()


@pytest.mark.parametrize("role", list(PLACES))
def test_a_role_sees_its_places_and_its_doors(migration: Migration, visit: Visit, role: str) -> None:
    page = visit(person(role), "/")
    navigation = page.get_by_role("navigation", name="Main").get_by_role("link")
    assert navigation.all_inner_texts() == PLACES[role]
    for number in range(len(PLACES[role])):
        navigation.nth(number).click()
        expect(navigation.nth(number)).to_have_attribute("aria-current", "page")
        expect(page.get_by_role("heading", level=1)).not_to_have_text("Not allowed")
    drives, signs = role == "operator", role == "approver"
    page.goto("/")
    assert offered(page, "link", "New migration") is drives
    page.goto("/claims/demo-east/media/library/")
    assert offered(page, "link", f"See migration {migration.reference}")
    page.goto("/validation/")
    assert offered(page, "button", "Run now") is drives
    page.goto(f"/migrations/{migration.reference}/")
    assert offered(page, "button", "Pause") is drives
    assert offered(page, "link", "Roll back…") is drives
    if not drives:
        expect(page.locator("#why-pause")).to_be_visible()
    page.goto(f"/migrations/{migration.reference}/sign-off/")
    assert offered(page, "button", "Approve the deletion") is signs
    if not signs:
        expect(page.locator("#decision-card .reason, #decision-card p").first).to_be_visible()


def test_whoever_asked_is_told_why_they_cannot_sign(migration: Migration, visit: Visit) -> None:
    both = person("approver", name="both")
    Migration.objects.update(requested_by=both, requested_by_name="both")
    page = visit(both, f"/migrations/{migration.reference}/sign-off/")
    expect(page.get_by_role("button", name="Approve the deletion")).to_have_count(0)
    expect(page.locator("#decision-card")).to_contain_text("a second person has to decide")


def test_an_outsider_finds_every_place_closed_and_is_told_what_to_ask_for(
    migration: Migration, visit: Visit
) -> None:
    page = visit(person(), "/account/")
    expect(page.get_by_text("You hold no role yet")).to_be_visible()
    for path in (
        "/",
        "/claims/",
        "/migrations/",
        f"/migrations/{migration.reference}/",
        "/audit/",
        "/people/",
    ):
        answer = page.goto(path)
        assert answer is not None and answer.status == 403, path
        expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()


def test_nobody_is_led_to_the_sign_in_and_back(migration: Migration, visit: Visit) -> None:
    page = visit(None, f"/migrations/{migration.reference}/")
    page.wait_for_url("**/sign-in/?next=**")
    expect(page.get_by_label("Password")).to_be_visible()
