"""What a person reads before Roll back and Undo is what is then done: each act has its line, and each line its act."""

from pathlib import Path

import pytest

from migrations_app.actions import running
from migrations_app.models import Migration
from migrations_app.rules.going_back import roll_back_plan, undo_plan
from migrations_app.states import State
from tests.journeys.apps import make_app
from tests.journeys.driving import Driver
from tests.journeys.git_apps import make_git_app
from tests.journeys.test_trouble import signed
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# How a line begins that promises acts of a verb.
BEGINS = {
    "claim.create": "Create claim ",
    "claim.remove": "Delete claim ",
    "flux.resume": "Resume ",
    "git.push": "Take what Deploy added out of Git",
    "volume.reserve": "Reserve the kept volume ",
    "workload.scale": "Scale ",
}


def kept(migration: Migration, lines: list[str]) -> None:
    """Compares the lines with the acts of the course that has ended."""
    done = migration.intents.filter(step=migration.run_key, state="done")
    for verb, begins in BEGINS.items():
        acts = [act for act in done if act.verb == verb]
        promised = [line for line in lines if line.startswith(begins)]
        assert len(promised) == len(acts), (verb, promised, [act.key for act in acts])
        if verb != "git.push":
            for act in acts:
                assert any(act.name in line for line in promised), (act.key, promised)
    policies = [act for act in done if act.verb == "volume.policy"]
    for act in policies:
        back = f"Set volume {act.name} back to reclaim policy {act.after['reclaim_policy']}"
        fate = "Keep the volumes of the destination" if act.after["reclaim_policy"] == "Retain" else "Let the"
        assert any(line.startswith((back, fate)) for line in lines), (act.key, lines)
    backs = [line for line in lines if line.startswith("Set volume ")]
    assert len(backs) == sum(any(act.name in line for line in backs) for act in policies)


def test_a_roll_back_that_takes_the_deploy_change_out_of_git(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.until(app.started(), State.WAITING, step="test")
    lines = roll_back_plan(migration)
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ROLLED_BACK, timeout_s=120)
    assert "git.push" in set(migration.intents.filter(step="roll-back").values_list("verb", flat=True))
    kept(migration, lines)


@pytest.mark.parametrize("step", ["copy", "deploy"])
def test_a_roll_back_outside_of_git(shared: Driver, step: str) -> None:
    app = make_app(shared)
    migration = shared.at(app.started(), step)
    lines = roll_back_plan(migration)
    running.roll_back(by=shared.operator, migration=migration)
    kept(shared.until(migration, State.ROLLED_BACK), lines)


def test_a_roll_back_within_one_namespace_asks_for_the_workload_and_leaves_git(
    shared: Driver, tmp_path: Path
) -> None:
    app = make_git_app(shared, tmp_path)
    wanted = {"destination": app.source, "names": {"data": "data-new"}, "owner": {}}
    migration = shared.until(app.started(**wanted), State.WAITING, step="deploy")
    lines = roll_back_plan(migration)
    assert any("point" in line and "data-new → data" in line for line in lines)
    before = app.git("ls-remote", "origin")
    running.roll_back(by=shared.operator, migration=migration)
    kept(shared.until(migration, State.ROLLED_BACK), lines)
    assert app.git("ls-remote", "origin") == before


def test_an_undo_after_the_release_gives_the_volume_its_policy_again(shared: Driver) -> None:
    app = make_app(shared)
    migration = shared.until(signed(app), State.RETAINED)
    lines = undo_plan(migration)
    assert any("back to reclaim policy Delete" in line for line in lines)
    running.undo(by=shared.operator, migration=migration)
    kept(shared.until(migration, State.UNDONE), lines)


def test_an_undo_of_a_stopped_release_resumes_what_it_says(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    migration = shared.approve(shared.confirm_test(app.started()))

    def removed() -> bool:
        shared.tick(migration)
        return migration.evidence.filter(kind="git-arrived").exists()

    until(removed, timeout_s=120, what="the removal in Git", every_s=0.05)
    migration = Migration.objects.get(pk=migration.pk)
    running.abort(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.ABORTED)
    lines = undo_plan(migration)
    running.undo(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.UNDONE, timeout_s=120)
    resumed = migration.intents.filter(step="undo", verb="flux.resume")
    text = " ".join(lines)
    assert all(f"Resume Kustomization {act.namespace}/{act.name}" in text for act in resumed)
    assert len(resumed) == sum(line.startswith("Resume ") for line in lines)
