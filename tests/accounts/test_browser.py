"""A real browser on the pages of people and of the trail: the keyboard alone, both themes, no script."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.support.browser import ContextMaker
from tests.support.people import PASSWORD, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until `selector` has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def sign_in(page: Page, live_server: LiveServer, user: User, path: str) -> None:
    """With the keyboard alone."""
    page.goto(f"{live_server.url}{path}")
    tab_to(page, "#id_username")
    page.keyboard.type(user.username)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{path}")


@pytest.mark.parametrize("script", [True, False])
def test_one_signs_in_grants_a_role_and_signs_out_with_the_keyboard_alone(
    live_server: LiveServer, new_context: ContextMaker, script: bool
) -> None:
    admin, viewer = person("admin"), person("viewer")
    page = new_context(java_script_enabled=script).new_page()
    if not script:  # without scripts the focus cannot be asked for; the forms must work all the same
        page.goto(f"{live_server.url}/people/{viewer.pk}/")
        page.fill("#id_username", admin.username)
        page.fill("#id_password", PASSWORD)
        page.press("#id_password", "Enter")
        page.select_option("#id_role", "approver")
        page.press("#id_namespaces", "Enter")
    else:
        sign_in(page, live_server, admin, f"/people/{viewer.pk}/")
        tab_to(page, "#id_role")
        page.keyboard.type("App")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    expect(page.get_by_text("viewer is approver in *.")).to_be_visible()
    page.get_by_role("button", name="Sign out").first.press("Enter")
    expect(page.get_by_text("You have signed out.")).to_be_visible()
