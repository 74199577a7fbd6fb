"""A tab that comes into sight again looks at once: nobody decides on what it showed before."""

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


def test_a_tab_that_comes_into_sight_again_shows_what_is_so_now(visit: Visit) -> None:
    operator = person("operator")
    migration = at_sign_off(
        operator, current_step="quiesce", waiting_for="The outage begins with the next act."
    )
    page = visit(operator, f"/migrations/{migration.reference}/")
    # The page believes that it is out of sight, so it does not look by itself.
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    expect(page.locator("#state-title")).to_contain_text("Needs a person")
    Migration.objects.filter(pk=migration.pk).update(state=State.PAUSED, waiting_for="")
    with page.expect_request(
        lambda asked: asked.headers.get("hx-request") == "true", timeout=20_000
    ) as asked:
        # As soon as it is in sight: out of sight again at once, so that no later look by itself counts.
        page.evaluate("""() => {
            Object.defineProperty(document, "hidden", {value: false, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
            Object.defineProperty(document, "hidden", {value: true, configurable: true});
        }""")
    assert asked.value.url.endswith(f"/migrations/{migration.reference}/")
    expect(page.locator("#state-title")).to_contain_text("Paused", timeout=20_000)


def test_what_somebody_typed_outlives_a_form_that_a_colleague_closed(visit: Visit) -> None:
    operator = person("operator")
    migration = at_sign_off(operator, current_step="test", waiting_for="Test it.")
    page = visit(operator, f"/migrations/{migration.reference}/")
    page.fill("#note", "Pictures open.")
    Migration.objects.filter(pk=migration.pk).update(state=State.PAUSED, waiting_for="")
    expect(page.locator("#state-title")).to_contain_text("Paused", timeout=20_000)
    expect(page.get_by_text("What you typed was not sent")).to_be_visible()
    expect(page.get_by_label("What was not sent")).to_have_value("Pictures open.")
    Migration.objects.filter(pk=migration.pk).update(state=State.WAITING, waiting_for="Test it.")
    expect(page.locator("#note")).to_have_value("Pictures open.", timeout=20_000)
    expect(page.locator("#unsent")).to_be_hidden()
