"""Rings the worker's doorbell. The only module of the pages' side that knows of Celery.

A lost ring costs a few seconds: the worker's sweep finds what is due in PostgreSQL.
"""

import logging
from functools import cache

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

# The queue that worker.app listens on.
QUEUE = "ticks"

log = logging.getLogger(__name__)


@cache
def _sender() -> Celery:
    app = Celery("holdfast-doorbell", broker=settings.REDIS_URL)
    # A web request must not wait for a broker that is away.
    app.conf.update(
        broker_connection_timeout=1,
        broker_transport_options={
            "socket_connect_timeout": 1,
            "socket_timeout": 1,
            "max_retries": 0,
            "global_keyprefix": settings.HOLDFAST_REDIS_PREFIX,
        },
        task_default_queue=QUEUE,
        task_ignore_result=True,
    )
    return app


def _send(task: str, *args: object) -> None:
    try:
        _sender().send_task(task, args=args, retry=False, expires=60)
    except (OperationalError, OSError) as error:
        log.warning("doorbell not heard, the sweep will find it: %s", error)


def ring(migration_id: int) -> None:
    """Asks for a tick of the migration once the current transaction has committed."""
    transaction.on_commit(lambda: _send("worker.ticks.tick", migration_id))


def ask(task: str, *args: object) -> None:
    """Asks for another task of the worker, by name, once the current transaction has committed."""
    transaction.on_commit(lambda: _send(task, *args))
