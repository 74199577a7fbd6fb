"""What a tenant writes into the cluster neither stops the inventory nor hides a claim."""

import json
from dataclasses import replace

import pytest

from cluster.base import Ref
from cluster.connection import without_nul
from dashboard import models
from dashboard.inventory import Reading, refresh
from migrations_app.models.evidence import digest_of
from tests.dashboard import making as make
from worker.movers import _parsed


@pytest.mark.parametrize("text", ["a\0b", "\\u0000", "\\\0", "\\\\u0000", "\\\\\0", "", "ä\0"])
@pytest.mark.parametrize("escape_all", [True, False])
def test_no_answer_of_the_cluster_holds_a_nul(text: str, escape_all: bool) -> None:
    body = json.dumps({"key": text}, ensure_ascii=escape_all).encode()
    assert json.loads(without_nul(body))["key"] == text.replace("\0", "\ufffd")


def test_a_raw_nul_in_a_log_is_replaced() -> None:
    assert without_nul(b"one\0two") == "one\ufffdtwo".encode()


@pytest.mark.django_db
def test_what_a_mover_says_can_always_be_kept() -> None:
    line = '{"t":"progress","path":"a\\u0000b\\ud800","rate":NaN,"bytes":1e30}'
    said = _parsed(line)
    assert said is not None and said["path"] == "a\ufffdb?"
    row = models.Cluster.objects.create(name="c", facts=said)
    row.refresh_from_db()
    assert row.facts == said
    assert digest_of(row.facts) == digest_of(said)
    assert _parsed('{"a":' * 50_000) is None


@pytest.mark.django_db
def test_texts_that_fit_no_column_are_cut_and_all_claims_are_written() -> None:
    row = models.Cluster.objects.create(name="c")
    long = "x" * 5000
    odd = make.claim(
        ref=Ref("v1", "PersistentVolumeClaim", "media", "odd", "uid-odd"),
        labels={"app.kubernetes.io/managed-by": "Helm"},
        annotations={"meta.helm.sh/release-name": long, "meta.helm.sh/release-namespace": long},
        capacity_bytes=10**30,
    )
    around = make.around()
    odd_kustomizations = tuple(replace(k, path=long, applied_revision=long) for k in around.kustomizations)
    odd_namespaces = tuple(
        replace(n, labels={"pod-security.kubernetes.io/enforce": long}) for n in around.namespaces
    )
    reading = Reading(
        claims=(odd,),
        around=replace(around, kustomizations=odd_kustomizations, namespaces=odd_namespaces),
    )
    assert refresh(row, reading).changed == 1
    assert refresh(row, reading).changed == 0, "what was cut is not written again at every look"
    assert row.claims.get().owner_name == long[:253]
    assert row.gitops.get().path == long[:500]
    assert row.namespaces.get().pod_security == long[:20]
