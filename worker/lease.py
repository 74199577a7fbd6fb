"""One tick at a time works on a migration: a lease in PostgreSQL, which no lost broker or killed worker can double.

It runs by the clock of PostgreSQL: that of a worker may be wrong, and would then end another one's lease.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from migrations_app.models import Migration
from migrations_app.states import TICKING

# Longer than the hard time limit of a tick (worker.app), after which its process no longer exists.
LEASE = timedelta(seconds=40)
# A ring a moment before the tick is due is as good as on time.
EARLY = timedelta(milliseconds=300)


class LostLease(Exception):
    """Somebody changed the migration while the tick ran, or took it over. What the tick found is dropped."""


@contextmanager
def lease(migration_id: int) -> Iterator[Migration | None]:
    """The migration, leased, or None when it is not due or another tick has it."""
    now = timezone.now()
    token = uuid.uuid4().hex
    taken = (
        Migration.objects.filter(pk=migration_id, state__in=TICKING, next_tick_at__lte=now + EARLY)
        .filter(Q(lease_until__isnull=True) | Q(lease_until__lt=Now()))
        .update(lease_token=token, lease_until=Now() + LEASE)
    )
    if taken != 1:
        yield None
        return
    try:
        yield Migration.objects.select_related("cluster").get(pk=migration_id)
    finally:
        Migration.objects.filter(pk=migration_id, lease_token=token).update(lease_token="", lease_until=None)


def check_held(migration: Migration) -> None:
    """Raises `LostLease` unless the migration is as it was leased. Locks its row for the rest of the transaction."""
    # no_key, as everywhere: who adds a row that refers to this one, and has the trail's lock already, must not wait for us who come to want it.
    held = (
        Migration.objects.select_for_update(no_key=True)
        .filter(
            pk=migration.pk,
            lease_token=migration.lease_token,
            lease_until__gt=Now(),
            version=migration.version,
        )
        .exists()
    )
    if not held:
        raise LostLease
