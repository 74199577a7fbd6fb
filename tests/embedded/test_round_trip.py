"""PostgreSQL, Redis and Celery of the test run are real and joined up."""

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from tests.support.celery_process import CeleryWorker
from tests.support.waiting import until


def test_a_task_sent_over_redis_is_run_by_another_process_that_writes_to_our_database(
    celery_worker: CeleryWorker,
) -> None:
    celery_worker.send("tests.add_person", "from-the-worker")
    until(
        lambda: get_user_model().objects.filter(username="from-the-worker").exists(), what="the worker's row"
    )


def test_the_worker_is_not_the_owner_of_the_schema(celery_worker: CeleryWorker) -> None:
    url = celery_worker.environment["HOLDFAST_DATABASE_URL"]
    with psycopg.connect(url) as application, pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("DROP TABLE accounts_user CASCADE")


@pytest.mark.django_db
def test_the_database_is_postgresql_18() -> None:
    assert connection.vendor == "postgresql"
    assert connection.pg_version >= 180000


@pytest.mark.xdist_group("kept-together")
def test_groups_of_tests_are_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist and pytest have to fit each other, or every process starts a demo of its own, silently."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@kept-together")
