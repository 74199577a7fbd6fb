"""What the checks say of the source's protection fits who could delete it. The cluster here answers just what is read."""

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.flux import OWNER_NAME, OWNER_NAMESPACE
from migrations_app.states import Verdict
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.checks import claims
from worker.checks.check import Check
from worker.context import Context

pytestmark = pytest.mark.django_db
MARK = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}
KEEP = {"helm.sh/resource-policy": "keep"}
LABELS = {OWNER_NAME: "media", OWNER_NAMESPACE: "flux-system"}


def checked(
    owner: str,
    annotations: dict[str, str],
    *,
    policy: str = "Delete",
    here: bool = True,
    labelled: bool = False,
) -> Check:
    migration = at_sign_off(person("operator"))
    facts = {"owner": {"kind": owner} if owner else {}, "volume": {"reclaim_policy": policy}}
    migration.transfers.update(facts=facts)
    claim = SimpleNamespace(name="library", labels=LABELS if labelled else {}, annotations=annotations)
    cluster: Any = SimpleNamespace(
        get_claim=lambda *_: claim, get_kustomization=lambda *_: SimpleNamespace() if here else None
    )
    run = migration.runs.create(step="preflight", attempt=1)
    (found,) = claims.protected(Context(migration, run, cluster))
    return found


@pytest.mark.parametrize(
    ("owner", "annotations", "says"),
    [
        ("Kustomization", {}, "keeps Flux from pruning library"),
        ("HelmRelease", {}, "Helm deletes library"),
        ("HelmRelease", MARK, "Helm deletes library"),
        ("Helm", {}, "Helm deletes library"),
        ("orphan", {}, "Flux does not prune library"),
        ("", {}, "Flux does not prune library"),
    ],
    ids=str,
)
def test_the_warning_names_who_could_delete_it(owner: str, annotations: dict[str, str], says: str) -> None:
    found = checked(owner, annotations)
    assert found.verdict == Verdict.WARN and says in found.text
    assert ("in Git" in found.next) is (owner == "Kustomization")
    assert ("kubectl patch pv pv-source" in found.command) is (owner in {"orphan", ""})


@pytest.mark.parametrize(
    ("owner", "annotations", "policy"),
    [
        ("Kustomization", MARK, "Delete"),
        ("Helm", KEEP, "Delete"),
        ("", MARK, "Delete"),
        ("orphan", {}, "Retain"),
    ],
    ids=str,
)
def test_nothing_is_warned_of_what_is_safe(owner: str, annotations: dict[str, str], policy: str) -> None:
    assert checked(owner, annotations, policy=policy).verdict == Verdict.PASS


def test_flux_of_another_cluster_may_prune_too() -> None:
    found = checked("orphan", {}, policy="Retain", here=False, labelled=True)
    assert found.verdict == Verdict.WARN and "keeps Flux from pruning" in found.text
