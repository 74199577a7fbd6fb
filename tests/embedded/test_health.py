"""The answer that tells a supervisor whether the pages can be served."""

import pytest
from django.conf import LazySettings
from django.test import Client


@pytest.mark.django_db
def test_it_needs_no_sign_in_and_says_only_words(client: Client, redis_url: str) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"database": "answers", "redis": "answers"}


@pytest.mark.django_db
def test_a_lost_redis_is_told_and_is_no_reason_to_stop_serving(
    client: Client, settings: LazySettings
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["redis"] == "away"


@pytest.mark.django_db
def test_the_kubelet_may_ask_without_tls(client: Client, settings: LazySettings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz").status_code == 200
