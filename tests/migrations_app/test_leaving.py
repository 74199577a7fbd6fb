"""When the destination may be kept still instead of waiting for Git, or for who may change it. The cluster has a Kustomization."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from cluster.flux import Kustomization
from cluster.values import Ref
from gitops.errors import GitOpsError, PushRejected, RepositoryUnavailable
from migrations_app.models import GitMode
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker import suspension
from worker.context import Context
from worker.courses import leaving
from worker.gitside import Arrival, NotAllowed
from worker.outcomes import Again, Wait

pytestmark = pytest.mark.django_db
OWNER = {"kind": "Kustomization", "namespace": "flux-system", "name": "photos", "path": "./photos"}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    """Deploy pushed its change, and Git does not answer."""
    migration = at_sign_off(
        person("operator"),
        state=State.ROLLING_BACK,
        git_mode=GitMode.DIRECT,
        source_owner={**OWNER, "name": "media"},
        destination_owner=OWNER,
        lease_token="mine",
        lease_until=timezone.now() + timedelta(minutes=5),
    )
    migration.runs.create(step="deploy", attempt=1, state="done")
    migration.intents.create(key="deploy/git.push", step="deploy", verb="git.push", state="done")
    run = migration.runs.create(step="roll-back", attempt=1)

    def away(*_: Any) -> None:
        raise RepositoryUnavailable("git fetch failed")

    monkeypatch.setattr(leaving.gitside, "arrival", away)
    monkeypatch.setattr(leaving.facts, "parents_of", lambda *_: [])
    cluster: Any = SimpleNamespace(get_kustomization=lambda *_: kustomization())
    return Context(migration, run, cluster)


def kustomization(**fields: Any) -> Kustomization:
    api = "kustomize.toolkit.fluxcd.io/v1"
    return Kustomization(ref=Ref(api, "Kustomization", "flux-system", "photos", "uid-k"), **fields)


def test_git_is_put_off_where_a_suspension_keeps_the_destination_still(context: Context) -> None:
    assert isinstance(leaving.leave(context), Again)
    assert context.memory["git_later"] is True
    mark = {suspension.MARK: f"{context.migration.reference}.2"}
    ours = kustomization(suspended=True, generation=2, annotations=mark)
    context.cluster.get_kustomization = lambda *_: ours  # type: ignore[method-assign]
    assert leaving.leave(context) is None
    # Somebody suspended it anew: it is theirs, and they may resume it at any moment.
    context.cluster.get_kustomization = lambda *_: kustomization(suspended=True)  # type: ignore[method-assign]
    assert isinstance(leaving.leave(context), Again)
    assert context.memory["git_later"] is False
    with pytest.raises(RepositoryUnavailable):
        leaving.leave(context)


def test_git_is_waited_for_where_a_parent_would_lift_the_suspension(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving.facts, "parents_of", lambda *_: [OWNER])
    with pytest.raises(RepositoryUnavailable):
        leaving.leave(context)


def test_git_is_waited_for_where_flux_holds_the_application(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "_held", lambda _: True)
    with pytest.raises(RepositoryUnavailable):
        leaving.leave(context)


@pytest.fixture(params=["policy", "server"])
def refused(context: Context, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Context:
    """Git can be read, and holds the Deploy change, but takes nothing from us."""

    def refuse(*_: Any) -> None:
        if request.param == "policy":
            raise NotAllowed("Not this way.", next_step="Ask an admin.")
        raise PushRejected("protected branch")

    held = Arrival(in_branch=False, in_artifact=False, head="abc", artifact="abc")
    monkeypatch.setattr(leaving.gitside, "arrival", lambda *_: held)
    monkeypatch.setattr(leaving.gitside, "push", refuse)
    return context


def test_who_may_change_git_is_not_waited_for_with_the_application_down(refused: Context) -> None:
    assert isinstance(leaving.leave(refused), Again)
    assert refused.memory["git_later"] is True
    mark = {suspension.MARK: f"{refused.migration.reference}.2"}
    ours = kustomization(suspended=True, generation=2, annotations=mark)
    refused.cluster.get_kustomization = lambda *_: ours  # type: ignore[method-assign]
    assert leaving.leave(refused) is None, "the application is started in the source"
    # Asked for afterwards, with what must not be done meanwhile.
    with pytest.raises(GitOpsError) as caught:
        leaving.settle(refused)
    assert "Leave Kustomization flux-system/photos suspended" in caught.value.safe


def test_who_may_change_git_is_waited_for_where_the_application_runs_in_the_destination(
    refused: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "_held", lambda _: True)
    with pytest.raises(GitOpsError):
        leaving.leave(refused)
    assert "git_later" not in refused.memory


def test_a_change_made_by_hand_is_waited_for_as_before(refused: Context) -> None:
    refused.migration.git_mode = GitMode.MANUAL
    assert isinstance(leaving.leave(refused), Wait)
