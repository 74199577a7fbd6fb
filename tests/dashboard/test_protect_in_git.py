"""Protecting a claim through Git: asked for, reviewed, pushed, merged, applied by a real Flux, denied by a real engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.permissions import Refused as NotAllowed
from audit.models import Event
from cluster.flux import PRUNE
from dashboard import protecting
from dashboard.models import Claim, ProtectionChange
from dashboard.protecting_states import ChangeState, How
from dashboard.states import Drift, Owner, Protection, PushPolicy
from migrations_app.problems import Refused
from tests.dashboard.gitwork import CLAIM, Work, working
from tests.support.cluster_process import Sandbox
from tests.support.people import person
from tests.support.waiting import until

DATA = CLAIM.format(name="data")


@pytest.fixture
def work(transactional_db: None, sandbox: Sandbox, settings: Any, tmp_path: Path) -> Iterator[Work]:
    with working(sandbox, settings, tmp_path) as found:
        yield found


def ask(work: Work, how: How = How.AUTO) -> ProtectionChange:
    return protecting.request(by=work.operator, claim=work.claim(), how=how)


def reviewed(work: Work, how: How = How.AUTO) -> ProtectionChange:
    return work.until(ask(work, how), ChangeState.READY)


def approve(work: Work, change: ProtectionChange, way: PushPolicy = PushPolicy.DIRECT) -> None:
    protecting.approve(by=work.operator, change=change, way=way, effect=change.effect)


def commits(work: Work) -> int:
    work.git("fetch", "-q", "origin", "main")
    return int(work.git("rev-list", "--count", "FETCH_HEAD"))


def verbs(change: ProtectionChange) -> list[str]:
    rows = Event.objects.filter(kind="claim", key=change.key).order_by("sequence")
    return [v for v in rows.values_list("verb", flat=True) if v != "flux.reconcile"]


def test_a_reviewed_change_is_pushed_applied_and_denies_the_deletion(work: Work) -> None:
    work.start({"all.yaml": DATA})
    assert work.claim().flux_prune == Protection.UNPROTECTED
    before = commits(work)
    change = reviewed(work)
    assert commits(work) == before, "nothing is pushed before somebody has looked at it"
    added = [line for line in change.diff.splitlines()[2:] if line.startswith(("+", "-"))]
    assert added == ["+  annotations:", f"+    {PRUNE}: disabled"]

    approve(work, change)
    done = work.until(change, ChangeState.APPLIED)
    assert work.live() == "disabled"
    assert work.on_main("all.yaml") == DATA.replace(
        "  name: data\n", f"  name: data\n  annotations:\n    {PRUNE}: disabled\n"
    )
    assert commits(work) == before + 1
    assert done.probe["answer"] == "pass", done.probe
    assert "prevent-protected-pvc-deletion" in done.probe["title"]
    work.see()
    assert (work.claim().drift, work.claim().flux_prune) == (Drift.NONE, Protection.PROTECTED)
    assert verbs(change) == [
        "protection.request",
        "protection.ready",
        "protection.approve",
        "git.push",  # intended
        "git.push",
        "protection.apply",
    ]


def test_a_branch_waits_for_its_merge_and_can_be_withdrawn_before_it(work: Work) -> None:
    work.repository.push_policy = PushPolicy.BRANCH
    work.repository.save()
    work.start({"all.yaml": DATA})
    change = reviewed(work)
    with pytest.raises(Refused, match="does not take changes this way"):
        approve(work, change)
    approve(work, change, PushPolicy.BRANCH)
    change = work.until(change, ChangeState.PUSHED)
    assert change.branch == f"holdfast/{change.reference}"
    assert work.look(change).state == ChangeState.PUSHED
    assert work.live() is None
    assert work.on_main("all.yaml") == DATA

    work.merge(change.branch)
    work.until(change, ChangeState.APPLIED)
    assert work.live() == "disabled"
    with pytest.raises(Refused, match="no longer be taken back"):
        protecting.withdraw(by=work.operator, change=ProtectionChange.objects.get(pk=change.pk))


def test_what_an_admin_allows_no_longer_is_not_pushed_although_it_was_approved(work: Work) -> None:
    work.start({"all.yaml": DATA})
    change = reviewed(work)
    approve(work, change)
    work.repository.push_policy = PushPolicy.BRANCH
    work.repository.save()
    change = work.look(change)
    assert change.state == ChangeState.READY and "not take changes this way" in change.problem["happened"]
    assert work.on_main("all.yaml") == DATA
    approve(work, change, PushPolicy.BRANCH)
    work.until(change, ChangeState.PUSHED)


def test_a_patch_that_somebody_applies_by_hand_is_seen(work: Work) -> None:
    work.repository.push_policy = PushPolicy.DOWNLOAD
    work.repository.save()
    work.start({"all.yaml": DATA})
    change = reviewed(work)
    assert protecting.ways_for(change) == ()
    patch = work.directory / "change.patch"
    patch.write_text(change.diff)
    work.git("apply", "change.patch")
    patch.unlink()
    text = (work.directory / f"apps/{work.name}/all.yaml").read_text()
    work.git("checkout", "-q", ".")
    work.push({"all.yaml": text})
    work.until(change, ChangeState.APPLIED)
    assert work.live() == "disabled"


def test_what_was_not_reviewed_is_never_pushed(work: Work) -> None:
    work.start({"all.yaml": DATA})
    change = reviewed(work)
    approve(work, change)
    theirs = work.push(
        {"all.yaml": DATA.replace("  name: data\n", "  name: data\n  annotations:\n    a: b\n")}
    )
    change = work.look(change)
    assert change.state == ChangeState.REQUESTED
    assert "another one than was reviewed" in change.problem["happened"]
    change = work.until(change, ChangeState.READY)
    assert work.git("rev-parse", "FETCH_HEAD" if commits(work) else "").strip() == theirs
    assert "+  annotations:" not in change.diff
    with pytest.raises(Refused, match="another one than the page showed"):
        protecting.approve(by=work.operator, change=change, way=PushPolicy.DIRECT, effect="of an old page")


def test_a_push_whose_worker_died_is_found_and_not_made_twice(work: Work) -> None:
    work.start({"all.yaml": DATA})
    change = reviewed(work)
    approve(work, change)
    before = commits(work)
    assert work.look(change).state == ChangeState.MERGED
    # As if the worker had died before it could save what it pushed.
    ProtectionChange.objects.filter(pk=change.pk).update(state=ChangeState.APPROVED, commit="", branch="")
    found = work.look(change)
    assert found.state == ChangeState.MERGED
    assert found.commit
    assert commits(work) == before + 1


def test_a_suspended_kustomization_is_named_and_its_change_waits(work: Work) -> None:
    work.start({"all.yaml": DATA})
    change = reviewed(work)
    work.admin.suspend("Kustomization", "flux-system", work.name, True)
    approve(work, change)
    change = work.until(change, ChangeState.MERGED)
    change = work.look(change)
    assert change.state == ChangeState.MERGED
    assert "is suspended" in change.message
    work.admin.suspend("Kustomization", "flux-system", work.name, False)
    work.until(change, ChangeState.APPLIED)


def test_what_cannot_be_edited_with_certainty_is_refused_with_the_reason(work: Work) -> None:
    top = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - {}\n"
    work.start(
        {
            "base/all.yaml": DATA,
            "base/kustomization.yaml": top.format("all.yaml"),
            "here/kustomization.yaml": top.format("../base"),
            "there/kustomization.yaml": top.format("../base"),
        },
        path=f"./apps/{work.name}/here",
    )
    change = work.until(ask(work, How.DOCUMENT), ChangeState.REFUSED)
    assert "is also used by" in change.problem["happened"]
    assert "Nothing was changed" in change.problem["safe"]
    patched = reviewed(work)
    assert f"apps/{work.name}/here/kustomization.yaml" in patched.diff
    assert "base/all.yaml" not in patched.diff


def test_the_stopgap_annotates_this_very_claim_and_says_that_git_will_undo_it(work: Work) -> None:
    work.start({"all.yaml": DATA})
    assert "Git will undo it" in protecting.stopgap_note(work.claim())
    change = work.until(ask(work, How.LIVE), ChangeState.APPLIED)
    assert work.live() == "disabled"
    assert change.probe["answer"] == "pass"
    assert verbs(change) == ["protection.stopgap", "claim.annotate", "protection.apply"]
    work.see()
    assert work.claim().drift == Drift.CLUSTER_ONLY
    with pytest.raises(Refused, match="carries the protection already"):
        ask(work, How.LIVE)


def test_a_claim_that_was_made_again_is_not_annotated(work: Work) -> None:
    work.start({"all.yaml": DATA})
    change = ask(work, How.LIVE)
    Claim.objects.filter(pk=work.claim().pk).update(uid="of the former one")
    ProtectionChange.objects.filter(pk=change.pk).update(uid="of the former one")
    change = work.look(change)
    assert change.state == ChangeState.FAILED
    assert "deleted and made again" in change.problem["happened"]
    assert work.live() is None


def test_only_those_who_may_change_protection_ask_and_one_change_is_open_at_a_time(work: Work) -> None:
    work.start({"all.yaml": DATA})
    for who in (person("viewer"), person("approver"), person("operator", "elsewhere", name="stranger")):
        with pytest.raises(NotAllowed):
            protecting.request(by=who, claim=work.claim(), how=How.AUTO)
    first = ask(work)
    assert ask(work).pk == first.pk
    assert ask(work, How.LIVE).pk != first.pk
    protecting.withdraw(by=work.operator, change=first)
    assert ask(work).pk != first.pk


def test_a_lease_keeps_two_workers_apart(work: Work) -> None:
    from worker import protecting as worker

    work.start({"all.yaml": DATA})
    change = ask(work)
    assert worker._take(change.pk) is not None
    assert worker._take(change.pk) is None
    assert worker.advance(change.pk) is None


def test_a_repository_that_is_away_is_tried_again_and_then_said(work: Work) -> None:
    work.start({"all.yaml": DATA})
    change = ask(work)
    work.repository.url = "file:///nowhere/at/all.git"
    work.repository.save()

    def failed() -> ProtectionChange | None:
        found = work.look(change)
        return found if found.state == ChangeState.FAILED else None

    found = until(failed, timeout_s=20, what="the failure")
    assert found is not None
    assert found.problem["next"]


RELEASE = """---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: shop
spec:
  interval: 1h
  chart:
    spec:
      chart: shop   # ours
      sourceRef:
        kind: HelmRepository
        name: shop
"""


def of_release(work: Work, name: str) -> None:
    """As the watcher would have it of a chart's claim."""
    Claim.objects.filter(pk=work.claim().pk).update(
        owner_kind=Owner.HELM_RELEASE, owner_namespace=work.name, owner_name=name
    )


def test_a_claim_of_a_chart_is_kept_by_a_post_renderer_of_its_release(work: Work) -> None:
    work.start({"all.yaml": DATA + RELEASE})
    of_release(work, "shop")
    change = reviewed(work, How.RELEASE)
    assert "+  postRenderers:" in change.diff
    assert "helm.sh/resource-policy: keep" in change.diff
    approve(work, change)
    change = work.until(change, ChangeState.MERGED)
    # The sandbox renders no charts; the controller would annotate the claim like this.
    claim = work.admin.get_claim(work.name, "data")
    assert claim is not None
    work.admin.annotate(claim.ref, {"helm.sh/resource-policy": "keep"})
    work.until(change, ChangeState.APPLIED)


def test_a_release_that_no_file_declares_is_refused_with_the_change_by_hand(work: Work) -> None:
    work.start({"all.yaml": DATA})
    of_release(work, "elsewhere")
    change = work.until(ask(work, How.RELEASE), ChangeState.REFUSED)
    assert "no file of a Git repository is known to declare it" in change.problem["happened"]
    assert "helm.sh/resource-policy: keep" in change.problem["by_hand"]
