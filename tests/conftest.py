"""Fixtures that all tests may use. Everything is real: PostgreSQL, Redis, Celery, the sandbox cluster, a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_client
from django.conf import settings
from django.db import connection

from tests.support import database, services
from tests.support.celery_process import CeleryWorker, running_worker
from tests.support.cluster_process import Sandbox, running_sandbox
from tests.support.stack import Stack, running_stack

pytest_plugins = ["tests.support.browser"]
database.empty_quickly()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Starts PostgreSQL when the first test of the run asks for a database."""
    services.ensure()


@pytest.fixture
def redis_url() -> str:
    """This test process's own Redis database, empty."""
    services.ensure()
    with redis_client.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
    return str(settings.REDIS_URL)


# Not for longer than a module: it would take what journeys, which tick by themselves, ask of a worker.
@pytest.fixture(scope="module")
def _celery_process(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CeleryWorker]:
    log = tmp_path_factory.mktemp("celery") / "worker.log"
    with running_worker(connection.settings_dict["NAME"], log) as worker:
        yield worker


@pytest.fixture
def celery_worker(transactional_db: None, _celery_process: CeleryWorker) -> Iterator[CeleryWorker]:
    """A worker process on the test's database. Nothing sweeps unless the test says `with celery_worker.sweeping():`."""
    yield _celery_process
    _celery_process.drain()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox cluster with the small scenario, shared by the tests of this process: use names of your own in it."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="session")
def demo_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with the demo's scenario. Group its tests: `pytest.mark.xdist_group("demo-sandbox")`, and leave it as it was."""
    with running_sandbox(tmp_path_factory.mktemp("demo"), scenario="demo") as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole demo on a free port, as `make demo` runs it. Group its tests: `pytest.mark.xdist_group("stack")`."""
    with running_stack(tmp_path_factory.mktemp("stack") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def repository_root() -> Path:
    return Path(__file__).parents[1]
