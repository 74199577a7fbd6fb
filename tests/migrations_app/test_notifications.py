"""People who are not looking at the pages are told, once, and also when the receiver was away for a while."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from migrations_app.actions import running, signing
from migrations_app.actions.moving import move
from migrations_app.models import Migration, Notification
from migrations_app.states import State
from tests.migrations_app.making import WORKER, asked, at_sign_off
from tests.support.people import person
from worker import notifying

pytestmark = pytest.mark.django_db


class Receiver(BaseHTTPRequestHandler):
    got: list[dict[str, Any]]
    status = 200

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        type(self).got.append(json.loads(self.rfile.read(size)))
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(settings) -> Iterator[type[Receiver]]:  # type: ignore[no-untyped-def]
    kind = type("OwnReceiver", (Receiver,), {"got": [], "status": 200})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.HOLDFAST_NOTIFY_URL = f"http://127.0.0.1:{server.server_port}/hook"
    yield kind
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def test_a_gate_is_told_once_with_what_it_waits_for(receiver: type[Receiver]) -> None:
    migration = at_sign_off(person("operator"), state=State.RUNNING, current_step="test")
    move(migration, State.WAITING, actor=WORKER, verb="migration.wait", waiting_for="Test the application.")
    assert notifying.send_due() == 1
    assert notifying.send_due() == 0
    assert [m["kind"] for m in receiver.got] == ["needs-a-person"]
    assert "Test the application." in receiver.got[0]["text"]


def test_break_glass_shouts(receiver: type[Receiver], settings) -> None:  # type: ignore[no-untyped-def]
    settings.HOLDFAST_BREAK_GLASS = True
    request = asked(at_sign_off(person("operator")))
    signing.break_glass(
        by=person("admin"),
        request=request,
        reason="Nobody else can be reached.",
        covers_digest=request.covers_digest,
    )
    notifying.send_due()
    assert [m["kind"] for m in receiver.got] == ["break-glass"]
    assert "admin alone approved" in receiver.got[0]["text"]


def test_a_receiver_that_is_away_is_tried_again_later(receiver: type[Receiver]) -> None:
    receiver.status = 503
    running.pause(by=person("operator"), migration=at_sign_off(person("operator", name="operator2")))
    move(Migration.objects.get(), State.RUNNING, actor=WORKER, verb="migration.resume")
    move(Migration.objects.get(), State.FAILED, actor=WORKER, verb="migration.fail", note="no space")
    assert notifying.send_due() == 0
    row = Notification.objects.get()
    assert row.tries == 1 and row.next_try_at > timezone.now() and row.sent_at is None
    receiver.status = 200
    Notification.objects.update(next_try_at=timezone.now())
    assert notifying.send_due() == 1


def test_nothing_is_told_of_what_did_not_happen(receiver: type[Receiver]) -> None:
    migration = at_sign_off(person("operator"), state=State.RUNNING)
    with pytest.raises(RuntimeError), transaction.atomic():
        move(migration, State.FAILED, actor=WORKER, verb="migration.fail")
        raise RuntimeError
    assert not Notification.objects.exists()


def test_nobody_is_told_where_nobody_asked(settings) -> None:  # type: ignore[no-untyped-def]
    settings.HOLDFAST_NOTIFY_URL = ""
    move(at_sign_off(person("operator")), State.FAILED, actor=WORKER, verb="migration.fail")
    assert not Notification.objects.exists()
