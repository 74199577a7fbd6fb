"""What the four patch types do, and who owns a field afterwards."""

import pytest

from sandbox.answers import ApiError
from sandbox.kinds import CONFIG_MAPS, DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS
from tests.contract.place import Place

pytestmark = pytest.mark.contract

ANNOTATION = "kustomize.toolkit.fluxcd.io/prune"


def config(place: Place, **data: str) -> dict:
    return place.create(CONFIG_MAPS, "settings", data=data)


def deployment(place: Place) -> dict:
    containers = [
        {
            "name": "main",
            "image": "alpine:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        },
        {"name": "side", "image": "alpine:1"},
    ]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return place.create(DEPLOYMENTS, "web", spec=spec)


def containers_of(item: dict) -> dict[str, dict]:
    return {one["name"]: one for one in item["spec"]["template"]["spec"]["containers"]}


def test_a_merge_patch_merges_maps_and_null_removes(place: Place) -> None:
    config(place, a="1", b="2")
    patched = place.client.patch(CONFIG_MAPS, "settings", {"data": {"b": None, "c": "3"}}, place.namespace)
    assert patched["data"] == {"a": "1", "c": "3"}


def test_a_strategic_patch_finds_list_items_by_their_key(place: Place) -> None:
    deployment(place)
    items = [{"name": "main", "env": [{"name": "B", "value": "9"}]}]
    patch = {"spec": {"template": {"spec": {"containers": items}}}}
    patched = place.client.patch(DEPLOYMENTS, "web", patch, place.namespace, type="strategic")
    found = containers_of(patched)
    assert set(found) == {"main", "side"}
    assert {one["name"]: one["value"] for one in found["main"]["env"]} == {"A": "1", "B": "9"}


def test_a_strategic_patch_deletes_a_list_item(place: Place) -> None:
    deployment(place)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    patched = place.client.patch(DEPLOYMENTS, "web", patch, place.namespace, type="strategic")
    assert set(containers_of(patched)) == {"main"}


def test_a_merge_patch_replaces_a_list(place: Place) -> None:
    deployment(place)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "alpine"}]}}}}
    patched = place.client.patch(DEPLOYMENTS, "web", patch, place.namespace)
    assert set(containers_of(patched)) == {"other"}


def test_a_json_patch_whose_test_fails_changes_nothing(place: Place) -> None:
    config(place, a="1")
    operations = [
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "test", "path": "/data/a", "value": "another"},
    ]
    with pytest.raises(ApiError) as caught:
        place.client.patch(CONFIG_MAPS, "settings", operations, place.namespace, type="json")
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert place.get(CONFIG_MAPS, "settings")["data"] == {"a": "1"}


def test_a_json_patch_removes_an_annotation_with_a_slash_in_its_key(place: Place) -> None:
    place.create(CONFIG_MAPS, "settings", metadata={"annotations": {ANNOTATION: "disabled", "kept": "yes"}})
    operations = [{"op": "remove", "path": f"/metadata/annotations/{ANNOTATION.replace('/', '~1')}"}]
    patched = place.client.patch(CONFIG_MAPS, "settings", operations, place.namespace, type="json")
    assert patched["metadata"]["annotations"] == {"kept": "yes"}


def test_a_json_patch_of_a_missing_path_is_refused(place: Place) -> None:
    config(place, a="1")
    with pytest.raises(ApiError) as caught:
        place.client.patch(
            CONFIG_MAPS, "settings", [{"op": "remove", "path": "/data/b"}], place.namespace, type="json"
        )
    assert caught.value.status == 422


def apply(place: Place, manager: str, *, force: bool = False, **data: str) -> dict:
    body = {"metadata": {"name": "settings", "namespace": place.namespace}, "data": data}
    return place.client.apply(CONFIG_MAPS, body, field_manager=manager, force=force)


def owners(item: dict) -> dict[tuple[str, str], list[str]]:
    """(manager, operation) -> names of the owned data fields"""
    return {
        (one["manager"], one["operation"]): sorted(one["fieldsV1"].get("f:data", {}))
        for one in item["metadata"]["managedFields"]
    }


def test_an_apply_creates_and_owns_what_it_says(place: Place) -> None:
    made = apply(place, "flux", a="1")
    assert owners(made) == {("flux", "Apply"): ["f:a"]}


def test_an_apply_removes_what_it_no_longer_says(place: Place) -> None:
    apply(place, "flux", a="1", b="2")
    assert apply(place, "flux", a="1")["data"] == {"a": "1"}


def test_an_apply_keeps_what_another_manager_added(place: Place) -> None:
    apply(place, "flux", a="1")
    place.client.patch(
        CONFIG_MAPS, "settings", {"data": {"extra": "x"}}, place.namespace, field_manager="person"
    )
    assert apply(place, "flux", a="1")["data"] == {"a": "1", "extra": "x"}


def test_an_apply_keeps_a_removed_field_that_another_manager_also_owns(place: Place) -> None:
    apply(place, "flux", a="1", b="2")
    apply(place, "helm", b="2")
    assert apply(place, "flux", a="1")["data"] == {"a": "1", "b": "2"}


def test_an_apply_conflicts_with_another_managers_value(place: Place) -> None:
    apply(place, "flux", a="1")
    place.client.patch(CONFIG_MAPS, "settings", {"data": {"a": "2"}}, place.namespace, field_manager="person")
    with pytest.raises(ApiError) as caught:
        apply(place, "flux", a="1")
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert 'conflict with "person"' in caught.value.message
    assert caught.value.body["details"]["causes"][0]["field"] == ".data.a"
    assert place.get(CONFIG_MAPS, "settings")["data"] == {"a": "2"}


def test_a_forced_apply_takes_the_field_over(place: Place) -> None:
    apply(place, "flux", a="1")
    place.client.patch(CONFIG_MAPS, "settings", {"data": {"a": "2"}}, place.namespace, field_manager="person")
    taken = apply(place, "flux", force=True, a="1")
    assert taken["data"] == {"a": "1"}
    assert owners(taken) == {("flux", "Apply"): ["f:a"]}


def test_the_same_apply_again_keeps_the_version(place: Place) -> None:
    first = apply(place, "flux", a="1")
    again = apply(place, "flux", a="1")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_an_apply_does_not_take_away_what_the_cluster_added(place: Place) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "no-such-class",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    body = {"metadata": {"name": "data", "namespace": place.namespace}, "spec": spec}
    for _ in range(2):
        found = place.client.apply(PERSISTENT_VOLUME_CLAIMS, body, field_manager="flux", force=True)
    assert "kubernetes.io/pvc-protection" in found["metadata"]["finalizers"]
    assert found["spec"]["volumeMode"] == "Filesystem"


def test_an_apply_merges_containers_by_name_and_leaves_the_others_fields(place: Place) -> None:
    deployment(place)
    config = {
        "metadata": {"name": "web", "namespace": place.namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "alpine:2"}]},
            },
        },
    }
    applied = place.client.apply(DEPLOYMENTS, config, field_manager="flux", force=True)
    found = containers_of(applied)
    assert found["main"]["image"] == "alpine:2"
    assert found["side"]["image"] == "alpine:1"
    assert len(found["main"]["env"]) == 2


def test_scaling_touches_the_replicas_alone(place: Place) -> None:
    deployment(place)
    scale = place.client.request("GET", DEPLOYMENTS.path(place.namespace, "web", "scale"))
    assert scale["kind"] == "Scale"
    place.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, place.namespace, subresource="scale")
    before = place.get(DEPLOYMENTS, "web")
    answer = place.client.patch(
        DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, place.namespace, subresource="scale", dry_run=True
    )
    assert answer["spec"]["replicas"] == 2
    assert place.get(DEPLOYMENTS, "web")["spec"] == before["spec"]
