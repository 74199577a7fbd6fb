"""What Git says of a claim, beside what the cluster says: on a real Flux, a real repository and real rows."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from cluster.flux import PRUNE
from dashboard.models import Claim
from dashboard.protection import assess
from dashboard.queries import Filters, find
from dashboard.states import Drift, Protection
from gitops.change import Tree
from gitops.repository import Repository
from gitops.values import FluxPath
from migrations_app.models import Transfer
from tests.dashboard import making as make
from tests.dashboard.gitwork import CLAIM, Work, working
from tests.support.cluster_process import Sandbox
from worker import declared
from worker.app import COMPARE_HARD_LIMIT_S, COMPARE_SOFT_LIMIT_S, TASK_SOFT_LIMIT_S
from worker.declared import LIMITS
from worker.gitside import Limits

PROTECTED = CLAIM.replace(
    "  name: {name}\n", "  name: {name}\n  annotations:\n    kustomize.toolkit.fluxcd.io/prune: disabled\n"
)
TOP = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - all.yaml\n"


@pytest.fixture
def work(transactional_db: None, sandbox: Sandbox, settings: Any, tmp_path: Path) -> Iterator[Work]:
    with working(sandbox, settings, tmp_path) as found:
        yield found


def test_drift_is_told_in_both_directions_and_can_be_filtered(work: Work) -> None:
    texts = [
        CLAIM.format(name="bare"),
        CLAIM.format(name="annotated"),
        PROTECTED.format(name="kept"),
        PROTECTED.format(name="stripped"),
    ]
    work.start({"all.yaml": "---\n".join(texts)})
    for name, value in (("annotated", "disabled"), ("stripped", None)):
        claim = work.admin.get_claim(work.name, name)
        assert claim is not None
        work.admin.annotate(claim.ref, {PRUNE: value})
    work.see()
    found = {c.name: Drift(c.drift) for c in Claim.objects.present().filter(namespace=work.name)}
    assert found == {
        "bare": Drift.NONE,
        "kept": Drift.NONE,
        "annotated": Drift.CLUSTER_ONLY,
        "stripped": Drift.GIT_ONLY,
    }
    annotated = work.claim("annotated")
    assert annotated.flux_prune == Protection.PARTIAL
    assert f"apps/{work.name}/all.yaml" in annotated.drift_fact
    assert "Git will undo it" in annotated.drift_fact
    asked = Filters.of(QueryDict(f"drift=cluster-only&namespace={work.name}"))
    rows = find(Claim.objects.present(), asked, moving=Transfer.objects.none())
    assert [row.name for row in rows] == ["annotated"]


def test_the_options_of_the_live_kustomization_decide_what_git_says(work: Work) -> None:
    patch = (
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: any\n  annotations:\n"
        "    kustomize.toolkit.fluxcd.io/prune: disabled\n"
    )
    work.start(
        {"all.yaml": CLAIM.format(name="${claim}"), "kustomization.yaml": TOP},
        namePrefix="a-",
        nameSuffix="-z",
        patches=[{"target": {"kind": "PersistentVolumeClaim"}, "patch": patch}],
        postBuild={"substitute": {"claim": "data"}},
    )
    claim = work.claim("a-data-z")
    assert (claim.drift, claim.flux_prune) == (Drift.NONE, Protection.PROTECTED)
    assert work.row.declarations.get(name="a-data-z").protected


def test_what_cannot_be_told_says_why(work: Work) -> None:
    work.start({"all.yaml": CLAIM.format(name="data")})
    work.repository.delete()
    work.see()
    assert work.claim().drift == Drift.UNKNOWN
    assert "No Git repository is connected for GitRepository flux-system/fleet" in work.claim().drift_fact


def test_a_repository_that_is_away_is_named_and_hides_no_claim(work: Work) -> None:
    work.start({"all.yaml": CLAIM.format(name="data")})
    work.repository.url = "file:///nowhere/at/all.git"
    work.repository.save()
    work.see()
    assert work.claim().drift == Drift.UNKNOWN
    assert "Repository fleet could not be read" in work.claim().drift_fact


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/fleet.git"


def test_a_server_that_never_answers_is_recorded_before_the_task_is_ended(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LIMITS.git_s < TASK_SOFT_LIMIT_S
    assert LIMITS.lock_s + LIMITS.clone_s + LIMITS.git_s < COMPARE_SOFT_LIMIT_S < COMPARE_HARD_LIMIT_S
    work.start({"all.yaml": CLAIM.format(name="data")})
    assert work.claim().drift == Drift.NONE
    monkeypatch.setattr(declared, "LIMITS", Limits(git_s=5, clone_s=0.5, lock_s=1))
    with silent_server() as url:
        work.repository.url = url
        work.repository.save()
        work.see()
    assert work.claim().drift == Drift.UNKNOWN
    assert "git fetch took longer than 0.5 s" in work.claim().drift_fact


def test_what_the_task_has_no_time_for_is_recorded_and_asked_last_next_time(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.start({"all.yaml": CLAIM.format(name="data")})

    def slow(_: Repository) -> str:
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "refresh", slow)
        work.see()
    assert "Repository fleet could not be read" in work.claim().drift_fact
    groups: dict[declared.Key, list[declared.Key]] = {
        ("flux-system", work.name): [],
        ("flux-system", "zz"): [],
    }
    assert next(owner for owner, _ in declared._in_turn(work.row, groups)) == ("flux-system", "zz")
    work.see()
    assert work.claim().drift == Drift.NONE


def test_the_page_of_a_claim_tells_how_old_the_comparison_is(work: Work, client: Client) -> None:
    work.start({"all.yaml": CLAIM.format(name="data")})
    work.row.declarations.update(compared_at=timezone.now() - timedelta(hours=3))
    client.force_login(work.operator)
    page = client.get(f"/claims/{work.row.name}/{work.name}/data/").content.decode()
    assert re.search(r"Looked <time[^>]*>3 ?h[^<]* ago<", page)


def test_another_branch_than_the_one_that_flux_follows_is_not_compared(work: Work) -> None:
    work.start({"all.yaml": CLAIM.format(name="data")})
    work.repository.branch = "next"
    work.repository.save()
    work.see()
    assert "follows the branch main, Holdfast reads next" in work.claim().drift_fact


def test_nothing_is_compared_twice_and_what_flux_lets_go_of_is_forgotten(work: Work) -> None:
    work.start({"all.yaml": CLAIM.format(name="data")})
    work.row.declarations.update(compared_at=timezone.now() - timedelta(hours=3))
    assert declared.refresh(work.row, work.admin) == 0
    assert work.row.declarations.get(namespace=work.name).compared_at > timezone.now() - timedelta(minutes=1)
    work.push({"readme.txt": "nothing to see"})
    assert declared.refresh(work.row, work.admin) > 0
    Claim.objects.filter(namespace=work.name).update(owner_kind="nobody")
    declared.refresh(work.row, work.admin)
    assert not work.row.declarations.filter(namespace=work.name).exists()


@pytest.mark.parametrize(
    ("text", "found", "protected", "why"),
    [
        (CLAIM.format(name="data"), True, False, ""),
        (PROTECTED.format(name="data"), True, True, ""),
        (PROTECTED.format(name="data").replace("disabled", "Disabled"), True, True, ""),
        (PROTECTED.format(name="data").replace("disabled", "${prune:=disabled}"), False, False, "variable"),
        (PROTECTED.format(name="other"), False, False, "No file under apps declares"),
        (CLAIM.format(name="data") + "---\n" + CLAIM.format(name="data"), False, False, "declared 2 times"),
        (PROTECTED.format(name="data").replace("disabled", '"${a}\\0"'), False, False, "variable"),
        (CLAIM.format(name="data") + "  : {", False, False, "Cannot tell"),
    ],
)
def test_the_files_decide(tmp_path: Path, text: str, found: bool, protected: bool, why: str) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps/all.yaml").write_text(text)
    flux = FluxPath("apps", target_namespace="media")
    answer = declared.compare(Tree.of(tmp_path), flux, [("media", "data")])["media", "data"]
    assert (answer.found, answer.protected) == (found, protected)
    assert why in answer.why


def test_what_flux_made_once_and_never_corrects_is_no_drift(tmp_path: Path) -> None:
    text = PROTECTED.format(name="data").replace("prune: disabled", "ssa: IfNotPresent")
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps/all.yaml").write_text(text)
    flux = FluxPath("apps", target_namespace="media")
    answer = declared.compare(Tree.of(tmp_path), flux, [("media", "data")])["media", "data"]
    assert (answer.found, answer.protected, answer.once) == (True, False, True)
    found = assess(make.claim(), make.around(), answer)
    assert found.drift == Drift.NONE
    assert found.layer("flux_prune").state == Protection.PROTECTED
    assert "correct nothing of it" in found.drift_fact
