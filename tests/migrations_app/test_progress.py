"""What the page says of movers: at work, silent, or done while others still work."""

from datetime import timedelta

import pytest
from django.utils import timezone

from migrations_app.models import StepRun
from migrations_app.states import State
from migrations_app.views import live
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker import copying

pytestmark = pytest.mark.django_db
AGO = timedelta(minutes=2)


def test_a_mover_that_is_done_is_not_called_silent() -> None:
    migration = at_sign_off(person("operator"), state=State.RUNNING, current_step="copy")
    transfer = migration.transfers.get()
    transfer.progress = {
        "job": "hf-copy-1-1",
        "step": "copy",
        "phase": "copy",
        "bytes": 10,
        "bytes_total": 30,
        "totals": "growing",
        "at": (timezone.now() - AGO).isoformat(),
    }
    silent = live.progress_of(migration, transfer.progress)
    assert silent and silent["silent_s"] > 100 and silent["percent"] is None
    copying._ended(transfer, "hf-copy-1-1", {"bytes": 40, "counts": {"files": 3}, "rate_bytes_per_second": 9})
    transfer.refresh_from_db()
    done = live.progress_of(migration, transfer.progress)
    assert done and (done["phase"], done["percent"], done["silent_s"]) == ("done", 100, None)
    assert (done["bytes"], done["bytes_total"], done["files"]) == (40, 40, 3)


def test_a_word_about_another_job_is_left_alone() -> None:
    transfer = at_sign_off(person("operator")).transfers.get()
    transfer.progress = {"job": "hf-copy-1-2", "bytes": 1}
    copying._ended(transfer, "hf-copy-1-1", {"bytes": 40})
    assert transfer.progress == {"job": "hf-copy-1-2", "bytes": 1}


def test_a_migration_that_was_undone_waits_for_nothing() -> None:
    migration = at_sign_off(person("operator"), state=State.UNDONE, current_step="retain")
    StepRun.objects.create(
        migration=migration, step="retain", attempt=1, state="waiting", message="Undo is possible."
    )
    rows = {item["step"].key: item for group in live.phases(migration) for item in group["steps"]}
    assert (rows["retain"]["state"].label, "possible" in rows["retain"]["note"]) == ("Stopped", False)
