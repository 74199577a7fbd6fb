"""What Undo says at its end of Git: a command that really finds the commits of Release, and only those."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.client import Cluster
from gitops.errors import RepositoryUnavailable
from gitops.repository import _message
from migrations_app.models import GitMode, Migration
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.context import Context
from worker.courses import undo
from worker.outcomes import Done, Stop

pytestmark = pytest.mark.django_db
OWNER = {"kind": "Kustomization", "namespace": "flux-system", "name": "media"}


def ended(left: str = "", **fields: Any) -> tuple[Migration, str]:
    migration = at_sign_off(person("operator"), state=State.UNDOING, course="undo")
    for name, value in {"git_mode": GitMode.DIRECT, "source_owner": OWNER, **fields}.items():
        setattr(migration, name, value)
    run = migration.runs.create(step="undo", attempt=1, memory={"left": left} if left else {})
    outcome = undo._finish(Context(migration, run, cast("Cluster", None)))
    assert isinstance(outcome, Done)
    return migration, outcome.message


def test_the_command_reverts_what_release_did_and_leaves_deploy(tmp_path: Path) -> None:
    migration, said = ended()

    def git(*words: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=n@example.com"]
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout

    git("init", "-q")
    other = "m-0other"
    pushed = [
        (migration.reference, "deploy"), (migration.reference, "exempt"), (other, "release"), (migration.reference, "release"),
    ]  # fmt: skip
    for number, (reference, key) in enumerate(pushed):
        (tmp_path / f"{number}-{key}").write_text("declared")
        git("add", ".")
        git("commit", "-qm", _message(f"Change {key}", reference, key))
    found = re.search(r"git revert (\$\(git log .*?\$'\))\.", said)
    assert found is not None, said
    subprocess.run(
        ["sh", "-ec", f"git -c user.name=n -c user.email=n@example.com revert --no-edit {found[1]}"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert sorted(path.name for path in tmp_path.glob("[0-9]*")) == ["0-deploy", "2-release"]


@pytest.mark.parametrize(
    ("fields", "says", "starts"),
    [
        ({}, "git revert", True),
        ({"git_mode": GitMode.BRANCH}, "git revert", True),
        ({"git_mode": GitMode.MANUAL}, "with which you applied", True),
        ({"destination_namespace": "media"}, "git revert", False),
        ({"git_mode": GitMode.NONE}, "", False),
        ({"source_owner": {"kind": "HelmRelease", "namespace": "media", "name": "x"}}, "", False),
        ({"left": "They are protected, and Git declares them."}, "", False),
    ],
    ids=str,
)
def test_the_way_on_fits_how_git_was_changed(fields: dict[str, Any], says: str, starts: bool) -> None:
    _, said = ended(**fields)
    assert ("To declare them again" in said) is bool(says) and says in said
    assert ("take it out of photos first" in said) is starts


@pytest.mark.parametrize("is_there", [False, True])
def test_a_volume_that_is_lost_is_said_also_while_git_is_away(
    monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """Otherwise nobody could close it as it is, and the claims would be held for as long as Git is away."""

    def away(_: Context) -> None:
        raise RepositoryUnavailable("No answer.")

    migration = at_sign_off(person("operator"), state=State.UNDOING, course="undo")
    transfer = migration.transfers.get()
    volume = SimpleNamespace(uid=transfer.source_volume_uid) if is_there else None
    cluster = cast("Cluster", SimpleNamespace(get_volume=lambda _: volume))
    context = Context(migration, migration.runs.create(step="undo", attempt=1), cluster)
    monkeypatch.setattr(undo.movers, "remove_every", lambda _: None)
    monkeypatch.setattr(undo, "_rebuild", lambda *_: None)
    monkeypatch.setattr(undo, "_settle_git", away)
    if is_there:
        with pytest.raises(RepositoryUnavailable):
            undo.tick(context)
    else:
        outcome = undo.tick(context)
        assert isinstance(outcome, Stop) and outcome.problem.code == "volume-lost"
