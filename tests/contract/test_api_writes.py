"""What create, replace and delete promise: names, versions, preconditions, dry runs, finalizers."""

import pytest

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.kinds import CONFIG_MAPS, JOBS, NAMESPACES, PERSISTENT_VOLUME_CLAIMS
from tests.contract.place import Place

pytestmark = pytest.mark.contract

NOWHERE = "no-such-class"


def config(place: Place, name: str = "settings", **data: str) -> dict:
    return place.create(CONFIG_MAPS, name, data=data or {"color": "blue"})


def pending_claim(place: Place, name: str = "data") -> dict:
    return place.claim(name, storageClassName=NOWHERE)


def suspended_job(place: Place, name: str = "copy") -> dict:
    return place.job(name, "true", suspend=True)


def test_a_name_is_taken_once(place: Place) -> None:
    config(place)
    with pytest.raises(ApiError) as caught:
        config(place)
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")
    assert caught.value.message == 'configmaps "settings" already exists'


def test_a_generated_name_begins_as_asked(place: Place) -> None:
    made = place.client.create(CONFIG_MAPS, {"metadata": {"generateName": "copy-"}}, place.namespace)
    assert made["metadata"]["name"].startswith("copy-")
    assert len(made["metadata"]["name"]) == len("copy-") + 5


def test_an_object_needs_its_namespace(contract_client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        contract_client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "no-such-namespace")
    assert caught.value.status == 404
    assert caught.value.message == 'namespaces "no-such-namespace" not found'


def test_a_dry_run_creates_nothing(place: Place) -> None:
    made = place.client.create(CONFIG_MAPS, {"metadata": {"name": "ghost"}}, place.namespace, dry_run=True)
    assert made["metadata"]["uid"]
    assert place.get(CONFIG_MAPS, "ghost") is None


def test_a_dry_run_changes_and_deletes_nothing(place: Place) -> None:
    before = config(place)
    patched = place.client.patch(
        CONFIG_MAPS, "settings", {"data": {"color": "red"}}, place.namespace, dry_run=True
    )
    assert patched["data"]["color"] == "red"
    place.client.delete(CONFIG_MAPS, "settings", place.namespace, dry_run=True)
    assert (
        place.get(CONFIG_MAPS, "settings")["metadata"]["resourceVersion"]
        == before["metadata"]["resourceVersion"]
    )


def test_a_body_makes_a_delete_ignore_the_dry_run_of_the_query(place: Place) -> None:
    """The trap: this looks like a dry run and deletes."""
    config(place)
    path = CONFIG_MAPS.path(place.namespace, "settings")
    place.client.request("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1"}, {"dryRun": "All"})
    assert place.get(CONFIG_MAPS, "settings") is None


def test_a_delete_without_body_honours_the_dry_run_of_the_query(place: Place) -> None:
    config(place)
    place.client.request("DELETE", CONFIG_MAPS.path(place.namespace, "settings"), params={"dryRun": "All"})
    assert place.get(CONFIG_MAPS, "settings") is not None


def test_a_replace_with_a_stale_version_conflicts(place: Place) -> None:
    stale = config(place)
    place.client.patch(CONFIG_MAPS, "settings", {"data": {"color": "red"}}, place.namespace)
    with pytest.raises(ApiError) as caught:
        place.client.replace(CONFIG_MAPS, {**stale, "data": {"color": "green"}})
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert "the object has been modified" in caught.value.message
    assert place.get(CONFIG_MAPS, "settings")["data"] == {"color": "red"}


def test_a_merge_patch_with_a_stale_version_conflicts(place: Place) -> None:
    stale = config(place)["metadata"]["resourceVersion"]
    place.client.patch(CONFIG_MAPS, "settings", {"data": {"color": "red"}}, place.namespace)
    with pytest.raises(ApiError) as caught:
        patch = {"metadata": {"resourceVersion": stale}, "data": {"color": "green"}}
        place.client.patch(CONFIG_MAPS, "settings", patch, place.namespace)
    assert caught.value.conflict


@pytest.mark.parametrize(
    "wrong", [{"uid": "00000000-0000-0000-0000-000000000000"}, {"resource_version": "1"}]
)
def test_a_delete_with_a_wrong_precondition_conflicts(place: Place, wrong: dict[str, str]) -> None:
    config(place)
    with pytest.raises(ApiError) as caught:
        place.client.delete(CONFIG_MAPS, "settings", place.namespace, **wrong)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert place.get(CONFIG_MAPS, "settings") is not None


def test_a_delete_with_the_right_preconditions_deletes(place: Place) -> None:
    meta = config(place)["metadata"]
    options = {"uid": meta["uid"], "resource_version": meta["resourceVersion"]}
    place.client.delete(CONFIG_MAPS, "settings", place.namespace, **options)
    assert place.get(CONFIG_MAPS, "settings") is None


def test_a_write_that_changes_nothing_keeps_the_version(place: Place) -> None:
    before = config(place)
    same = place.client.patch(CONFIG_MAPS, "settings", {"data": {"color": "blue"}}, place.namespace)
    assert same["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_only_a_change_of_the_spec_counts_as_a_generation(place: Place) -> None:
    made = suspended_job(place)
    labelled = place.client.patch(JOBS, "copy", {"metadata": {"labels": {"a": "b"}}}, place.namespace)
    changed = place.client.patch(JOBS, "copy", {"spec": {"parallelism": 0}}, place.namespace)
    first = made["metadata"]["generation"]
    assert [labelled["metadata"]["generation"], changed["metadata"]["generation"]] == [first, first + 1]


def test_a_plain_write_cannot_set_the_status(place: Place) -> None:
    pending_claim(place)
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"status": {"phase": "Lost"}}, place.namespace)
    assert place.get(PERSISTENT_VOLUME_CLAIMS, "data")["status"]["phase"] == "Pending"


def test_a_claim_has_its_protection_and_its_mode_from_the_start(place: Place) -> None:
    made = pending_claim(place)
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert made["spec"]["volumeMode"] == "Filesystem"


def test_an_object_with_a_finalizer_lingers_until_it_is_removed(place: Place) -> None:
    config(place)
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    place.client.patch(CONFIG_MAPS, "settings", hold, place.namespace)
    place.client.delete(CONFIG_MAPS, "settings", place.namespace)
    lingering = place.get(CONFIG_MAPS, "settings")
    assert lingering["metadata"]["deletionTimestamp"]
    place.client.patch(CONFIG_MAPS, "settings", {"metadata": {"finalizers": None}}, place.namespace)
    assert place.get(CONFIG_MAPS, "settings") is None


def test_a_deletion_cannot_be_taken_back_nor_held_by_a_new_finalizer(place: Place) -> None:
    config(place)
    place.client.patch(
        CONFIG_MAPS, "settings", {"metadata": {"finalizers": ["example.com/hold"]}}, place.namespace
    )
    place.client.delete(CONFIG_MAPS, "settings", place.namespace)
    place.client.patch(CONFIG_MAPS, "settings", {"metadata": {"deletionTimestamp": None}}, place.namespace)
    assert place.get(CONFIG_MAPS, "settings")["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    with pytest.raises(ApiError) as caught:
        place.client.patch(CONFIG_MAPS, "settings", more, place.namespace)
    assert caught.value.status == 422
    assert "no new finalizers can be added" in caught.value.message
    place.client.patch(CONFIG_MAPS, "settings", {"metadata": {"finalizers": None}}, place.namespace)


def test_deleting_a_job_orphans_its_pods_by_default_and_says_so(place: Place) -> None:
    place.job("copy", "true", suspend=True)
    place.client.patch(JOBS, "copy", {"metadata": {"finalizers": ["example.com/hold"]}}, place.namespace)
    answer = place.client.send("DELETE", JOBS.path(place.namespace, "copy"))
    assert "orphan" in answer.json()["metadata"]["finalizers"]
    assert "child pods are preserved by default" in answer.headers["warning"]
    drop = [{"op": "remove", "path": "/metadata/finalizers"}]
    place.client.patch(JOBS, "copy", drop, place.namespace, type="json")


def test_deleting_a_job_in_the_background_does_not_mark_it_for_orphans(place: Place) -> None:
    suspended_job(place)
    place.client.delete(JOBS, "copy", place.namespace, propagation="Background")
    assert place.get(JOBS, "copy") is None


def test_deleting_a_collection_honours_the_selector(place: Place) -> None:
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        place.create(CONFIG_MAPS, name, metadata={"labels": {"color": color}})
    path = CONFIG_MAPS.path(place.namespace)
    place.client.request("DELETE", path, params={"labelSelector": "color=red"})
    kept = [
        item["metadata"]["name"]
        for item in place.client.list(CONFIG_MAPS, place.namespace, label_selector="color")
    ]
    assert kept == ["c"]


def test_a_namespace_in_deletion_takes_nothing_new(place: Place) -> None:
    config(place)
    place.client.patch(
        CONFIG_MAPS, "settings", {"metadata": {"finalizers": ["example.com/hold"]}}, place.namespace
    )
    place.client.delete(NAMESPACES, place.namespace)
    with pytest.raises(ApiError) as caught:
        config(place, "late")
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert "because it is being terminated" in caught.value.message
    place.wait(CONFIG_MAPS, "settings", lambda item: item["metadata"].get("deletionTimestamp"))
    place.client.patch(CONFIG_MAPS, "settings", {"metadata": {"finalizers": None}}, place.namespace)


def test_a_status_error_says_what_it_is_about(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        place.client.get(PERSISTENT_VOLUME_CLAIMS, "missing", place.namespace)
    body = caught.value.body
    assert (body["kind"], body["status"], body["code"], body["reason"]) == (
        "Status",
        "Failure",
        404,
        "NotFound",
    )
    assert body["message"] == 'persistentvolumeclaims "missing" not found'
    assert body["details"] == {"name": "missing", "kind": "persistentvolumeclaims"}
