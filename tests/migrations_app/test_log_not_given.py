"""A mover that ended on a node that cannot give its log any more. The cluster here is one that answers just that."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from cluster.errors import Unavailable
from cluster.values import ContainerState, JobStatus, OwnerReference, Pod, Ref
from migrations_app.models import Intent
from migrations_app.states import State
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker import manifests, movers
from worker.context import LABEL, Context

pytestmark = pytest.mark.django_db
RESULT = {"t": "result", "program": "holdfast-mover", "command": "verify", "outcome": "equal"}


@pytest.fixture
def ended() -> SimpleNamespace:
    """A verify Job that is complete, with its summary in the pod's status and its log out of reach."""
    migration = at_sign_off(person("operator"), state=State.RUNNING, current_step="verify")
    transfer = migration.transfers.get()
    manifest = manifests.mover_job(migration, transfer, purpose="verify", attempt=1)
    run = migration.runs.create(step="verify", attempt=1)
    Intent.objects.create(
        migration=migration,
        key=f"verify/job.create/{manifest.name}",
        step="verify",
        verb="job.create",
        kind="Job",
        namespace="media",
        name=manifest.name,
        uid="uid-job",
        state="done",
    )
    job = JobStatus(
        ref=Ref("batch/v1", "Job", "media", manifest.name, "uid-job"),
        labels={LABEL: migration.reference},
        result="Complete",
        succeeded=1,
    )
    said = ContainerState("mover", "terminated", message=json.dumps(RESULT), exit_code=0)
    pod = Pod(
        ref=Ref("v1", "Pod", "media", f"{manifest.name}-x", "uid-pod"),
        phase="Succeeded",
        containers=(said,),
        owner_references=(OwnerReference("batch/v1", "Job", manifest.name, "uid-job", controller=True),),
    )

    def pod_logs(*_: Any, **__: Any) -> None:
        raise Unavailable("The kubelet answered 500.", safe="", next="", status=500)

    cluster: Any = SimpleNamespace(
        get_job=lambda *_: job, pods_of_job=lambda _: [pod], pod_logs=pod_logs, pod=pod
    )
    context = Context(migration, run, cluster)
    return SimpleNamespace(context=context, transfer=transfer, manifest=manifest, cluster=cluster)


def look(ended: SimpleNamespace) -> movers.Verdict:
    return movers.run(ended.context, ended.transfer, ended.manifest)


def test_the_log_is_asked_for_a_while_then_the_summary_counts(ended: SimpleNamespace) -> None:
    with pytest.raises(Unavailable):
        look(ended)
    began = (timezone.now() - 2 * movers.LOG_PATIENCE).isoformat()
    ended.context.memory["log_away/uid-pod"] = began
    verdict = look(ended)
    assert (verdict.state, verdict.result) == ("done", RESULT)


def test_a_log_that_comes_back_is_read_and_its_outage_forgotten(ended: SimpleNamespace) -> None:
    with pytest.raises(Unavailable):
        look(ended)
    line = (timezone.now(), json.dumps(RESULT, separators=(",", ":")))
    ended.cluster.pod_logs = lambda *_, **__: [line]
    assert look(ended).state == "done"
    assert not ended.context.memory
    assert ended.context.migration.log_lines.count() == 1


def test_the_log_of_a_pod_that_works_is_waited_for_however_long(ended: SimpleNamespace) -> None:
    running = Pod(ref=ended.cluster.pod.ref, phase="Running")
    ended.cluster.pods_of_job = lambda _: [running]
    ended.context.memory["log_away/uid-pod"] = (timezone.now() - timedelta(hours=1)).isoformat()
    with pytest.raises(Unavailable):
        look(ended)
