"""What is tried of the mover before anything starts. The cluster here is one that answers just that."""

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.errors import Denied
from cluster.values import Manifest
from migrations_app.states import Verdict
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.checks import access
from worker.checks.check import Check
from worker.context import Context

pytestmark = pytest.mark.django_db


def asked(*refused: str, warm_passes: int = 1) -> tuple[list[Check], list[str]]:
    """The checks, and what was tried, on a cluster that refuses objects whose kind or name has one of these words."""
    tried: list[str] = []

    def dry_run_create(manifest: Manifest) -> list[str]:
        what = f"{manifest.kind} {manifest.name}"
        tried.append(what)
        if any(word in what for word in refused):
            rule: Any = {"by": "kyverno-cluster-policy", "policy": "p", "message": "no Jobs", "status": 400}
            raise Denied("Policy p refuses it.", safe="", next="", **rule)
        return []

    migration = at_sign_off(person("operator"), warm_passes=warm_passes)
    run = migration.runs.create(step="preflight", attempt=1)
    cluster: Any = SimpleNamespace(dry_run_create=dry_run_create)
    return list(access.mover_allowed(Context(migration, run, cluster))), tried


def test_the_pod_and_a_job_for_each_purpose_are_tried() -> None:
    found, tried = asked()
    assert [check.verdict for check in found] == [Verdict.PASS]
    for purpose in ("Pod", "-warm-", "-copy-", "-verify-", "-digest-"):
        assert any(purpose in what for what in tried), purpose


def test_no_warm_job_is_tried_where_none_will_run() -> None:
    assert not any("-warm-" in what for what in asked(warm_passes=0)[1])


@pytest.mark.parametrize("refused", ["Job", "-digest-"])
def test_a_rule_about_jobs_is_met_before_the_application_is_down(refused: str) -> None:
    found, _ = asked(refused)
    assert [check.verdict for check in found] == [Verdict.STOP]
    assert "does not admit the mover's Job" in found[0].text and "no Jobs" in found[0].text


def test_one_line_for_the_pod_and_one_for_the_jobs() -> None:
    found, _ = asked("Pod", "Job")
    assert [check.verdict for check in found] == [Verdict.STOP, Verdict.STOP]
