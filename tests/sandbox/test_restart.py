"""What survives a kill, and what a restart tells those who were watching."""

import itertools
import stat
from pathlib import Path

import pytest

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.kinds import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, Resource
from tests.sandbox.api_process import Api, running_api


def write(client: Client, name: str, **data: str) -> dict:
    return client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": data}, "default")


def test_every_answered_write_survives_a_kill(tmp_path: Path) -> None:
    with running_api(tmp_path) as api, api.client() as client:
        for number in range(50):
            write(client, f"c-{number}", value=str(number))
        client.delete(CONFIG_MAPS, "c-7", "default")
        last = client.patch(CONFIG_MAPS, "c-8", {"data": {"value": "changed"}}, "default")
        api.kill()
    with running_api(tmp_path) as api, api.client() as client:
        found = {item["metadata"]["name"]: item for item in client.list(CONFIG_MAPS, "default")}
        assert len(found) == 49
        assert "c-7" not in found
        assert found["c-8"] == last
        assert found["c-8"]["data"]["value"] == "changed"


def test_versions_never_go_back_even_over_a_deletion(tmp_path: Path) -> None:
    with running_api(tmp_path) as api, api.client() as client:
        write(client, "a")
        client.delete(CONFIG_MAPS, "a", "default")
        before = int(client.list_with_version(CONFIG_MAPS)[1])
        api.kill()
    with running_api(tmp_path) as api, api.client() as client:
        assert int(client.list_with_version(CONFIG_MAPS)[1]) >= before
        assert int(write(client, "b")["metadata"]["resourceVersion"]) > before


def test_a_restart_keeps_tokens_the_address_and_custom_kinds(tmp_path: Path) -> None:
    widgets = Resource("example.com", "v1", "widgets", "Widget")
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
    }
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [version],
    }
    with running_api(tmp_path) as api, api.client() as client:
        client.create(
            CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": "widgets.example.com"}, "spec": spec}
        )
        client.create(widgets, {"metadata": {"name": "one"}}, "default")
        kubeconfig = api.kubeconfig.read_text()
        api.kill()
    with running_api(tmp_path) as api, api.client() as client:
        assert api.kubeconfig.read_text() == kubeconfig
        assert client.get(widgets, "one", "default")["kind"] == "Widget"


def test_a_watch_from_before_the_restart_is_gone_and_the_client_lists_again(tmp_path: Path) -> None:
    with running_api(tmp_path) as api, api.client() as client:
        old = write(client, "a")["metadata"]["resourceVersion"]
        write(client, "b")
        api.kill()
    with running_api(tmp_path) as api, api.client() as client:
        with pytest.raises(ApiError) as caught:
            next(client.watch_once(CONFIG_MAPS, "default", {}, old))
        assert caught.value.gone
        events = list(itertools.islice(client.watch(CONFIG_MAPS, "default"), 3))
    assert [event.type for event in events] == ["ADDED", "ADDED", "SYNCED"]


def test_a_watch_that_falls_behind_the_history_is_told_so(tmp_path: Path) -> None:
    with running_api(tmp_path, "--watch-history", "20") as api, api.client() as client:
        old = write(client, "a")["metadata"]["resourceVersion"]
        for number in range(60):
            client.patch(CONFIG_MAPS, "a", {"data": {"n": str(number)}}, "default")
        with pytest.raises(ApiError) as caught:
            next(client.watch_once(CONFIG_MAPS, "default", {}, old))
        assert (caught.value.status, caught.value.reason) == (410, "Expired")


def test_an_expired_page_offers_a_way_on(tmp_path: Path) -> None:
    path = CONFIG_MAPS.path("default")
    with running_api(tmp_path) as api, api.client() as client:
        for name in ("a", "b", "c"):
            write(client, name)
        token = client.request("GET", path, params={"limit": "1"})["metadata"]["continue"]
        api.kill()
    with running_api(tmp_path) as api, api.client() as client:
        with pytest.raises(ApiError) as caught:
            client.request("GET", path, params={"limit": "1", "continue": token})
        assert caught.value.gone
        rest = client.request("GET", path, params={"continue": caught.value.body["metadata"]["continue"]})
        assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]
        assert len(client.list(CONFIG_MAPS, "default")) == 3


def test_secrets_on_disk_are_the_owners_alone(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        for path in (api.kubeconfig, api.data / "tokens.json", api.data / "pki" / "server.key"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"


@pytest.mark.parametrize(
    ("user", "method", "path", "allowed"),
    [
        ("holdfast-watcher", "GET", CLAIMS, True),
        ("holdfast-watcher", "DELETE", f"{CLAIMS}/none", False),
        ("holdfast-watcher", "GET", "/api/v1/namespaces/default/secrets", False),
        ("holdfast-watcher", "GET", "/api/v1/namespaces/kyverno/configmaps/kyverno", True),
        ("holdfast-prober", "DELETE", f"{CLAIMS}/none", True),
        ("holdfast-prober", "GET", "/api/v1/namespaces/default/pods/none/log", False),
        ("holdfast-worker", "DELETE", f"{CLAIMS}/none", True),
        ("holdfast-worker", "GET", "/api/v1/secrets", False),
        ("holdfast-worker", "DELETE", "/api/v1/namespaces/default", False),
        ("holdfast-worker", "DELETE", "/api/v1/persistentvolumes/none", False),
        ("holdfast-worker", "GET", "/apis/apps/v1/namespaces/default/deployments/none/scale", True),
    ],
)
def test_the_users_of_the_kubeconfig_have_the_rights_of_their_role(
    api: Api, user: str, method: str, path: str, allowed: bool
) -> None:
    with api.client(user) as client:
        try:
            client.request(method, path)
        except ApiError as error:
            assert (error.status != 403) is allowed, error.message
        else:
            assert allowed
