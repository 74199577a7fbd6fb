"""What the wire may hold: parts that are carried along, nulls that Go writes, quantities, YAML."""

import json

import pytest
import yaml

from cluster.quantities import amount, in_bytes, text_of
from cluster.values import Manifest

POD = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": None, "ownerReferences": None},
    "spec": {
        "nodeName": "node-1",
        "nodeSelector": {"zone": "a"},
        "affinity": {"nodeAffinity": {"b": 1, "a": [2]}},
        "tolerations": [{"key": "x"}],
        "volumes": [
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
            {"name": "config", "configMap": {"name": "c"}},
        ],
    },
    "status": {"phase": "Succeeded", "containerStatuses": None, "conditions": None},
}


def test_a_pod_with_every_carried_part_is_read(recorder, tmp_path):
    pod = recorder((200, POD)).cluster(tmp_path).get_pod("n", "p")
    assert pod.claims == ("data", "p-scratch")
    assert (pod.ephemeral_claims, pod.read_only_claims) == (("p-scratch",), ("data",))
    assert pod.node_selector_json == '{"zone":"a"}'
    assert pod.affinity_json == '{"nodeAffinity":{"a":[2],"b":1}}'
    assert pod.tolerations_json == '[{"key":"x"}]'
    assert pod.finished


def test_nulls_in_place_of_maps_and_lists_are_absent_parts(recorder, tmp_path):
    spec = {"nodeSelector": None, "affinity": None, "tolerations": None, "volumes": None}
    pod = recorder((200, {"metadata": {"name": "p"}, "spec": spec})).cluster(tmp_path).get_pod("n", "p")
    assert (pod.claims, pod.node_selector_json, pod.affinity_json, pod.labels) == ((), "", "", {})


def test_an_answer_that_is_no_object_of_kubernetes_is_not_taken_for_absent(recorder, tmp_path):
    from cluster.errors import Unavailable

    with pytest.raises(Unavailable):
        recorder((200, b"<html>sign in</html>")).cluster(tmp_path).get_pod("n", "p")
    with pytest.raises(Unavailable):
        recorder((502, b"<html>bad gateway</html>")).cluster(tmp_path).get_pod("n", "p")


@pytest.mark.parametrize(
    ("source", "driver", "affinity"),
    [
        ({"csi": {"driver": "d.example.org", "volumeHandle": "h"}}, "d.example.org", ""),
        (
            {"hostPath": {"path": "/x"}, "nodeAffinity": {"required": {"x": 1}}},
            "hostPath",
            '{"required":{"x":1}}',
        ),
        ({"nfs": {"server": "s", "path": "/"}}, "nfs", ""),
        ({"local": {"path": "/x"}}, "local", ""),
    ],
)
def test_a_volume_names_its_driver_and_keeps_its_spec(recorder, tmp_path, source, driver, affinity):
    spec = {"capacity": {"storage": "10Gi"}, "claimRef": {"namespace": "n", "name": "c", "uid": "u"}} | source
    volume = recorder((200, {"metadata": {"name": "pv"}, "spec": spec})).cluster(tmp_path).get_volume("pv")
    assert (volume.driver, volume.node_affinity_json, volume.capacity_bytes) == (driver, affinity, 10 * 2**30)
    assert json.loads(volume.spec_json) == spec


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("10Gi", 10 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("1e3", 1000),
        ("500M", 5 * 10**8),
        ("128974848000m", 128974848),
        ("1", 1),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1001m", 2),
        ("0", 0),
        (5, 5),
        ("2E", 2 * 10**18),
        ("1Ei", 2**60),
    ],
)
def test_quantities_become_whole_bytes_rounded_up(text, size_bytes):
    assert in_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "Gi", "1GiB", "one", "1 Gi x"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity"):
        amount(text)


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, 1024, 10 * 2**30, 3 * 2**29, 2**60])
def test_sizes_survive_being_written(size_bytes):
    assert in_bytes(text_of(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "no",
        "on",
        "y",
        "null",
        "~",
        "1",
        "0777",
        "1e3",
        "0x1f",
        "1_000",
        "1:30",
        "",
        "a: b",
        "- x",
        "#",
        "a\nb\n",
        " x ",
    ],
)
def test_yaml_text_means_the_same_to_a_yaml_1_1_reader_such_as_kubectl(text):
    manifest = Manifest.of(
        {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "data": {"v": text, text or "k": "v"}}
    )
    assert yaml.safe_load(manifest.yaml()) == manifest.data


def test_a_manifest_is_equal_whatever_the_order_of_its_keys():
    one = Manifest.of({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "namespace": "n"}})
    two = Manifest.of({"metadata": {"namespace": "n", "name": "a"}, "kind": "X", "apiVersion": "v1"})
    assert one == two
    with pytest.raises(ValueError, match=r"kind, metadata\.name"):
        Manifest.of({"apiVersion": "v1"})
