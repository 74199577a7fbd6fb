"""While a page follows a migration, nothing moves under a pointer, and nothing that is over is still said."""

import pytest
from playwright.sync_api import expect

from migrations_app.models import Migration
from migrations_app.states import State
from tests.browser.conftest import Visit
from tests.migrations_app.making import at_sign_off
from tests.support.people import person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.django_db(transaction=True),
]


def test_the_gate_that_begins_the_outage_moves_no_button_and_ends_the_banner(visit: Visit) -> None:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.PAUSED, current_step="warm-copy", message="")
    page = visit(operator, f"/migrations/{migration.reference}/")
    page.get_by_role("button", name="Resume").click()
    banner = page.get_by_text("It goes on.")
    expect(banner).to_be_visible()
    expect(page.locator("#state-title")).to_contain_text("Running")
    before = page.locator("#act-roll-back").bounding_box()
    Migration.objects.update(
        state=State.WAITING, current_step="quiesce", waiting_for="The outage begins with the next act."
    )
    expect(page.get_by_role("button", name="Continue")).to_be_visible(timeout=20_000)
    expect(banner).to_be_hidden()
    assert page.locator("#act-roll-back").bounding_box() == before
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog = page.locator("#shortcuts").bounding_box()
    size = page.viewport_size
    assert dialog is not None and size is not None
    assert abs(dialog["x"] + dialog["width"] / 2 - size["width"] / 2) < 20
    assert abs(dialog["y"] + dialog["height"] / 2 - size["height"] / 2) < 20
