"""Every page in both themes under axe; narrow screens; the keyboard alone; pages that look again and leave a reader in peace."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from accounts.models import User
from audit.models import Event
from migrations_app.models import Decision, Migration
from migrations_app.states import State
from tests.accounts.test_browser import tab_to
from tests.browser.conftest import Visit
from tests.browser.making import everything
from tests.migrations_app.making import asked, at_sign_off
from tests.support.every_route import World, everybody
from tests.support.people import PASSWORD, person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# All that a theme can change: the rest of a page is the same in both.
SEEN = ["color-contrast", "link-in-text-block"]
# Routes by GET that show no page: downloads, ways to other pages, and what a machine reads.
NO_PAGES = {"healthz", "oidc-start", "oidc-callback", "wizard", "protection-patch", "held-form"}
# Pages that look different with a query, with nothing to show, or refused.
MORE = (
    "/claims/?q=nothing-fits",
    "/migrations/?show=all",
    "/audit/?text=none",
    "/audit/?since=yesterday",
    "/no-such-page/",
)


@pytest.fixture
def operator(transactional_db: None) -> User:
    return person("operator")


@pytest.fixture
def world(transactional_db: None, settings: Settings) -> World:
    settings.HOLDFAST_BREAK_GLASS = True
    return World.make()


def every_page(world: World) -> list[str]:
    """Each address of each route that shows a page; a new route is among them."""
    pages = [address for route, address in world.asked("GET") if route.name not in NO_PAGES]
    return [*pages, *MORE]


def complaints(found: dict[str, Any]) -> list[str]:
    return [f"{each['id']}: {node['html'][:160]}" for each in found["violations"] for node in each["nodes"]]


def in_both_themes(page: Page) -> list[str]:
    """All rules in the light theme; in the dark one those about what is seen."""
    page.emulate_media(color_scheme="light")
    light = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}}).response
    page.emulate_media(color_scheme="dark")
    seen = {"runOnly": {"type": "rule", "values": SEEN}}
    dark = page.evaluate("options => axe.run(document, options)", seen)
    return complaints(light) + [f"dark: {each}" for each in complaints(dark)]


@pytest.mark.parametrize("part", range(3))
def test_axe_finds_nothing_on_any_page_in_either_theme(world: World, visit: Visit, part: int) -> None:
    page = visit(everybody(), "/")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    wrong = {}
    for path in every_page(world)[part::3]:
        page.goto(path)
        wrong[path] = in_both_themes(page)
    assert {path: found for path, found in wrong.items() if found} == {}
    assert [text for text in refused if "status of 4" not in text] == [], (
        "the content policy refused something"
    )


def test_axe_finds_nothing_where_doors_are_closed(world: World, visit: Visit) -> None:
    """The same pages look different to those who may only look, or not even that."""
    sign_off, migration = world.addresses["sign-off"][0], world.addresses["migration"][1]
    wrong = {}
    page = visit(person("viewer"), sign_off)
    for path in (sign_off, migration, world.addresses["claim"][0], "/validation/", "/people/"):
        page.goto(path)
        wrong[path] = in_both_themes(page)
    page = visit(None, "/sign-in/")
    wrong["/sign-in/"] = in_both_themes(page)
    page.fill("#id_username", "nobody")
    page.fill("#id_password", "wrong")
    page.press("#id_password", "Enter")
    expect(page.get_by_text("The name or the password is wrong.")).to_be_visible()
    wrong["refused sign-in"] = in_both_themes(page)
    assert {path: found for path, found in wrong.items() if found} == {}


def test_no_page_scrolls_sideways_on_a_narrow_screen(world: World, visit: Visit) -> None:
    Event.objects.bulk_create([_long(Event.objects.latest("sequence"))])
    page = visit(everybody(), "/", viewport={"width": 320, "height": 640})
    wide = {}
    for path in every_page(world):
        page.goto(path)
        wide[path] = page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in wide.items() if width > 320} == {}


def _long(last: Event) -> Event:
    """An event whose every text is too long for a line."""
    return Event(
        sequence=last.sequence + 1,
        at=last.at,
        actor="a" * 100,
        verb="v" * 60,
        kind="thing",
        key="k" * 200,
        namespace="n" * 63,
        note="n" * 400,
        previous_hash=last.hash,
        hash="f" * 64,
    )


def test_a_sign_off_is_given_with_the_keyboard_alone(operator: User, visit: Visit) -> None:
    migration = at_sign_off(operator)
    asked(migration)
    page = visit(person("approver"), "/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # past the navigation
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/migrations/")
    tab_to(page, f"a[href='/migrations/{migration.reference}/']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{migration.reference}/")
    tab_to(page, f"main section a[href='/migrations/{migration.reference}/sign-off/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-off/")
    tab_to(page, "#text")
    page.keyboard.type("Read the proof; the application runs.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You approved.")).to_be_visible(timeout=60_000)
    decision = Decision.objects.get()
    assert (decision.kind, decision.text) == ("approve", "Read the proof; the application runs.")


def test_a_page_that_looks_again_moves_nothing_under_the_reader(operator: User, visit: Visit) -> None:
    migration = at_sign_off(operator, current_step="test", waiting_for="Test it.")
    page = visit(operator, f"/migrations/{migration.reference}/")
    page.fill("#note", "Pictures open, ")
    page.evaluate("document.querySelector('#note').setSelectionRange(3, 7); window.scrollTo(0, 120)")
    where = "[document.activeElement.id, document.activeElement.selectionStart, document.activeElement.selectionEnd, window.scrollY]"
    before = page.evaluate(where)
    Migration.objects.filter(pk=migration.pk).update(
        waiting_for="Test it, please.", test_note="The newest album."
    )
    expect(page.get_by_text("Test it, please.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("The newest album.")).to_be_visible()
    assert page.evaluate(where) == before
    assert page.input_value("#note") == "Pictures open, "
    Migration.objects.filter(pk=migration.pk).update(state=State.PAUSED, waiting_for="")
    expect(page.locator("#state-title")).to_contain_text("Paused", timeout=60_000)
    expect(page.locator("#live")).to_contain_text("Paused")


def test_a_session_that_ends_while_somebody_types_loses_nothing(operator: User, visit: Visit) -> None:
    migration = at_sign_off(operator, current_step="test", waiting_for="Test it.")
    migration.runs.create(step="test", attempt=1, state="waiting")
    page = visit(operator, f"/migrations/{migration.reference}/")
    page.fill("#note", "Opened the newest album; it is there.")
    for key in Session.objects.values_list("session_key", flat=True):
        session = SessionStore(key)
        session["seen_at"] = session["started_at"] = 0
        session.save()
    expect(page.get_by_text("Your session has ended.")).to_be_visible(timeout=60_000)
    assert page.input_value("#note") == "Opened the newest album; it is there."
    page.get_by_role("button", name="Confirm that it works").click()
    page.fill("#id_username", operator.username)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    expect(page.get_by_role("heading", name="What you typed is still here")).to_be_visible()
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_text("The test is confirmed.")).to_be_visible(timeout=60_000)
    confirmed = migration.evidence.filter(kind="test").latest("id").data
    assert (confirmed["confirmed_by"], confirmed["note"]) == (
        "operator",
        "Opened the newest album; it is there.",
    )


def test_a_session_that_ends_while_nobody_types_leads_to_the_sign_in_and_back(
    operator: User, visit: Visit
) -> None:
    migration = at_sign_off(operator, state=State.RUNNING, current_step="copy")
    page = visit(operator, f"/migrations/{migration.reference}/")
    Session.objects.all().delete()
    page.wait_for_url("**/sign-in/?next=**", timeout=60_000)
    page.fill("#id_username", operator.username)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url(f"**/migrations/{migration.reference}/")


def test_the_page_says_that_it_gets_no_answer_and_recovers(operator: User, visit: Visit) -> None:
    migration = at_sign_off(operator, state=State.RUNNING, current_step="copy")
    page = visit(operator, f"/migrations/{migration.reference}/")
    page.context.set_offline(True)
    expect(page.get_by_text("Holdfast does not answer since")).to_be_visible(timeout=60_000)
    page.context.set_offline(False)
    expect(page.get_by_text("Holdfast does not answer since")).to_be_hidden(timeout=60_000)


def test_a_page_without_javascript_reloads_only_while_nobody_could_be_typing(
    operator: User, visit: Visit
) -> None:
    busy = at_sign_off(operator, state=State.RUNNING, current_step="copy")
    typing = at_sign_off(operator, current_step="test")
    page = visit(operator, f"/migrations/{busy.reference}/", java_script_enabled=False)
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    page.goto(f"/migrations/{typing.reference}/")
    assert page.locator("meta[http-equiv=refresh]").count() == 0
    page.goto(f"/migrations/{typing.reference}/sign-off/")
    assert page.locator("meta[http-equiv=refresh]").count() == 0


def test_a_refused_wizard_page_has_the_focus_on_the_first_field_in_error(
    operator: User, visit: Visit
) -> None:
    draft = everything(operator)["draft"]
    page = visit(operator, f"/migrations/{draft.reference}/draft/destination/")
    page.fill("#id_namespace", "photos")
    page.fill("#id_name_data-2", "Not A Name")
    page.fill("#id_size_data-1", "12 parsecs")
    page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_role("alert").first).to_contain_text("What you typed is still here")
    expect(page.locator("#id_size_data-1")).to_be_focused()
    assert page.input_value("#id_name_data-2") == "Not A Name"
    described = page.locator("#id_size_data-1").get_attribute("aria-describedby") or ""
    assert any("not a size" in page.locator(f"#{each}").inner_text() for each in described.split())
