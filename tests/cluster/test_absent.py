"""Absent is what the API server says is absent: a page of something in between is an outage, never an empty cluster."""

import pytest

from cluster.base import Ref
from cluster.errors import Unavailable
from cluster.values import Volume
from tests.cluster.recording import status

PAGE = (404, "default backend - 404")
GROUPS = (200, {"groups": [{"name": "kustomize.toolkit.fluxcd.io", "versions": [{"version": "v1"}]}]})


@pytest.mark.parametrize(
    "ask",
    [
        lambda cluster: cluster.list_pods("media"),
        lambda cluster: cluster.list_volume_attachments(),
        lambda cluster: cluster.get_claim("media", "data"),
        lambda cluster: cluster.get_volume("pv"),
        lambda cluster: cluster.get_kustomization("flux-system", "apps"),
    ],
    ids=["pods", "attachments", "claim", "volume", "kustomization"],
)
def test_a_404_of_a_proxy_says_nothing_about_the_cluster(recorder, tmp_path, ask):
    with pytest.raises(Unavailable, match="not the API server"):
        ask(recorder(PAGE).cluster(tmp_path))


def test_a_404_for_a_group_that_is_listed_does_not_say_that_flux_is_not_there(recorder, tmp_path):
    with pytest.raises(Unavailable):
        recorder(GROUPS, PAGE).cluster(tmp_path).get_kustomization("flux-system", "apps")


def test_a_404_for_a_kind_that_is_served_does_not_say_that_its_object_is_gone(recorder, tmp_path):
    served = (200, {"resources": [{"name": "kustomizations", "kind": "Kustomization", "namespaced": True}]})
    with pytest.raises(Unavailable, match="not the API server"):
        recorder(GROUPS, served, PAGE, GROUPS, served).cluster(tmp_path).get_kustomization("flux-system", "a")
    # Removed since it was looked up: what answers is the API server, and the kind is not there.
    gone = (200, {"groups": []})
    server = recorder(GROUPS, served, PAGE, gone)
    assert server.cluster(tmp_path).get_kustomization("flux-system", "a") is None


def test_a_404_for_a_built_in_kind_that_need_not_be_served_is_asked_about(recorder, tmp_path):
    groups = (200, {"groups": [{"name": "policy", "versions": [{"version": "v1"}]}]})
    with pytest.raises(Unavailable, match="not the API server"):
        recorder(PAGE, groups).cluster(tmp_path).list_disruption_budgets("media")
    old = (200, {"groups": [{"name": "policy", "versions": [{"version": "v1beta1"}]}]})
    assert recorder(PAGE, old).cluster(tmp_path).list_disruption_budgets("media") == []


def test_what_the_api_server_says_is_absent_is_absent(recorder, tmp_path):
    answer = status(404, "NotFound", 'persistentvolumeclaims "data" not found', name="data")
    assert recorder(answer).cluster(tmp_path).get_claim("media", "data") is None
    assert recorder((200, {"groups": []})).cluster(tmp_path).get_kustomization("a", "b") is None


def test_a_change_whose_result_could_not_be_read_again_counts_as_perhaps_made(recorder, tmp_path):
    """Otherwise it is recorded as refused, and Roll back never puts the replicas back."""
    scaled = (200, {"metadata": {"name": "db", "uid": "u", "resourceVersion": "2"}})
    server = recorder(scaled, status(503, "ServiceUnavailable", "etcd is away"))
    with pytest.raises(Unavailable) as caught:
        server.cluster(tmp_path).scale("Deployment", "media", "db", 0, resource_version="1")
    assert caught.value.maybe_done
    volume = Volume(ref=Ref("v1", "PersistentVolume", "", "pv", "u"), resource_version="1")
    server = recorder(scaled, status(503, "ServiceUnavailable", "etcd is away"))
    with pytest.raises(Unavailable) as caught:
        server.cluster(tmp_path).set_reclaim_policy(volume, "Retain")
    assert caught.value.maybe_done
