"""Sends notifications: one JSON POST each, tried again with growing pauses, given up after a day."""

import logging
from datetime import timedelta

import requests
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from migrations_app.models import Notification

log = logging.getLogger(__name__)

TIMEOUT_S = 5
BATCH = 20
FIRST_PAUSE_S = 10
LONGEST_PAUSE_S = 3600
GIVE_UP_AFTER = timedelta(days=1)


def send_due() -> int:
    """Sends what is due; how many were sent. Rows are locked one by one, so two workers never send one twice at once."""
    sent = 0
    for _ in range(BATCH):
        with transaction.atomic():
            row = _next()
            if row is None:
                return sent
            sent += _send(row)
    return sent


def _next() -> Notification | None:
    now = timezone.now()
    due = Notification.objects.filter(
        sent_at__isnull=True, next_try_at__lte=now, created_at__gt=now - GIVE_UP_AFTER
    )
    return due.select_for_update(skip_locked=True).select_related("migration__cluster").order_by("id").first()


def _send(row: Notification) -> bool:
    row.tries += 1
    try:
        answer = requests.post(
            settings.HOLDFAST_NOTIFY_URL, json=body(row), timeout=TIMEOUT_S, allow_redirects=False
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        pause_s = min(FIRST_PAUSE_S * 2 ** (row.tries - 1), LONGEST_PAUSE_S)
        row.next_try_at = timezone.now() + timedelta(seconds=pause_s)
        # The address may hold a secret: the kind of error is enough.
        row.error = type(error).__name__
        log.warning("notification %s was not taken (%s); again in %s s", row.pk, row.error, pause_s)
        row.save(update_fields=["tries", "next_try_at", "error"])
        return False
    row.sent_at = timezone.now()
    row.error = ""
    row.save(update_fields=["tries", "sent_at", "error"])
    return True


def body(row: Notification) -> dict[str, str]:
    """What is posted. `text` alone is what most chat systems show."""
    migration = row.migration
    return {
        "text": f"[{migration.cluster.name}] {row.text}",
        "kind": str(row.kind),
        "migration": migration.reference,
        "application": migration.application,
        "namespace": migration.source_namespace,
        "state": str(migration.state),
        "url": f"{settings.HOLDFAST_URL.rstrip('/')}{migration.get_absolute_url()}"
        if settings.HOLDFAST_URL
        else "",
        "at": row.created_at.isoformat(),
    }
