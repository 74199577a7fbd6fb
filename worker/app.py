"""The Celery application: short ticks, and the comparison with Git.

PostgreSQL holds every state, the broker is a doorbell. Tasks are acknowledged before they run: a tick that dies with its process
is rung again by the sweep, and a lease keeps two ticks of one migration apart. So no setting here may make a task wait, retry by itself
or keep a result.

Celery sets Django up once in each of its processes, since DJANGO_SETTINGS_MODULE is set. Web requests ring the doorbell through
`migrations_app.doorbell`, which uses the same broker, key prefix and queue.
"""

import importlib.util
import logging.config
import os

from celery import Celery
from celery.signals import setup_logging, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

QUEUE = "ticks"
SWEEP_EVERY_S = 5
COMPARE_EVERY_S = 20
TASK_SOFT_LIMIT_S = 25
TASK_HARD_LIMIT_S = 30
# The comparison with Git alone may take longer: a first clone of a large repository does.
COMPARE_SOFT_LIMIT_S = 240
COMPARE_HARD_LIMIT_S = 270

app = Celery("holdfast")
app.conf.update(
    broker_url=os.environ.get("HOLDFAST_REDIS_URL", "redis://127.0.0.1:6379/0"),
    # A message that was fetched and not yet begun comes back after this; far more than any task may take.
    broker_transport_options={
        "visibility_timeout": 600,
        "global_keyprefix": os.environ.get("HOLDFAST_REDIS_PREFIX", "holdfast:"),
        "socket_keepalive": True,
        "socket_connect_timeout": 3,
        "socket_timeout": 30,
        "health_check_interval": 15,
    },
    broker_connection_retry=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A ring that fails is given up at once; the sweep comes by anyway.
    task_publish_retry=False,
    task_default_queue=QUEUE,
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    result_backend=None,
    task_acks_late=False,
    task_soft_time_limit=TASK_SOFT_LIMIT_S,
    task_time_limit=TASK_HARD_LIMIT_S,
    worker_prefetch_multiplier=1,
    worker_concurrency=int(os.environ.get("HOLDFAST_WORKER_PROCESSES", "2")),
    worker_max_tasks_per_child=1000,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    timezone="UTC",
    imports=["worker.ticks", "worker.protecting", "worker.declared"]
    if importlib.util.find_spec("worker.ticks")
    else [],
    beat_schedule={
        "sweep": {
            "task": "worker.ticks.sweep",
            "schedule": float(SWEEP_EVERY_S),
            # After an outage of the worker one sweep is enough: the others expire unread.
            "options": {"expires": SWEEP_EVERY_S},
        },
        "protection": {
            "task": "worker.protecting.sweep",
            "schedule": float(SWEEP_EVERY_S),
            "options": {"expires": SWEEP_EVERY_S},
        },
        "compare with git": {
            "task": "worker.declared.refresh",
            "schedule": float(COMPARE_EVERY_S),
            "options": {"expires": COMPARE_EVERY_S},
        },
        "forget ended sessions": {
            "task": "worker.ticks.forget_sessions",
            "schedule": 3600.0,
            "options": {"expires": 600},
        },
        "audit checkpoint": {
            "task": "worker.ticks.checkpoint",
            "schedule": 60.0 * int(os.environ.get("HOLDFAST_AUDIT_CHECKPOINT_MINUTES", "10")),
            "options": {"expires": 60},
        },
    },
)


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_as_the_web_does(**_: object) -> None:
    """Keeps Celery from installing handlers of its own; Django's LOGGING says how logs look."""
    from django.conf import settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if settings.LOGGING:
        logging.config.dictConfig(settings.LOGGING)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _say_what_it_signs(**_: object) -> None:
    from audit import checkpoint

    checkpoint.say_at_start()
