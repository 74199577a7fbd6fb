"""The wizard's Options page offers what can be done."""

import pytest
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from dashboard.models import GitOpsFact, GitRepository
from dashboard.states import PushPolicy
from migrations_app.actions import drafting
from migrations_app.models import GitMode, Migration
from migrations_app.problems import Refused
from tests.pages.conftest import SignedIn
from tests.pages.making import claim, cluster, draft

pytestmark = pytest.mark.django_db

FIELDS = {
    "warm_passes": "1",
    "retention_days": "7",
    "git_mode": "manual",
    "release_path": "orphan",
    "bandwidth": "",
    "iops": "",
    "test_note": "",
}


def in_git(policy: PushPolicy) -> Migration:
    """A draft of a claim that a Kustomization applies from a repository with this policy."""
    claim("library", owner_namespace="flux-system", owner_name="media")
    GitOpsFact.objects.create(
        cluster=cluster(),
        kind="Kustomization",
        uid="uid-kustomization",
        namespace="flux-system",
        name="media",
        source_kind="GitRepository",
        source_name="fleet",
        seen_at=timezone.now(),
    )
    GitRepository.objects.create(
        cluster=cluster(),
        name="fleet",
        url="https://git.example/fleet.git",
        source_namespace="flux-system",
        source_name="fleet",
        push_policy=policy,
    )
    # Another one, that declares none of the claims, allows more.
    GitRepository.objects.create(
        cluster=cluster(), name="other", url="https://git.example/o.git", push_policy=PushPolicy.DIRECT
    )
    return draft(User.objects.get(username="operator"))


@pytest.mark.parametrize(
    ("policy", "offered", "likely"),
    [
        (PushPolicy.DIRECT, {"direct", "branch", "manual", "none"}, "direct"),
        (PushPolicy.BRANCH, {"branch", "manual", "none"}, "branch"),
        (PushPolicy.DOWNLOAD, {"manual", "none"}, "manual"),
    ],
)
def test_only_what_the_repository_allows_is_offered_and_taken(
    signed_in: SignedIn, policy: PushPolicy, offered: set[str], likely: str
) -> None:
    client = signed_in("operator")
    migration = in_git(policy)
    path = f"/migrations/{migration.reference}/draft/options/"
    field = client.get(path).context["form"]["git_mode"]
    assert {value for value, _ in field.field.choices} == offered and field.value() == likely
    for mode in set(GitMode.values) - offered:
        answer = client.post(path, {**FIELDS, "git_mode": mode})
        assert answer.status_code == 422 and b"does not allow" in answer.content
        with pytest.raises(Refused, match="fleet does not allow"):
            drafting.set_options(
                by=User.objects.get(username="operator"),
                migration=migration,
                warm_passes=1,
                retention_days=7,
                pause_before_quiesce=False,
                git_mode=GitMode(mode),
                test_note="",
                limits={},
            )
    assert not Event.objects.filter(verb="migration.edit").exists()


def test_a_choice_that_is_allowed_no_longer_is_not_shown_as_chosen(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    migration = in_git(PushPolicy.DIRECT)
    Migration.objects.update(git_mode=GitMode.DIRECT, version=3)
    GitRepository.objects.update(push_policy=PushPolicy.BRANCH)
    page = client.get(f"/migrations/{migration.reference}/draft/options/")
    assert page.context["form"]["git_mode"].value() == "branch"


@pytest.mark.parametrize(
    ("typed", "kept"), [("50", None), ("50000 B", None), ("256Ki", 256 * 1024), ("1Mi", 1024**2), ("", None)]
)
def test_a_bandwidth_without_its_unit_is_not_taken_for_bytes(
    signed_in: SignedIn, typed: str, kept: int | None
) -> None:
    client = signed_in("operator")
    migration = draft(User.objects.get(username="operator"))
    fields = {**FIELDS, "git_mode": "none", "bandwidth": typed}
    answer = client.post(f"/migrations/{migration.reference}/draft/options/", fields)
    if typed and kept is None:
        assert answer.status_code == 422 and f"{typed} means" in answer.content.decode()
    assert Migration.objects.get().limits.get("bandwidth") == kept
