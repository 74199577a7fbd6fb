"""When a requested reconcile is done, running or failed (A4 of the domain facts)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cluster.flux import Kustomization, commit_of, flux_protected, new_token, reconciled
from cluster.values import Condition, Ref

AT = datetime(2026, 11, 23, tzinfo=UTC)


def ready(status, reason="ReconciliationSucceeded"):
    return (Condition("Healthy", "Unknown"), Condition("Ready", status, reason, "message", AT))


DONE = Kustomization(
    ref=Ref("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux-system", "apps", "u"),
    generation=3,
    observed_generation=3,
    handled_token="t2",
    applied_revision="main@sha1:abc",
    conditions=ready("True"),
)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "done"),
        ({"handled_token": "t1"}, "running"),  # Ready is of the run before
        ({"conditions": ready("Unknown", "Progressing")}, "running"),
        ({"conditions": ()}, "running"),
        ({"conditions": ready("False", "PruneFailed")}, "failed"),
        ({"conditions": ready("False", "BuildFailed"), "observed_generation": 2}, "failed"),
        ({"conditions": ready("False", "DependencyNotReady")}, "running"),
        ({"observed_generation": 2}, "running"),
        ({"applied_revision": "main@sha1:old", "attempted_revision": "main@sha1:abc"}, "running"),
        ({"suspended": True}, "failed"),  # a suspended object also takes the token up
    ],
)
def test_a_reconcile_is_done_only_when_the_token_generation_and_commit_agree(changes, state):
    assert reconciled(replace(DONE, **changes), "t2", "abc").state == state


def test_without_a_commit_any_applied_revision_will_do():
    assert reconciled(DONE, "t2").state == "done"


@pytest.mark.parametrize("revision", ["main@sha1:abc", "sha1:abc", "main/abc", "abc", "feature/x@sha1:abc"])
def test_the_commit_of_a_revision_is_its_hash(revision):
    assert commit_of(revision) == "abc"


def test_tokens_are_unique():
    assert len({new_token() for _ in range(100)}) > 1
    assert new_token().endswith("Z")


def test_the_protecting_pair_is_told_with_where_it_stands():
    key = "kustomize.toolkit.fluxcd.io/prune"
    assert flux_protected({}, {key: "Disabled"}) == ("annotation", key, "Disabled")
    assert flux_protected({key: "disabled"}, {key: "enabled"}) == ("label", key, "disabled")
    assert flux_protected({}, {key: "enabled"}) is None
