"""What a person does in a browser, against the whole demo: sign in, walk the wizard, wait for a step, press a button."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Error, Page, expect

from tests.support.stack import Stack
from tests.support.waiting import until

# The suite shares its machine with other programs: waits are long, and end as soon as what they wait for is there.
PATIENCE_MS = 60_000
STEP_S = 150


@dataclass(frozen=True)
class Person:
    """One signed-in person with a page of their own."""

    page: Page
    stack: Stack
    script: bool = True

    def open(self, path: str) -> None:
        self.page.goto(f"{self.stack.url.rstrip('/')}{path}")

    def press(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()

    def wait_for(self, text: str, *, inside: str = "#state-title", timeout_s: float = STEP_S) -> None:
        """Until `inside` says `text`. With JavaScript the page changes by itself; without, one looks again."""
        if self.script:
            expect(self.page.locator(inside)).to_contain_text(text, timeout=timeout_s * 1000)
            return

        def look() -> bool:
            try:
                self.page.wait_for_load_state()
                if text in self.page.locator(inside).inner_text():
                    return True
                self.page.goto(self.page.url)
            except Error as error:  # the page was on its way to another one, or reloaded itself just then
                raise AssertionError(str(error)) from None
            return False

        until(look, timeout_s=timeout_s, what=text, every_s=1)


def sign_in(context: BrowserContext, stack: Stack, role: str, *, script: bool = True) -> Person:
    context.set_default_timeout(PATIENCE_MS)
    context.set_default_navigation_timeout(PATIENCE_MS)
    username, password = stack.sign_in(role)
    person = Person(context.new_page(), stack, script)
    person.open("/sign-in/")
    person.page.fill("#id_username", username)
    person.page.fill("#id_password", password)
    person.press("Sign in")
    expect(person.page.get_by_role("heading", name="Overview", level=1)).to_be_visible(timeout=PATIENCE_MS)
    return person


def find_claim(person: Person, namespace: str, name: str) -> None:
    """From the overview to one claim, by searching for it; waits until the watcher has seen it."""
    person.page.get_by_role("navigation", name="Main").get_by_role("link", name="Claims").click()
    person.page.fill("#q", f"{namespace} {name}")
    person.press("Filter")
    person.wait_for(name, inside="#claims")
    person.follow(name)
    expect(person.page.get_by_role("heading", name=name, level=1)).to_be_visible()


def walk_wizard(
    person: Person,
    claims: Iterable[str],
    *,
    application: str,
    destination: str,
    owner: str,
    warm_passes: int = 1,
    bandwidth: str = "",
) -> str:
    """From the page of New migration to the started migration; its reference."""
    page = person.page
    for box in page.locator("input[name=claims]").all():
        box.set_checked(box.get_attribute("value") in set(claims))
    page.fill("#application", application)
    person.press("Continue to the destination")
    page.fill("#id_namespace", destination)
    page.select_option("#id_owner", owner)
    person.press("Save and continue")
    page.fill("#id_warm_passes", str(warm_passes))
    if bandwidth:
        page.get_by_text("Limits of the movers").click()
        page.fill("#id_bandwidth", bandwidth)
    page.fill("#id_test_note", "Open it and look at the newest entry.")
    person.press("Save and run the checks")
    person.wait_for("Nothing stands in the way", inside="#checks")
    person.follow("Review the plan")
    expect(page.locator(".diff").first).to_be_visible()
    person.press("Start")
    expect(page.locator("#state-title")).to_be_visible()
    return page.url.rstrip("/").rsplit("/", 1)[-1]


def kubectl(stack: Stack, *arguments: str) -> str:
    command = ["kubectl", "--kubeconfig", str(stack.kubeconfig), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def claims_of(stack: Stack, namespace: str) -> dict[str, dict[str, Any]]:
    """Name → PersistentVolumeClaim, as the cluster has it now."""
    items = json.loads(kubectl(stack, "get", "pvc", "-n", namespace, "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}


def directory(stack: Stack, claim: dict[str, Any]) -> Path:
    """Where the bytes of a bound claim are."""
    return stack.data / "sandbox" / "volumes" / str(claim["spec"]["volumeName"])


def in_git(stack: Stack, text: str, path: str) -> bool:
    """Does a file below `path` of the repository's main branch mention `text` now?"""
    repository = stack.data / "sandbox" / "git" / "fleet.git"
    command = ["git", "-C", str(repository), "grep", "-q", "-F", "-e", text, "main", "--", path]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
