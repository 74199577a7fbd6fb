"""The answer that tells a supervisor whether the pages can be served."""

from pathlib import Path

import pytest
import yaml
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


@pytest.fixture
def as_shipped(settings: LazySettings, repository_root: Path) -> None:
    """The hosts and the TLS of deploy/, whose pods and containers are probed from within."""
    text = (repository_root / "deploy/kubernetes/settings.yaml").read_text()
    shipped = next(
        m["data"] for m in yaml.safe_load_all(text) if m["metadata"]["name"] == "holdfast-settings"
    )
    settings.ALLOWED_HOSTS = shipped["HOLDFAST_ALLOWED_HOSTS"].split(",")
    settings.SECURE_SSL_REDIRECT = True
    assert "localhost" not in settings.ALLOWED_HOSTS


@pytest.mark.django_db
@pytest.mark.usefixtures("as_shipped")
def test_the_probes_of_the_web_pods_are_answered(client: Client, repository_root: Path) -> None:
    documents = yaml.safe_load_all((repository_root / "deploy/kubernetes/apps.yaml").read_text())
    web = next(m for m in documents if m["metadata"]["name"] == "holdfast-web" and m["kind"] == "Deployment")
    (container,) = web["spec"]["template"]["spec"]["containers"]
    for probe in ("readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        headers = {each["name"]: each["value"] for each in asked.get("httpHeaders", ())}
        answer = client.get(asked["path"], headers={"Host": "10.1.2.3:8000", **headers})
        assert answer.status_code == 200, f"{probe}: {answer.content!r}"


@pytest.mark.django_db
@pytest.mark.usefixtures("as_shipped")
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "10.1.2.3:8000", "[::1]:8000", "holdfast-web"])
def test_whoever_asks_within_may_name_the_pod_as_they_like(client: Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("as_shipped")
@pytest.mark.parametrize("path", ["/", "/sign-in/", "/healthz/", "/healthz/x"])
def test_no_other_page_answers_to_another_name(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "localhost"}, secure=True).status_code == 400
