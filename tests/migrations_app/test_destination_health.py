"""What an approver reads about the destination: what runs there, and plainly when nothing does."""

from types import SimpleNamespace
from typing import cast

import pytest
from django.test import Client

from cluster.values import Condition, ContainerState, Pod, Ref
from migrations_app.models import Migration
from tests.migrations_app.making import asked, at_sign_off
from tests.support.people import person
from worker import health
from worker.context import Context

pytestmark = pytest.mark.django_db


def pod(name: str, phase: str, *, ready: bool = False, restarts: int = 0) -> Pod:
    return Pod(
        ref=Ref("v1", "Pod", "photos", name, f"uid-{name}"),
        phase=phase,
        claims=("library",),
        containers=(ContainerState("app", "running", restarts=restarts),),
        conditions=(Condition("Ready", "True" if ready else "False"),),
    )


def looked(migration: Migration, *pods: Pod) -> str:
    """The card on the approver's page after one look at these pods."""
    run = migration.runs.get(step="sign-off")
    run.memory = {}
    cluster = SimpleNamespace(list_pods=lambda namespace: list(pods))
    context = SimpleNamespace(
        migration=migration, memory=run.memory, cluster=cluster, transfers=list(migration.transfers.all())
    )
    health.observe(cast("Context", context))
    run.save(update_fields=["memory"])
    browser = Client()
    browser.force_login(migration.requested_by)
    page = browser.get(f"/migrations/{migration.reference}/sign-off/").content.decode()
    return page.split("Destination since")[1].split("</section>")[0]


def test_only_pods_that_run_are_counted_and_none_is_said() -> None:
    migration = at_sign_off(person("operator"))
    asked(migration)
    assert "1, all ready" in looked(migration, pod("photos-1", "Running", ready=True))
    for pods in ([], [pod("photos-1", "Failed", ready=True), pod("backup-1", "Succeeded")]):
        shown = looked(migration, *pods)
        assert "none runs" in shown and "tone-danger" in shown and "all ready" not in shown
        assert "unready at 1" in shown
    shown = looked(migration, pod("photos-1", "Failed"), pod("photos-2", "Running"))
    assert "1 of 1 not ready" in shown and "photos-2" in shown and "photos-1" not in shown
