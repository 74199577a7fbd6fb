"""The pages of protecting a claim: what they offer to whom, and what they say. Rows alone; the worker is not asked."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from dashboard import protecting
from dashboard.models import Claim, Cluster, GitRepository, ProtectionChange
from dashboard.protecting_states import IN_GIT, ChangeState, How
from dashboard.states import Drift, Enforcement, Owner, Protection
from tests.migrations_app.making import at_sign_off
from tests.support.people import person

pytestmark = pytest.mark.django_db

DIFF = "--- a/apps/data.yaml\n+++ b/apps/data.yaml\n@@ -1 +1,2 @@\n a: b\n+c: d\n"


@pytest.fixture
def cluster() -> Cluster:
    row = Cluster.objects.create(name="production")
    GitRepository.objects.create(cluster=row, name="fleet", url="https://git.example.com/fleet.git")
    return row


def a_claim(cluster: Cluster, **fields: Any) -> Claim:
    values = {
        "uid": "u-1",
        "namespace": "media",
        "name": "data",
        "owner_kind": Owner.KUSTOMIZATION,
        "owner_namespace": "flux-system",
        "owner_name": "apps",
        "flux_prune": Protection.UNPROTECTED,
        "kubectl_delete": Protection.UNPROTECTED,
        "weakest": Protection.UNPROTECTED,
        "seen_at": timezone.now(),
    }
    return Claim.objects.create(cluster=cluster, **{**values, **fields})


def a_change(claim: Claim, **fields: Any) -> ProtectionChange:
    values = {
        "cluster": claim.cluster,
        "claim": claim,
        "namespace": claim.namespace,
        "name": claim.name,
        "uid": claim.uid,
        "by_name": "operator",
    }
    return ProtectionChange.objects.create(**{**values, **fields})


def ready(claim: Claim) -> ProtectionChange:
    return a_change(
        claim, state=ChangeState.READY, diff=DIFF, effect="e" * 64, repository_name="fleet", summary="Protect"
    )


def signed_in(role: str, *namespaces: str) -> Client:
    browser = Client()
    browser.force_login(person(role, *namespaces))
    return browser


def test_an_operator_asks_reviews_and_approves(cluster: Cluster) -> None:
    claim = a_claim(cluster)
    browser = signed_in("operator")
    page = browser.get("/claims/production/media/data/").content.decode()
    assert "Make the change in Git" in page
    answer = browser.post("/claims/production/media/data/protect/", {"how": "auto"})
    change = ProtectionChange.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, change.get_absolute_url())
    assert "Being made" in browser.get(change.get_absolute_url()).content.decode()

    ProtectionChange.objects.update(
        state=ChangeState.READY, diff=DIFF, effect="e" * 64, repository_name="fleet"
    )
    page = browser.get(change.get_absolute_url()).content.decode()
    assert "+c: d" in page
    assert "Push a branch for review" in page
    assert "Commit it to" not in page, "the repository's policy is to push branches"
    assert "effect" in page
    browser.post(f"{change.get_absolute_url()}push/", {"way": "branch", "effect": "of another page"})
    change.refresh_from_db()
    assert change.state == ChangeState.READY
    browser.post(f"{change.get_absolute_url()}push/", {"way": "branch", "effect": "e" * 64})
    change.refresh_from_db()
    assert (change.state, change.way, change.approved_by_name) == ("approved", "branch", "operator")
    assert list(Event.objects.filter(key=claim.key).order_by("sequence").values_list("verb", flat=True)) == [
        "protection.request",
        "protection.approve",
    ]


def test_a_viewer_sees_the_change_and_no_button_that_works(cluster: Cluster) -> None:
    change = ready(a_claim(cluster))
    browser = signed_in("viewer")
    page = browser.get(change.get_absolute_url()).content.decode()
    assert "+c: d" in page
    assert "Push a branch" not in page
    assert "you need the role operator" in page
    assert "disabled" in browser.get("/claims/production/media/data/").content.decode()
    assert browser.get(f"{change.get_absolute_url()}patch/").content.decode() == DIFF
    for url in (
        "/claims/production/media/data/protect/",
        f"{change.get_absolute_url()}push/",
        f"{change.get_absolute_url()}withdraw/",
    ):
        assert browser.post(url, {"way": "branch", "effect": "e" * 64}).status_code == 403
    change.refresh_from_db()
    assert change.state == ChangeState.READY


def test_changes_of_other_namespaces_do_not_exist(cluster: Cluster) -> None:
    change = ready(a_claim(cluster))
    browser = signed_in("operator", "elsewhere")
    for end in ("", "patch/"):
        assert browser.get(f"{change.get_absolute_url()}{end}").status_code == 404
    for end in ("push/", "withdraw/"):
        answer = browser.post(f"{change.get_absolute_url()}{end}", {"way": "branch", "effect": "e" * 64})
        assert answer.status_code == 404
    assert browser.post("/claims/production/media/data/protect/", {"how": "live"}).status_code == 404
    assert not Event.objects.filter(kind="claim").exists()


def test_a_poll_gets_the_part_and_an_ended_change_is_not_polled(cluster: Cluster) -> None:
    claim = a_claim(cluster)
    change = ready(claim)
    browser = signed_in("operator")
    part = browser.get(change.get_absolute_url(), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "data-poll" in part
    problem = {"happened": "It is encrypted.", "safe": "Nothing.", "next": "", "by_hand": "sops edit x"}
    ProtectionChange.objects.update(state=ChangeState.REFUSED, problem=problem)
    page = browser.get(change.get_absolute_url()).content.decode()
    assert "data-poll" not in page
    assert "It is encrypted." in page
    assert "sops edit x" in page


@pytest.mark.parametrize(
    ("owner", "hows", "words"),
    [
        (Owner.KUSTOMIZATION, IN_GIT, ""),
        (Owner.HELM_RELEASE, (How.RELEASE,), ""),
        (Owner.HELM, (), "post-renderer"),
        (Owner.STATEFUL_SET, (), "from a template"),
        (Owner.OPERATOR, (), "retention setting"),
        (Owner.NOBODY, (), "Nobody declares this claim"),
    ],
)
def test_the_help_fits_who_makes_the_claim(
    cluster: Cluster, owner: Owner, hows: tuple[How, ...], words: str
) -> None:
    claim = a_claim(cluster, owner_kind=owner)
    found = protecting.help_for(claim, person("operator"))
    assert found.hows == hows
    assert words in found.advice
    assert found.stopgap
    if not hows:
        browser = Client()
        browser.force_login(person("operator", name="second"))
        browser.post("/claims/production/media/data/protect/", {"how": "auto"})
        assert not ProtectionChange.objects.exists()


def test_what_git_protects_already_is_not_written_twice(cluster: Cluster) -> None:
    claim = a_claim(cluster, drift=Drift.GIT_ONLY, drift_fact="Protected in x.")
    found = protecting.help_for(claim, person("operator"))
    assert found.hows == ()
    assert "not applied" in found.advice


def test_drift_is_on_the_overview_and_leads_to_exactly_those_claims(cluster: Cluster) -> None:
    a_claim(cluster, drift=Drift.CLUSTER_ONLY, name="annotated", uid="u-2")
    a_claim(cluster, drift=Drift.NONE)
    browser = signed_in("viewer")
    assert "?drift=cluster-only" in browser.get("/").content.decode()
    page = browser.get("/claims/?drift=cluster-only").content.decode()
    assert "annotated" in page
    assert "/claims/production/media/data/" not in page


@pytest.mark.parametrize(
    ("state", "tone"),
    [
        (Enforcement.ENGINE_ABSENT, "danger"),
        (Enforcement.NO_POLICY, "danger"),
        (Enforcement.AUDIT_ONLY, "danger"),
        (Enforcement.FAILING_OPEN, "attention"),
        (Enforcement.ENFORCED, "good"),
    ],
)
def test_a_policy_without_its_engine_is_red_on_the_overview(
    cluster: Cluster, state: Enforcement, tone: str
) -> None:
    Cluster.objects.update(enforcement=state, enforcement_fact="Policy keep is expected to deny.")
    page = signed_in("viewer").get("/").content.decode()
    badge = page[: page.index(f"{state.label}</span>")].rsplit("<span", 1)[1]
    assert f"tone-{tone}" in badge
    assert "Policy keep is expected to deny." in page


def test_a_withdrawn_branch_is_not_said_to_be_out_of_git(cluster: Cluster) -> None:
    claim = a_claim(cluster)
    browser = signed_in("operator")
    pushed = a_change(claim, state=ChangeState.PUSHED, branch="holdfast/protect-data")
    page = browser.post(f"{pushed.get_absolute_url()}withdraw/", follow=True).content.decode()
    assert "Nothing of it is in the branch" not in page
    assert "holdfast/protect-data" in page and "Whether somebody merged it since was not looked at" in page
    made = ready(claim)
    page = browser.post(f"{made.get_absolute_url()}withdraw/", follow=True).content.decode()
    assert "Holdfast pushed nothing of it." in page


def test_both_claims_of_a_move_within_a_namespace_are_held(cluster: Cluster) -> None:
    migration = at_sign_off(person("admin"))
    migration.cluster, migration.destination_namespace = cluster, "media"
    migration.save(update_fields=["cluster", "destination_namespace"])
    migration.transfers.update(source_name="data", destination_name="data-2")
    browser = signed_in("operator")
    for number, name in enumerate(("data", "data-2", "other")):
        a_claim(cluster, name=name, uid=f"u-{number}")
        page = browser.get(f"/claims/production/media/{name}/").content.decode()
        held = f"Migration {migration.reference} holds the claim" in page
        assert held == (name != "other"), name
        browser.post(f"/claims/production/media/{name}/protect/", {"how": "auto"}, follow=True)
        assert ProtectionChange.objects.filter(name=name).exists() != held, name


def test_a_commit_names_the_branch_that_it_goes_to(cluster: Cluster) -> None:
    a_claim(cluster)
    browser = signed_in("operator")
    browser.post("/claims/production/media/data/protect/", {"how": "auto"})
    ProtectionChange.objects.update(
        state=ChangeState.READY, diff=DIFF, effect="e" * 64, repository_name="fleet"
    )
    GitRepository.objects.update(push_policy="direct", branch="release/east")
    page = browser.get(ProtectionChange.objects.get().get_absolute_url()).content.decode()
    assert "Commit it to release/east" in page
