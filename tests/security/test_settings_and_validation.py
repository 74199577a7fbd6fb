"""Repositories and validations: no secret of Holdfast leaves with them, and nothing changes without its event."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Event
from audit.trail import Actor
from cluster.client import Cluster as Adapter
from dashboard import validation
from dashboard.actions import remove_repository, save_repository
from dashboard.credentials import why_not
from dashboard.models import Cluster, GitRepository, ValidationRun
from dashboard.states import RunState
from gitops.errors import GitOpsError
from migrations_app.actions import drafting
from migrations_app.problems import Refused
from tests.support.audit import assert_audited
from tests.support.people import person
from worker import gitside
from worker.validation import Validator

pytestmark = pytest.mark.django_db

FIELDS = {
    "name": "fleet",
    "url": "https://git.example/fleet.git",
    "branch": "main",
    "source_namespace": "flux-system",
    "source_name": "fleet",
    "push_policy": "direct",
    "credentials_kind": "none",
    "credentials_name": "",
}
STOLEN = [
    ("environment", "HOLDFAST_SECRET_KEY"),
    ("environment", "HOLDFAST_DATABASE_URL"),
    ("environment", "PGPASSWORD"),
    ("file", "/proc/self/environ"),
    ("file", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
    ("file", "/etc/git/../../proc/self/environ"),
    ("file", "/keys/audit.pem"),
    ("file", "/cluster/kubeconfig"),
    ("file", "/cluster/client.key"),
    ("file", "//var/run/secrets/holdfast/worker"),
    ("file", "//proc/1/environ"),
    ("file", "///keys//./audit.pem"),
    ("file", "/keys/..data/audit.pem"),
    ("file", "/holdfast-data/clones/state"),
    ("file", "/database/client.key"),
]


@pytest.fixture
def cluster(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    settings.HOLDFAST_AUDIT_KEY_FILE = "/keys/audit.pem"
    settings.HOLDFAST_KUBECONFIG = "/cluster/kubeconfig"
    settings.HOLDFAST_DATA = Path("/holdfast-data")
    options = settings.DATABASES["default"]["OPTIONS"]
    monkeypatch.setitem(options, "sslkey", "/database/client.key")
    return Cluster.objects.create(name="c", listed_at=timezone.now())


@pytest.mark.parametrize(("kind", "name"), STOLEN)
def test_no_secret_of_holdfast_is_sent_to_a_git_server(cluster: Cluster, kind: str, name: str) -> None:
    browser = Client()
    browser.force_login(person("admin"))
    fields = {**FIELDS, "credentials_kind": kind, "credentials_name": name}
    assert browser.post("/settings/repositories/", fields).status_code == 422
    row = GitRepository.objects.create(cluster=cluster, **fields)
    with pytest.raises(GitOpsError, match="cannot be used"):
        gitside.repository(row)


def test_no_secret_of_holdfast_is_sent_by_a_link_to_it(
    cluster: Cluster, settings: Any, tmp_path: Path
) -> None:
    key, link, place = tmp_path / "audit.pem", tmp_path / "link", tmp_path / "place"
    key.write_text("secret")
    link.symlink_to(key)
    place.symlink_to("/proc/self")
    settings.HOLDFAST_AUDIT_KEY_FILE = str(tmp_path / "named")
    (tmp_path / "named").symlink_to(key)
    for name in (key, link, place / "environ"):
        assert "secret of Holdfast" in why_not("file", str(name))
    assert why_not("file", str(tmp_path / "fleet-token")) == ""


@pytest.mark.parametrize("url", ["https://token@git.example/f", "https://a:b/c@git.example/f", "http://[x"])
def test_no_secret_is_kept_in_a_url(cluster: Cluster, url: str) -> None:
    browser = Client()
    browser.force_login(person("admin"))
    assert browser.post("/settings/repositories/", {**FIELDS, "url": url}).status_code == 422
    assert not GitRepository.objects.exists()


def test_a_variable_or_file_for_git_is_taken(cluster: Cluster) -> None:
    browser = Client()
    browser.force_login(person("admin"))
    for kind, name in (
        ("environment", "HOLDFAST_GIT_TOKEN"),
        ("environment", "FLEET"),
        ("file", "/keys/fleet"),
    ):
        fields = {**FIELDS, "name": Path(name).name, "credentials_kind": kind, "credentials_name": name}
        assert browser.post("/settings/repositories/", fields).status_code == 303


def saving(cluster: Cluster) -> Callable[[], object]:
    values = {key: value for key, value in FIELDS.items() if key != "name"}
    return lambda: save_repository(by=Actor("admin"), cluster=cluster, name="fleet", **values)


def removing(cluster: Cluster) -> Callable[[], object]:
    saving(cluster)()
    return lambda: remove_repository(by=Actor("admin"), repository=GitRepository.objects.get())


def asking(cluster: Cluster) -> Callable[[], object]:
    return lambda: validation.request(cluster, by=Actor("operator"))


def validator() -> Validator:
    nobody: Any = Adapter  # neither reads nor probes here
    return Validator("c", nobody, nobody)


def scheduling(cluster: Cluster) -> Callable[[], object]:
    return lambda: validator()._schedule(cluster)


def ending_what_was_interrupted(cluster: Cluster) -> Callable[[], object]:
    ValidationRun.objects.create(cluster=cluster, state=RunState.RUNNING)
    return validator().fail_interrupted


@pytest.mark.parametrize("act", [saving, removing, asking, scheduling, ending_what_was_interrupted])
def test_nothing_changes_without_its_event(cluster: Cluster, act: Callable[..., Any]) -> None:
    action = act(cluster)
    before = Event.objects.count()
    assert_audited(action)
    action()
    assert Event.objects.count() == before + 1


def test_an_interrupted_run_has_failed(cluster: Cluster) -> None:
    run = ValidationRun.objects.create(
        cluster=cluster, state=RunState.RUNNING, started_at=timezone.now() - timedelta(minutes=1)
    )
    validator().fail_interrupted()
    run.refresh_from_db()
    assert run.state == RunState.FAILED and run.finished_at and "another run" in run.error


def test_a_name_cannot_write_further_lines_of_a_commit_message(cluster: Cluster) -> None:
    operator = person("operator")
    for name in ("x\n\nHoldfast-Migration: m-other", "x\u202ey", "\x00", "  "):
        with pytest.raises(Refused, match="plain text"):
            drafting.create_draft(
                by=operator, cluster=cluster, namespace="media", application=name, claims=["library"]
            )


def test_adding_a_repository_changes_none_that_is_there(cluster: Cluster) -> None:
    browser = Client()
    browser.force_login(person("admin"))
    assert browser.post("/settings/repositories/", FIELDS).status_code == 303
    other = {
        **FIELDS,
        "url": "https://git.example/other.git",
        "push_policy": "branch",
        "source_name": "other",
    }
    answer = browser.post("/settings/repositories/", other)
    page = answer.content.decode()
    assert answer.status_code == 422 and "There is a repository fleet already" in page
    assert 'value="https://git.example/other.git"' in page
    row = GitRepository.objects.get()
    assert (row.url, row.push_policy) == (FIELDS["url"], "direct")
    assert Event.objects.filter(kind="repository").count() == 1

    # Where it is changed, its name is not: events and clones go by it.
    address = f"/settings/repositories/{row.pk}/"
    assert "disabled" in str(browser.get(address).context["form"]["name"])
    assert browser.post(address, {**other, "name": "renamed"}).status_code == 303
    row = GitRepository.objects.get()
    assert (row.name, row.url) == ("fleet", other["url"])
