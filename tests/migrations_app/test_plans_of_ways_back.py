"""The lines before Roll back, Undo and Abort, where no cluster is needed: each only where the course would do it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.models import GitRepository
from dashboard.states import PushPolicy
from migrations_app.models import GitMode, Migration, ReleasePath
from migrations_app.rules.going_back import abort_plan, roll_back_plan, undo_plan
from migrations_app.states import State
from tests.migrations_app.making import add_evidence, at_sign_off
from tests.support.people import person

pytestmark = pytest.mark.django_db
IN_GIT: dict[str, Any] = {
    "git_mode": GitMode.DIRECT,
    "source_owner": {"kind": "Kustomization", "namespace": "flux-system", "name": "media"},
    "destination_owner": {"namespace": "flux-system", "name": "photos"},
}


def deployed(**fields: Any) -> Migration:
    migration = at_sign_off(person("operator"))
    for name, value in {**IN_GIT, **fields}.items():
        setattr(migration, name, value)
    migration.runs.create(step="deploy", attempt=1, state="done")
    return migration


def intent(migration: Migration, key: str, verb: str, kind: str, name: str, **before: Any) -> None:
    migration.intents.create(
        step=key.split("/")[0],
        key=key,
        verb=verb,
        kind=kind,
        namespace="media",
        name=name,
        before=before,
        state="done",
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Take the Deploy change, where somebody made it, out of Git, and wait"),
        ({"git_mode": GitMode.BRANCH}, "by a branch that you merge"),
        ({"git_mode": GitMode.MANUAL}, "Wait until you have taken the Deploy change out of Git"),
        ({"git_mode": GitMode.NONE}, "Wait until you have stopped"),
        ({"destination_owner": {}}, "Wait until you have stopped"),
        ({"source_owner": {"kind": "HelmRelease", "namespace": "media", "name": "x"}}, "Wait until you have stopped"),
        ({"destination_namespace": "media"}, "Wait until you have pointed the workload back"),
    ],
    ids=str,
)  # fmt: skip
def test_roll_back_promises_to_change_git_only_where_it_does(fields: dict[str, Any], says: str) -> None:
    text = " ".join(roll_back_plan(deployed(**fields)))
    assert says in text
    assert ("out of Git" in text) is ("out of Git" in says or "branch" in says)


def test_roll_back_says_what_it_suspends_and_that_it_may_not_push() -> None:
    migration = deployed(
        source_owner={**IN_GIT["source_owner"], "source_namespace": "flux-system", "source_name": "fleet"}
    )
    row = GitRepository.objects.create(
        cluster=migration.cluster,
        name="fleet",
        url="https://git.example.com/fleet.git",
        source_namespace="flux-system",
        source_name="fleet",
        push_policy=PushPolicy.DIRECT,
    )
    text = " ".join(roll_back_plan(migration))
    assert "suspend Kustomization flux-system/photos" in text and "does not allow" not in text
    GitRepository.objects.filter(pk=row.pk).update(push_policy=PushPolicy.BRANCH)
    text = " ".join(roll_back_plan(migration))
    assert "Repository fleet does not allow" in text and "asks you to take it out" in text


def test_roll_back_does_not_promise_to_delete_a_staging_claim_that_is_gone() -> None:
    migration = deployed()
    intent(migration, "stage/claim.create/a", "claim.create", "PersistentVolumeClaim", "a-staging")
    intent(migration, "stage/claim.create/b", "claim.create", "PersistentVolumeClaim", "b-staging")
    intent(migration, "hand-over/claim.delete/a", "staging.delete", "PersistentVolumeClaim", "a-staging")
    text = " ".join(roll_back_plan(migration))
    assert "media/b-staging" in text and "media/a-staging" not in text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "The application stops in photos. What was written there since 2026-03-01 09:30 UTC will not be in media"),
        ({"destination_namespace": "media"}, "written to the destination claims since 2026-03-01 09:30 UTC will not be in the source"),
    ],
    ids=str,
)  # fmt: skip
def test_roll_back_says_what_will_be_missing_in_the_source(fields: dict[str, Any], says: str) -> None:
    migration = deployed(**fields)
    migration.runs.filter(step="deploy").update(started_at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC))
    migration.runs.create(step="deploy", attempt=2)
    assert says in " ".join(roll_back_plan(migration))
    migration.runs.filter(step="deploy").delete()
    assert "will not be in" not in " ".join(roll_back_plan(migration))


def test_undo_names_the_policy_and_the_owner_that_a_stopped_release_left() -> None:
    migration = deployed(state=State.ABORTED, current_step="release", release_path=ReleasePath.COMMITS)
    intent(
        migration,
        "release/retain/pv-source",
        "volume.retain",
        "PersistentVolume",
        "pv-source",
        reclaim_policy="Delete",
    )
    intent(
        migration, "quiesce/suspend/Kustomization/flux-system/media", "flux.suspend", "Kustomization", "media"
    )
    intent(migration, "quiesce/suspend/CronJob/media/nightly", "cronjob.suspend", "CronJob", "nightly")
    text = " ".join(undo_plan(migration))
    assert (
        "Set volume pv-source back to reclaim policy Delete" in text and "unless Git still lets Flux" in text
    )
    assert "Resume Kustomization media/media, if Git does not declare" in text and "nightly" not in text
    assert "where it is still there" in text
    add_evidence(migration, None, "released", {})
    text = " ".join(undo_plan(migration))
    assert "Reserve the kept volume pv-source" in text and "unless" not in text


def test_abort_says_that_it_is_final_and_what_is_left() -> None:
    migration = deployed()
    assert "for good" in abort_plan(migration)[-1] and "Roll back" in abort_plan(migration)[-1]
    add_evidence(migration, None, "claim-vanished", {})
    assert "Undo" in abort_plan(migration)[-1]
