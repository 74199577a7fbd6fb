"""Pages of one migration stay small and quick, however much was logged and recorded."""

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from audit.trail import Actor, record
from migrations_app.models import LogLine
from migrations_app.views.live import LINE_CHARACTERS, LOG_LINES, events_of
from tests.migrations_app.making import at_sign_off
from tests.support.people import person

pytestmark = pytest.mark.django_db


def test_the_log_page_is_bounded_and_the_download_is_streamed_whole() -> None:
    operator = person("operator")
    migration = at_sign_off(operator)
    LogLine.objects.bulk_create(
        LogLine(migration=migration, step="copy", job="hf-copy", at=timezone.now(), text="x" * 50_000)
        for _ in range(LOG_LINES + 10)
    )
    browser = Client()
    browser.force_login(operator)
    page = browser.get(f"/migrations/{migration.reference}/logs/")
    assert len(page.content) < LOG_LINES * (LINE_CHARACTERS + 500)
    whole = browser.get(f"/migrations/{migration.reference}/logs/", {"download": "1"})
    assert whole.streaming
    assert sum(len(part) for part in whole.streaming_content) > (LOG_LINES + 10) * 50_000


def test_the_events_of_a_migration_are_found_by_indexes() -> None:
    migration = at_sign_off(person("operator"))
    with transaction.atomic():
        for number in range(300):
            record(
                actor=Actor("admin"),
                verb="test",
                kind="claim",
                key=f"n/{number}",
                after={"migration": f"m-{number}"},
            )
    with connection.cursor() as cursor:
        # As for a long trail: reading all of it backwards is no way.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
    plan = events_of(migration)[:6].explain()
    assert "audit_by_migration" in plan and "audit_by_object" in plan, plan
