"""When there is a way back, and what it must not stumble over. No cluster is needed for these."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from migrations_app.models import GitMode
from migrations_app.problems import Problem
from migrations_app.rules.possible import released
from migrations_app.states import State
from tests.migrations_app.making import add_evidence, at_sign_off
from tests.support.people import person
from worker import lease as lease_module
from worker.context import Context
from worker.courses import leaving
from worker.lease import check_held, lease
from worker.outcomes import Again, Stop
from worker.steps.release import hashing

pytestmark = pytest.mark.django_db


def test_once_helm_has_let_go_there_is_no_way_back_but_undo() -> None:
    migration = at_sign_off(person("operator"), state=State.RUNNING, current_step="release")
    assert not released(migration)
    add_evidence(migration, None, "helm-let-go", {"claims": ["library"]})
    assert released(migration)


def test_roll_back_asks_git_nothing_where_deploy_changed_nothing_there() -> None:
    migration = at_sign_off(
        person("operator"),
        state=State.ROLLING_BACK,
        git_mode=GitMode.MANUAL,
        source_owner={"kind": "HelmRelease", "namespace": "media", "name": "library"},
        destination_owner={"namespace": "flux-system", "name": "photos"},
    )
    migration.runs.create(step="deploy", attempt=1, state="done")
    run = migration.runs.create(step="roll-back", attempt=1)
    assert leaving.leave(Context(migration, run, None)) is None  # type: ignore[arg-type]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A release between two claims: the first is gone, the second waits, hashed a moment ago."""
    left = SimpleNamespace(source_name="second", number=2)
    monkeypatch.setattr(hashing.stillness, "check", lambda *_: None)
    monkeypatch.setattr(hashing.stillness, "holders", lambda *_: [])
    monkeypatch.setattr(hashing, "_is_gone", lambda *_: False)
    monkeypatch.setattr(hashing.claims, "began", lambda _: True)
    monkeypatch.setattr(hashing.claims, "remaining", lambda _: [left])
    monkeypatch.setattr(hashing.claims, "with_flux", lambda *_: False)
    monkeypatch.setattr(hashing.claims, "going", lambda _: False)
    now = timezone.now().isoformat()
    memory: dict[str, Any] = {"hashed_at": now, "hash_read": True, "hash_number": 1, "still_at": now}
    migration = SimpleNamespace(source_namespace="media", source_owner={})
    return SimpleNamespace(memory=memory, transfers=[left], migration=migration)


def test_a_claim_that_is_left_is_hashed_again_when_nobody_looked_for_a_while(
    release: SimpleNamespace,
) -> None:
    assert hashing.check(release) is None  # type: ignore[arg-type]
    release.memory["still_at"] = (timezone.now() - timedelta(hours=1)).isoformat()
    assert isinstance(hashing.check(release), Again)  # type: ignore[arg-type]
    assert (release.memory["hashed_at"], release.memory["hash_number"]) == ("", 2)


def test_a_claim_that_flux_takes_between_two_reads_voids_no_signature(
    release: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def voided(*_: object) -> None:
        raise AssertionError("what was signed for is what is there")

    reads = iter([release.transfers, []])
    monkeypatch.setattr(hashing.claims, "remaining", lambda _: next(reads))
    replaced = Stop(Problem("It is another one.", "", "", code="source-replaced"))
    monkeypatch.setattr(hashing.stillness, "check", lambda *_: replaced)
    monkeypatch.setattr(hashing.signature, "void", voided)
    assert isinstance(hashing.check(release), Again)  # type: ignore[arg-type]
    # Still there and another one: that is what the check is for.
    monkeypatch.setattr(hashing.claims, "remaining", lambda _: release.transfers)
    monkeypatch.setattr(hashing.signature, "void", lambda *_: None)
    assert hashing.check(release) is replaced  # type: ignore[arg-type]


def test_the_second_claim_is_not_deleted_on_a_look_that_is_hours_old(
    release: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.memory["hashed_at"] = (timezone.now() - timedelta(hours=2)).isoformat()
    with monkeypatch.context() as first:
        # It is its turn when the first one is gone, and not hashed over and over until then.
        first.setattr(hashing.claims, "going", lambda _: True)
        assert hashing.again(release) is None  # type: ignore[arg-type]
    assert isinstance(hashing.again(release), Again)  # type: ignore[arg-type]


@pytest.mark.parametrize("rests", [False, True], ids=["the owner runs", "the owner rests"])
@pytest.mark.parametrize(
    ("git_mode", "left", "push", "hashed_again"),
    [
        (GitMode.DIRECT, ["library"], "", True),  # Git did not answer for hours: it is not pushed yet
        (GitMode.DIRECT, ["library"], "intended", True),
        (GitMode.DIRECT, ["library"], "failed", True),
        (GitMode.DIRECT, ["library"], "done", False),
        (GitMode.BRANCH, ["library"], "done", False),  # a review may take days
        (GitMode.MANUAL, ["library"], "", False),
        (GitMode.MANUAL, [], "", True),
        (GitMode.MANUAL, ["library", "dropped"], "", True),  # Holdfast deletes it
    ],
)
def test_the_look_is_young_when_the_removal_that_lets_flux_delete_is_pushed(
    monkeypatch: pytest.MonkeyPatch,
    git_mode: GitMode,
    left: list[str],
    push: str,
    hashed_again: bool,
    rests: bool,
) -> None:
    owner = {"kind": "Kustomization", "namespace": "flux-system", "name": "apps", "path": "./apps"}
    fields: dict[str, Any] = {"source_owner": owner, "git_mode": git_mode, "current_step": "release"}
    migration = at_sign_off(person("operator"), state=State.RUNNING, **fields)
    transfer = migration.transfers.get()
    verbs = {"claim.leave": "done" if left else "", "git.push": push}
    for verb, state in verbs.items():
        key = "release/git.push" if verb == "git.push" else "release/claim.leave/library"
        if state:
            migration.intents.create(key=key, step="release", verb=verb, name="library", state=state)
    if "dropped" in left:
        add_evidence(migration, transfer, "dropped-by-flux", {"claim": "library"})
    run = migration.runs.create(step="release", attempt=1)
    run.memory = {"hashed_at": (timezone.now() - timedelta(hours=2)).isoformat(), "hash_number": 1}
    monkeypatch.setattr(hashing.claims, "remaining", lambda _: [transfer])
    monkeypatch.setattr(hashing.claims, "going", lambda _: False)
    context = Context(migration, run, None)  # type: ignore[arg-type]
    monkeypatch.setattr(hashing.suspension, "rests", lambda *_: rests)
    # While the owner rests, Flux deletes nothing before Holdfast resumes it.
    assert isinstance(hashing.again(context), Again) is (hashed_again or rests)


def test_a_clock_that_was_set_back_does_not_keep_a_look_at_the_source_young(
    release: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing.claims, "began", lambda _: False)
    assert hashing.again(release) is None  # type: ignore[arg-type]
    release.memory["hashed_at"] = (timezone.now() + timedelta(hours=1)).isoformat()
    assert isinstance(hashing.again(release), Again)  # type: ignore[arg-type]


def test_a_worker_whose_clock_runs_ahead_takes_no_lease_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    migration = at_sign_off(person("operator"))
    with lease(migration.pk) as mine:
        assert mine is not None
        ahead = timezone.now() + timedelta(minutes=10)
        monkeypatch.setattr(lease_module.timezone, "now", lambda: ahead)
        with lease(migration.pk) as other:
            assert other is None
        check_held(mine)
