"""The watcher and the validator on a living cluster and a real database."""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, connections

from audit.models import Event
from audit.trail import Actor
from cluster.client import Cluster, ClusterConfig
from dashboard import models, validation
from dashboard.states import Answer, Connection, Protection, RunState
from tests.cluster import living
from tests.cluster.recording import Recorder
from tests.support.waiting import until
from worker.validation import Validator
from worker.watcher import LOCK_CLASS, Pace, Watcher

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def watching(adapter, pace=None):
    watcher = Watcher("c", adapter, pace or Pace(poll_s=1, relist_s=60))

    def run():
        try:
            watcher.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.stop()
        thread.join(timeout=20)
        assert not thread.is_alive()


def row():
    return models.Cluster.objects.filter(name="c").first()


def connected():
    found = row()
    return found is not None and found.state == Connection.CONNECTED


def present(namespace, name):
    return models.Claim.objects.present().filter(namespace=namespace, name=name).first()


def test_changes_reach_the_rows_within_seconds(sandbox):
    admin = living.cluster_as(sandbox)
    namespace = living.make_namespace(admin)
    before = admin.create(living.claim(namespace, "before"))
    with watching(living.cluster_as(sandbox, "holdfast-watcher"), Pace(poll_s=30, relist_s=60)):
        until(connected, timeout_s=20, what="the first list")
        assert present(namespace, "before").uid == before.uid

        made = admin.create(living.claim(namespace, "made"))
        claim = until(lambda: present(namespace, "made"), timeout_s=4, what="the new claim")
        assert claim.flux_prune == Protection.NOT_APPLICABLE
        until(lambda: present(namespace, "made").reclaim_policy == "Delete", timeout_s=10, what="its volume")

        admin.annotate(made, {"kustomize.toolkit.fluxcd.io/prune": "disabled"})
        until(
            lambda: present(namespace, "made").annotations.get("kustomize.toolkit.fluxcd.io/prune"),
            timeout_s=4,
        )
        admin.annotate(made, {"kustomize.toolkit.fluxcd.io/prune": None})
        admin.delete(made)
        until(lambda: present(namespace, "made") is None, timeout_s=8, what="the row marked gone")
        assert models.Claim.objects.get(uid=made.uid).gone_at


def test_what_surrounds_claims_is_polled(sandbox):
    admin = living.cluster_as(sandbox)
    namespace = living.make_namespace(admin)
    living.bound_claim(admin, namespace, "data")
    with watching(living.cluster_as(sandbox, "holdfast-watcher")):
        until(connected, timeout_s=20)
        admin.create(living.deployment(namespace, "web", "data", replicas=0))
        claim = until(
            lambda: (c := present(namespace, "data")).consumer_count and c, timeout_s=15, what="its consumer"
        )
        assert [(c["kind"], c["name"]) for c in claim.consumers] == [("Deployment", "web")]


def test_only_one_watcher_follows_a_cluster(sandbox):
    models.Cluster.objects.create(name="c")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, row().pk])
    try:
        second = Watcher("c", living.cluster_as(sandbox, "holdfast-watcher"))
        thread_answer = []

        def ask():
            thread_answer.append(second._locked(row()))
            connections.close_all()

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert thread_answer == [False]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, row().pk])


def test_a_cluster_that_is_away_is_recorded_with_since_when_and_keeps_its_rows(tmp_path):
    server = Recorder([None])
    config = ClusterConfig("c", server.cluster(tmp_path).config.kubeconfig, None, 1, 1)
    with watching(Cluster(config)):
        until(lambda: (found := row()) and found.state == Connection.AWAY, timeout_s=10, what="away")
        since = row().away_since
        assert "did not answer" in row().error
        until(lambda: len(server.requests) > 4, timeout_s=15, what="another try")
        assert row().away_since == since
    server.close()


def test_a_validation_runs_all_three_checks_and_is_kept(sandbox):
    admin = living.cluster_as(sandbox)
    namespace = living.make_namespace(admin)
    living.bound_claim(
        admin, namespace, "data", annotations={"kustomize.toolkit.fluxcd.io/prune": "disabled"}
    )
    watcher = living.cluster_as(sandbox, "holdfast-watcher")
    with watching(watcher):
        until(connected, timeout_s=20)
    run = validation.request(row(), by=Actor("operator"))
    with pytest.raises(validation.AlreadyOpen) as raised:
        validation.request(row(), by=Actor("operator"))
    assert raised.value.run == run

    validator = Validator("c", watcher, living.cluster_as(sandbox, "holdfast-prober"))
    assert validator.once().pk == run.pk
    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.FINISHED, "")
    kinds = set(run.results.values_list("check_kind", flat=True))
    assert kinds == {"protection", "policy", "probe"}
    probe = run.results.get(check_kind="probe", subject=f"{namespace}/data")
    live = watcher.admission()
    if not live.policies:
        assert probe.answer == Answer.FAIL  # annotated, and nothing denies
    assert admin.get_claim(namespace, "data") is not None
    assert not admin.get_claim(namespace, "data").deleting
    verbs = list(Event.objects.order_by("sequence").values_list("verb", flat=True))
    assert verbs[-2:] == ["validation.request", "validation.finish"]


def test_a_run_that_was_cut_off_is_not_left_running():
    cluster = models.Cluster.objects.create(name="c")
    run = models.ValidationRun.objects.create(cluster=cluster, state=RunState.RUNNING)
    Validator("c", None, None).fail_interrupted()
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "Ask for another run" in run.error
