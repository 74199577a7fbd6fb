"""For which claims Deploy awaits a pod. No cluster is needed for these."""

import pytest

from cluster.values import Ref, Workload
from migrations_app.models import Transfer
from worker.facts import workload_facts
from worker.steps.deploy import _was_used


def transfer(name: str, **workload: object) -> Transfer:
    found = Workload(
        ref=Ref("apps/v1", "StatefulSet", "media", "web", "uid-web"),
        claim_templates=("data",),
        **workload,  # type: ignore[arg-type]
    )
    return Transfer(source_name=name, facts={"workloads": [workload_facts(found)]})


@pytest.mark.parametrize(
    ("name", "replicas", "awaited"),
    [
        ("data-web-0", 2, True),
        ("data-web-1", 2, True),
        ("data-web-2", 2, False),  # left over when it became smaller
        ("data-web-0", 0, False),
        ("shared", 2, True),  # named in its template
    ],
)
def test_only_a_claim_that_a_pod_had_is_awaited_in_use(name: str, replicas: int, awaited: bool) -> None:
    assert _was_used(transfer(name, replicas=replicas, claims=("shared",))) is awaited


def test_ordinals_that_do_not_begin_at_0() -> None:
    assert _was_used(transfer("data-web-5", replicas=1, ordinals_start=5))
    assert not _was_used(transfer("data-web-0", replicas=1, ordinals_start=5))


def test_facts_of_an_earlier_version_await_every_claim() -> None:
    found = transfer("data-web-2", replicas=2)
    del found.facts["workloads"][0]["template_claims"]
    assert _was_used(found)
