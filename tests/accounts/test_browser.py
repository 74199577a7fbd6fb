"""A real browser on the pages of people and of the trail: the keyboard alone, both themes, no script."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.audit.conftest import note
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


def complaints(page: Page) -> list[str]:
    """What axe finds, and what the content policy refused."""
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    return [
        f"{each['id']}: {each['help']}: {node['html'][:120]}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    live_server: LiveServer, new_context: ContextMaker, theme: Any
) -> None:
    admin, viewer = person("admin"), person("viewer")
    for number in range(60):
        note(number, namespace="team-a", note="a long note " * 20, before={"state": "waiting"})
    page = new_context(color_scheme=theme).new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    wrong = {}
    page.goto(f"{live_server.url}/sign-in/")
    wrong["/sign-in/"] = complaints(page)
    sign_in(page, live_server, admin, "/account/")
    for path in (
        "/account/",
        "/people/",
        f"/people/{viewer.pk}/",
        f"/people/{admin.pk}/",
        "/audit/",
        "/audit/1/",
        "/audit/?text=none",
    ):
        page.goto(f"{live_server.url}{path}")
        wrong[path] = complaints(page)
    assert {path: found for path, found in wrong.items() if found} == {}
    assert refused == []


@pytest.mark.parametrize("path", ["/sign-in/", "/audit/", "/people/"])
def test_no_page_scrolls_sideways_on_a_narrow_screen(
    live_server: LiveServer, new_context: ContextMaker, path: str
) -> None:
    page = new_context(viewport={"width": 320, "height": 640}).new_page()
    admin = person("admin")
    note(1, key="k" * 200, note="n" * 400, namespace="team-a")
    if path != "/sign-in/":
        sign_in(page, live_server, admin, path)
    else:
        page.goto(f"{live_server.url}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
