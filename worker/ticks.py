"""The tasks of the worker. Each is short; none sleeps; losing one costs seconds."""

import logging

from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from audit import checkpoint as audit_checkpoint
from audit import posture
from migrations_app.models import Migration, Notification
from migrations_app.states import TICKING
from worker import engine, notifying
from worker.app import app

log = logging.getLogger(__name__)

# Sooner than this is worth a message of its own; later ones are found by the sweep.
SOON_S = 4.0
# How many ticks one sweep asks for. What is left over is found by the next one.
SWEEP_BATCH = 200


@app.task(name="worker.ticks.tick")  # type: ignore[untyped-decorator]
def tick(migration_id: int) -> None:
    """Works on one migration once, and asks for the next look when it is due soon."""
    after_s = engine.tick(migration_id)
    if after_s is not None and after_s < SOON_S:
        tick.apply_async(args=[migration_id], countdown=after_s, expires=60)


@app.task(name="worker.ticks.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Asks for a tick of everything that is due: PostgreSQL knows, whatever became of the messages."""
    due = Migration.objects.filter(state__in=TICKING, next_tick_at__lte=timezone.now()).order_by(
        "next_tick_at"
    )
    for migration_id in due.values_list("pk", flat=True)[:SWEEP_BATCH]:
        tick.apply_async(args=[migration_id], expires=60)
    if Notification.objects.filter(sent_at__isnull=True, next_try_at__lte=timezone.now()).exists():
        notify.apply_async(expires=60)


@app.task(name="worker.ticks.checkpoint")  # type: ignore[untyped-decorator]
def checkpoint() -> None:
    """Signs the head of the audit trail where a key is given, so that cutting its end off shows."""
    posture.note("worker")
    audit_checkpoint.write()


@app.task(name="worker.ticks.forget_sessions")  # type: ignore[untyped-decorator]
def forget_sessions() -> None:
    """Removes sessions that have ended: nobody can use them any more, and their rows would pile up."""
    SessionStore.clear_expired()


@app.task(name="worker.ticks.notify")  # type: ignore[untyped-decorator]
def notify() -> None:
    """Sends notifications that are due. Asked for when one is written, and by each sweep."""
    notifying.send_due()
