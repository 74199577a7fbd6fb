"""Pages say when Holdfast does not answer, and stop saying it when it does; a run that ends is over everywhere on its page."""

import pytest
from playwright.sync_api import expect

from dashboard.models import ValidationRun
from migrations_app.models import Migration
from migrations_app.states import State
from tests.browser.conftest import Visit
from tests.migrations_app.making import at_sign_off
from tests.pages.making import claim, cluster
from tests.support.people import person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.django_db(transaction=True),
]


@pytest.mark.parametrize("how", ["refused", "500"])
def test_a_filter_that_gets_no_answer_says_so(visit: Visit, how: str) -> None:
    claim("library")
    claim("photos")
    page = visit(person("viewer"), "/claims/")
    page.route(
        "**/claims/?**", lambda route: route.abort() if how == "refused" else route.fulfill(status=500)
    )
    page.locator("#q").press_sequentially("photos")
    expect(page.get_by_text("Holdfast did not answer.")).to_be_visible()
    expect(page.locator("#claims")).to_contain_text("library")
    page.unroute("**/claims/?**")
    page.press("#q", "Enter")
    expect(page.locator("#claims")).not_to_contain_text("library")
    expect(page.get_by_text("Holdfast did not answer.")).to_be_hidden()


def test_the_last_answer_of_all_takes_the_notice_away(visit: Visit) -> None:
    operator = person("operator")
    migration = at_sign_off(operator, current_step="test", waiting_for="Test it.")
    page = visit(operator, f"/migrations/{migration.reference}/")
    page.route("**/migrations/**", lambda route: route.abort())
    expect(page.get_by_text("Holdfast does not answer since")).to_be_visible(timeout=20_000)
    # Nothing changes any more: the answer has no element that asks again.
    Migration.objects.filter(pk=migration.pk).update(state=State.ROLLED_BACK, waiting_for="")
    page.unroute("**/migrations/**")
    expect(page.locator("#state-title")).to_contain_text("Rolled back", timeout=20_000)
    expect(page.get_by_text("Holdfast does not answer since")).to_be_hidden()


def test_a_run_that_ends_frees_the_button_and_is_in_the_history(visit: Visit) -> None:
    run = ValidationRun.objects.create(cluster=cluster(), state="running", requested_by="operator")
    page = visit(person("operator"), "/validation/")
    expect(page.get_by_text("A run is under way.")).to_be_visible()
    ValidationRun.objects.filter(pk=run.pk).update(state="finished", answer="pass", summary="All well.")
    expect(page.locator("#run-card")).to_contain_text("All well.", timeout=20_000)
    expect(page.get_by_text("A run is under way.")).to_be_hidden()
    expect(page.get_by_role("button", name="Run now")).to_be_enabled()
    expect(page.locator("section", has=page.locator("#history"))).not_to_contain_text("Running")
