"""A real browser for journeys: Debian's Chromium under playwright, or a loud skip where there is none."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

RESULTS = Path(__file__).parents[2] / "test-results"
NO_BROWSER = "no Chromium was found (HOLDFAST_CHROMIUM names one): the browser journeys did not run"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def executable() -> str | None:
    """The Chromium to drive, or None."""
    named = os.environ.get("HOLDFAST_CHROMIUM")
    if named:
        return named
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def required() -> bool:
    return os.environ.get("HOLDFAST_REQUIRE_BROWSER", "") not in {"", "0"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module. Not for longer: while playwright runs, nothing else in this thread may run an event loop."""
    found = executable()
    if found is None:
        if required():
            pytest.fail(f"HOLDFAST_REQUIRE_BROWSER is set and {NO_BROWSER}")
        pytest.skip(NO_BROWSER)
    # Playwright's loop runs in this thread; Django would take every query for one made inside of it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def new_context(browser: Browser, request: pytest.FixtureRequest) -> Iterator["ContextMaker"]:
    """Makes browser contexts: one a person, so that two can be signed in at once. Screenshots of a failure go to test-results/."""
    maker = ContextMaker(browser)
    yield maker
    if request.node.stash.get(failed, False):
        maker.take_screenshots(request.node.name)
    for context in maker.made:
        context.close()


class ContextMaker:
    """`new_context(java_script_enabled=False, color_scheme="dark", viewport=...)`: options as playwright names them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.made: list[BrowserContext] = []

    def __call__(self, **options: object) -> BrowserContext:
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        self.made.append(context)
        return context

    def take_screenshots(self, test: str) -> None:
        RESULTS.mkdir(exist_ok=True)
        pages = [page for context in self.made for page in context.pages]
        for number, page in enumerate(pages, 1):
            name = "".join(letter if letter.isalnum() else "-" for letter in test)[:100]
            page.screenshot(path=RESULTS / f"{name}-{number}.png", full_page=True)


@pytest.fixture
def page(new_context: ContextMaker) -> Page:
    """One page of one signed-out person."""
    return new_context().new_page()


failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call" and report.failed:
        item.stash[failed] = True
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A journey that was left out is said in large letters, not only counted."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("BROWSER JOURNEYS LEFT OUT", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests: {NO_BROWSER}.", red=True)
