"""What an admin allows for a repository binds every migration, also when it changes after the plan."""

from pathlib import Path

from dashboard.models import GitRepository
from dashboard.states import PushPolicy
from migrations_app.actions import running
from migrations_app.states import State
from tests.journeys.driving import Driver
from tests.journeys.git_apps import make_git_app
from tests.journeys.test_refusals import checks


def test_holdfast_pushes_no_more_than_the_repository_allows(shared: Driver, tmp_path: Path) -> None:
    app = make_git_app(shared, tmp_path)
    row = GitRepository.objects.filter(name=f"fleet-{app.tag}")
    for policy in (PushPolicy.BRANCH, PushPolicy.DOWNLOAD):
        row.update(push_policy=policy)
        assert f"At most: {policy.label.lower()}" in checks(app.checked(), "stop")["git-changes"]
    row.update(push_policy=PushPolicy.DIRECT)
    migration = shared.at(app.started(), "deploy")

    # Lowered after the plan: nothing is pushed, and the change is there for a person to apply.
    before = app.git("ls-remote", "origin")
    row.update(push_policy=PushPolicy.BRANCH)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and app.destination in migration.problem["command"]
    assert "does not allow" in migration.problem["happened"]

    # Pointed at a branch that Flux does not follow: a commit there would be for nobody, and was not reviewed.
    app.git("push", "-q", "origin", "HEAD:refs/heads/next")
    before = app.git("ls-remote", "origin")
    row.update(push_policy=PushPolicy.DIRECT, branch="next")
    running.retry(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.FAILED)
    assert migration.problem is not None and "follows the branch main" in migration.problem["happened"]
    assert app.git("ls-remote", "origin") == before
    assert not migration.intents.filter(verb="git.push").exists()

    row.update(branch="main")
    running.retry(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.WAITING, step="test")

    # Roll back is bound as well, and goes on when a person has done it.
    row.update(push_policy=PushPolicy.DOWNLOAD)
    before = app.git("ls-remote", "origin")
    running.roll_back(by=shared.operator, migration=migration)
    migration = shared.until(migration, State.FAILED)
    assert app.git("ls-remote", "origin") == before
    app.revert_last()
    running.retry(by=shared.operator, migration=migration)
    assert shared.until(migration, State.ROLLED_BACK).state == State.ROLLED_BACK
