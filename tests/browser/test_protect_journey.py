"""An unprotected claim is found, protected through Git, applied by Flux, probed; then it moves, its Git changes reviewed on the plan."""

import os
import subprocess
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.driving import (
    PATIENCE_MS,
    STEP_S,
    Person,
    claims_of,
    directory,
    find_claim,
    in_git,
    sign_in,
    walk_wizard,
)
from tests.browser.test_journey import pass_the_gates, trees
from tests.support.browser import ContextMaker
from tests.support.stack import Stack
from tests.support.waiting import until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("stack"),
]

PRUNE = "kustomize.toolkit.fluxcd.io/prune"
APP = """# Letters of the choir. Nobody thought of protecting them.
apiVersion: v1
kind: Namespace
metadata:
  name: letters
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: letters-data
  namespace: letters
spec:
  accessModes: [ReadWriteOnce]   # one reader at a time
  storageClassName: ceph-block
  resources:
    requests:
      storage: 1Gi
"""
FLUX = """apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: letters
  namespace: flux-system
spec:
  interval: 10s
  retryInterval: 2s
  path: ./apps/letters
  prune: true
  sourceRef:
    kind: GitRepository
    name: fleet
"""


def add_application(stack: Stack, place: Path) -> None:
    """What a team does: two files, pushed to the branch that the cluster follows."""

    def git(*arguments: str) -> None:
        who = {f"GIT_{part}_{what}": "team" for part in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **who}
        subprocess.run(["git", *arguments], cwd=place, env=environment, check=True, capture_output=True)

    git("clone", "-q", f"file://{stack.data}/sandbox/git/fleet.git", ".")
    (place / "apps/letters").mkdir(parents=True)
    (place / "apps/letters/all.yaml").write_text(APP)
    (place / "clusters/small/letters.yaml").write_text(FLUX)
    git("add", "-A")
    git("commit", "-q", "-m", "Keep the letters of the choir")
    git("push", "-q", "origin", "HEAD:main")


def find_unprotected(person: Person) -> None:
    """By the filters of the list, until the watcher has seen the new claim."""
    person.page.get_by_role("navigation", name="Main").get_by_role("link", name="Claims").click()
    person.page.select_option("#f-path", "flux_prune")
    person.page.select_option("#f-state", "unprotected")
    link = person.page.get_by_role("main").get_by_role("link", name="letters-data", exact=True)

    def seen() -> bool:
        person.press("Filter")
        person.page.wait_for_load_state("networkidle")
        return link.count() > 0

    until(seen, timeout_s=STEP_S, what="the new claim in the list", every_s=1)
    link.click()
    expect(person.page.get_by_role("heading", name="letters-data", level=1)).to_be_visible()


def move(operator: Person, approver: Person) -> None:
    """From the protected claim to its released source, with both Git changes read on the plan first."""
    stack, page = operator.stack, operator.page
    (directory(stack, claims_of(stack, "letters")["letters-data"]) / "letter").write_text("Dear choir")
    before = trees(stack, "letters", ("letters-data",))
    find_claim(operator, "letters", "letters-data")
    operator.follow("Migrate")
    reference = walk_wizard(
        operator,
        ("letters-data",),
        application="letters",
        destination="photos",
        owner="flux-system/photos",
        warm_passes=0,
    )
    operator.open(f"/migrations/{reference}/plan/")
    for sign in "+-":
        expect(page.locator(".diff").filter(has_text=f"{sign}  name: letters-data")).to_have_count(1)
    operator.open(f"/migrations/{reference}/")
    pass_the_gates(operator, approver, reference, before, "photos")
    operator.open(f"/migrations/{reference}/")
    operator.wait_for("Done, source kept")
    assert "letters-data" not in claims_of(stack, "letters")
    assert not in_git(stack, "name: letters-data", "apps/letters")


def test_an_unprotected_claim_is_found_protected_through_git_probed_and_moved(
    stack: Stack, new_context: ContextMaker, tmp_path: Path
) -> None:
    add_application(stack, tmp_path)
    operator = sign_in(new_context(), stack, "operator")
    page = operator.page
    find_unprotected(operator)

    operator.press("Make the change in Git")
    operator.wait_for("To be reviewed")
    expect(page.locator(".diff")).to_contain_text(f"+    {PRUNE}: disabled")
    assert not in_git(stack, PRUNE, "apps/letters"), "nothing is pushed before it was reviewed"
    assert Axe().run(page).response["violations"] == []

    operator.press("Commit it to main")
    operator.wait_for("Applied")
    expect(page.locator("#probe")).to_contain_text("Denied by prevent-protected-pvc-deletion")
    assert in_git(stack, f"{PRUNE}: disabled", "apps/letters")
    live = claims_of(stack, "letters")["letters-data"]
    assert live["metadata"]["annotations"][PRUNE] == "disabled"

    operator.open("/validation/")
    operator.press("Run now")
    operator.open("/validation/?check=probe&answer=pass")
    answer = page.locator("tr").filter(has_text="letters/letters-data").filter(has_text="Denied by")
    expect(answer.first).to_contain_text("prevent-protected-pvc-deletion", timeout=2 * PATIENCE_MS)
    move(operator, sign_in(new_context(), stack, "approver"))
