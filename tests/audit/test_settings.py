"""Settings that decide who may do what leave an event when they change, though nobody changes them through Holdfast."""

import logging
import subprocess
import sys
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from audit import posture
from audit.models import Event
from tests.support.audit import assert_audited
from tests.support.celery_process import ROOT, child_environment


@pytest.mark.django_db
def test_a_change_is_recorded_once_with_before_and_after(settings: Any) -> None:
    assert posture.note("web")
    assert not posture.note("web")
    settings.HOLDFAST_BREAK_GLASS, settings.HOLDFAST_APPROVALS = True, [("prod-*", 2), ("*", 1)]
    assert posture.note("web")
    event = Event.objects.latest("sequence")
    assert (event.verb, event.actor, event.key) == ("settings.change", "system:web", "web")
    assert event.before == {"HOLDFAST_BREAK_GLASS": False, "HOLDFAST_APPROVALS": [["*", 1]]}
    assert event.after["HOLDFAST_APPROVALS"] == [["prod-*", 2], ["*", 1]]
    assert posture.note("worker")
    assert Event.objects.count() == 3


@pytest.mark.django_db
def test_no_secret_is_among_them() -> None:
    posture.note("web")
    written = str(Event.objects.get().after)
    from django.conf import settings

    assert settings.SECRET_KEY not in written
    assert not {
        "SECRET_KEY",
        "DATABASES",
        "HOLDFAST_OIDC_CLIENT_SECRET",
        "REDIS_URL",
        "HOLDFAST_NOTIFY_URL",
    } & set(posture.NAMES)


def test_every_setting_that_decides_about_people_is_among_them() -> None:
    """A new setting of sign-off or sign-in is recorded, or is named here as one that decides nothing."""
    source = (ROOT / "config" / "settings.py").read_text()
    begin, end = source.index("# Sessions end after"), source.index("# The audit trail: where")
    deciding = {
        line.split(" = ")[0] for line in source[begin:end].splitlines() if line.startswith("HOLDFAST_")
    }
    deciding.add("HOLDFAST_AUDIT_CHECKPOINT_MINUTES")  # how much of the trail can be cut off unseen
    deciding |= {
        line.split(" = ")[0]
        for line in source[source.index("# Sign-off.") :].splitlines()
        if line.startswith("HOLDFAST_")
    }
    harmless = {"HOLDFAST_OIDC_NAME", "HOLDFAST_OIDC_SCOPE"}
    secret = {"HOLDFAST_OIDC_CLIENT_SECRET"}
    assert deciding - harmless - secret <= set(posture.NAMES)


@pytest.mark.django_db(transaction=True)
def test_the_web_server_records_them_as_it_starts() -> None:
    environment = child_environment(str(connection.settings_dict["NAME"]), HOLDFAST_BREAK_GLASS="1")
    done = subprocess.run(
        [sys.executable, "-c", "import config.wsgi"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    event = Event.objects.get(verb="settings.change")
    assert (event.key, event.after["HOLDFAST_BREAK_GLASS"]) == ("web", True)


@pytest.mark.django_db
def test_it_starts_without_a_database_says_so_and_records_them_once_it_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(part: str) -> None:
        raise DatabaseError("the database is down")

    note = posture.note
    monkeypatch.setattr(posture, "_owed", [])
    monkeypatch.setattr(posture, "note", down)
    monkeypatch.setattr(posture.connection, "close", lambda: None)
    with caplog.at_level(logging.WARNING):
        posture.note_at_start("web")
    assert "the settings of web could not be recorded: the database is down" in caplog.text
    assert Client().get("/healthz").status_code == 200
    assert "could still not be recorded" in caplog.text
    monkeypatch.setattr(posture, "note", note)
    for _ in range(2):
        assert Client().get("/healthz").status_code == 200
    assert Event.objects.get(verb="settings.change").key == "web"


@pytest.mark.django_db
def test_nothing_is_taken_for_known_that_was_not_recorded() -> None:
    assert_audited(lambda: posture.note("web"))
    assert posture.note("web")
