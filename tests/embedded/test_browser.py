"""The browser of the journeys is real."""

import pytest
from playwright.sync_api import Page


@pytest.mark.browser
def test_a_page_is_rendered_and_its_script_runs(page: Page) -> None:
    page.set_content("<h1>one</h1><script>document.querySelector('h1').textContent = 'two'</script>")
    assert page.locator("h1").inner_text() == "two"
