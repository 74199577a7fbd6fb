"""What a mover says is on the open page within two seconds: through the worker's own reading of its log, and the page's own looking."""

import json
import statistics
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from cluster.values import Pod
from migrations_app.models import Migration, StepRun
from migrations_app.states import State
from tests.browser.conftest import Visit
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker import copying, movers
from worker.context import Context

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.django_db(transaction=True),
]
UPDATES = 7
WITHIN_S = 2.0


def copying_migration() -> Migration:
    migration = at_sign_off(person("operator", name="requester"), state=State.RUNNING, current_step="copy")
    # Not overdue, however long the test takes.
    migration.next_tick_at = timezone.now() + timedelta(hours=1)
    migration.save(update_fields=["next_tick_at"])
    StepRun.objects.create(migration=migration, step="copy", attempt=1)
    return migration


def say(migration: Migration, done: int) -> None:
    """A mover printed a line of progress, and a tick of the worker read its log."""
    line = {
        "t": "progress",
        "phase": "copy",
        "bytes": done,
        "bytes_total": 1_000_000,
        "files": done // 1000,
        "files_total": 1000,
        "rate_bytes_per_second": 50_000,
        "path": f"photo-{done}",
    }
    cluster = SimpleNamespace(pod_logs=lambda *_, **__: [(timezone.now(), json.dumps(line))])
    context = SimpleNamespace(
        migration=migration, run=migration.runs.get(step="copy"), cluster=cluster, memory={}
    )
    # `t` is first in what the mover prints, so the whole line is what it would be.
    movers._keep_log(
        cast("Context", context),
        migration.transfers.get(),
        "hf-copy",
        cast("Pod", SimpleNamespace(namespace="media", name="hf-copy-0", uid="uid-pod")),
    )


def test_what_a_mover_says_is_on_the_open_page_within_two_seconds(visit: Visit) -> None:
    migration = copying_migration()
    say(migration, 1000)
    page = visit(person("viewer"), f"/migrations/{migration.reference}/")
    bar = page.get_by_role("progressbar", name="library")
    expect(bar).to_have_attribute("data-bytes", "1000")
    lags = []
    for done in range(50_000, 50_000 * (UPDATES + 1), 50_000):
        said_at = time.monotonic()
        say(migration, done)
        expect(bar).to_have_attribute("data-bytes", str(done), timeout=20_000)
        lags.append(time.monotonic() - said_at)
    expect(page.locator("#state")).to_contain_text("342 KiB of 977 KiB")
    expect(page.locator("#state")).to_contain_text("350 of 1\u2009000 files")
    expect(page.locator("#state")).to_contain_text("48.8 KiB/s")
    expect(page.locator("#state")).to_contain_text("about 13 s left")
    # The worker reads the log of a running mover again after that long; the page cannot know sooner.
    late_s = statistics.median(lags) + copying.TICK_S
    assert late_s < WITHIN_S, f"the page is {late_s:.2f} s behind the mover: {lags}"
