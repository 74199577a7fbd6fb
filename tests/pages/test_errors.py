"""Errors that nobody expected: an id on the page, the trace in the log under that id, nothing of the inside for anybody else."""

import re

import pytest
from django.test import Client

from config import logs
from dashboard import standing
from tests.pages.conftest import SignedIn

pytestmark = pytest.mark.django_db


def test_an_unexpected_error_shows_an_id_that_is_in_the_log(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> list[object]:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(standing, "by_path", broken)
    viewer = signed_in("viewer")
    viewer.raise_request_exception = False
    caplog.handler.addFilter(logs.RequestId())
    answer = viewer.get("/")
    page = answer.content.decode()
    assert answer.status_code == 500 and "a secret of the inside" not in page
    shown = re.search(r"<code>([0-9a-f]{32})</code>", page)
    assert shown and shown[1] == answer["X-Request-ID"]
    record = next(record for record in caplog.records if record.exc_info)
    assert getattr(record, "request_id", "") == shown[1]


def test_what_is_not_there_says_so_in_the_house_style(signed_in: SignedIn) -> None:
    answer = signed_in("viewer").get("/migrations/m-nothing/")
    assert answer.status_code == 404 and b"Not there" in answer.content and b"holdfast.css" in answer.content


def test_a_form_without_its_token_is_not_sent_and_says_what_to_do() -> None:
    answer = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "operator", "password": "x"})
    assert answer.status_code == 403 and b"This form was not sent" in answer.content
