"""A migration driven tick by tick, in this process, against a sandbox cluster of its own with real volumes and real Git."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dashboard.models import Cluster, GitRepository
from tests.journeys.driving import Driver
from tests.support.cluster_process import Sandbox, running_sandbox
from tests.support.people import person
from worker.clusters import adapter


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of this test alone: a migration changes what others rely on."""
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def driver(transactional_db: None, own_sandbox: Sandbox, settings, tmp_path: Path) -> Iterator[Driver]:  # type: ignore[no-untyped-def]
    """People, cluster and repository rows, on a sandbox of this test alone."""
    with _driving(own_sandbox, settings, tmp_path) as found:
        yield found


@pytest.fixture
def shared(transactional_db: None, sandbox: Sandbox, settings, tmp_path: Path) -> Iterator[Driver]:  # type: ignore[no-untyped-def]
    """The same on the sandbox that the tests of this process share: for applications in namespaces of their own."""
    with _driving(sandbox, settings, tmp_path) as found:
        yield found


@contextmanager
def _driving(sandbox: Sandbox, settings, place: Path) -> Iterator[Driver]:  # type: ignore[no-untyped-def]
    settings.HOLDFAST_KUBECONFIG = str(sandbox.kubeconfig)
    settings.HOLDFAST_WORKER_CONTEXT = "holdfast-worker"
    settings.HOLDFAST_DATA = place / "holdfast"
    adapter.cache_clear()
    cluster = Cluster.objects.create(name="demo-east")
    GitRepository.objects.create(
        cluster=cluster,
        name="fleet",
        url=f"file://{sandbox.data}/state/git/fleet.git",
        branch="main",
        source_namespace="flux-system",
        source_name="fleet",
        push_policy="direct",
    )
    yield Driver(cluster, sandbox, person("operator"), person("approver"))
    adapter.cache_clear()
