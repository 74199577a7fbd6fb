"""What a claim, a volume, a StatefulSet and a Job may not become, and how the API says so."""

import secrets
from collections.abc import Iterator

import pytest

from sandbox.answers import ApiError, Object
from sandbox.kinds import CONFIG_MAPS, JOBS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STATEFUL_SETS
from tests.contract.place import Place

pytestmark = pytest.mark.contract


def refused(error: pytest.ExceptionInfo[ApiError]) -> str:
    assert (error.value.status, error.value.reason) == (422, "Invalid")
    return error.value.message


def pending_claim(place: Place, **spec: object) -> Object:
    return place.claim("data", storageClassName="no-such-class", **spec)


@pytest.mark.parametrize(
    "change",
    [
        {"accessModes": ["ReadWriteMany"]},
        {"resources": {"requests": {"storage": "2Gi"}}},
        {"storageClassName": "another"},
        {"volumeMode": "Block"},
    ],
)
def test_the_spec_of_a_claim_is_fixed(place: Place, change: Object) -> None:
    pending_claim(place)
    with pytest.raises(ApiError) as caught:
        place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"spec": change}, place.namespace)
    assert "spec: Forbidden: spec is immutable after creation" in refused(caught)


def test_the_volume_of_a_claim_is_named_once(place: Place) -> None:
    pending_claim(place)
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"spec": {"volumeName": "v1"}}, place.namespace)
    with pytest.raises(ApiError) as caught:
        place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"spec": {"volumeName": "v2"}}, place.namespace)
    refused(caught)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"accessModes": []}, "at least 1 access mode is required"),
        ({"resources": {}}, "spec.resources[storage]: Required value"),
        ({"accessModes": ["ReadSometimes"]}, 'Unsupported value: "ReadSometimes"'),
        ({"resources": {"requests": {"storage": "0"}}}, "must be greater than zero"),
    ],
)
def test_a_claim_must_say_what_it_needs(place: Place, spec: Object, complaint: str) -> None:
    with pytest.raises(ApiError) as caught:
        pending_claim(place, **spec)
    assert complaint in refused(caught)


def test_a_quantity_is_written_in_its_canonical_form(place: Place) -> None:
    made = pending_claim(place, resources={"requests": {"storage": "1024Mi"}})
    assert made["spec"]["resources"]["requests"]["storage"] == "1Gi"


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254])
def test_a_name_must_be_a_domain_name(place: Place, name: str) -> None:
    with pytest.raises(ApiError) as caught:
        place.create(CONFIG_MAPS, name)
    assert "metadata.name: Invalid value" in refused(caught)


@pytest.fixture
def volume(place: Place) -> Iterator[Object]:
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "no-such-class",
        "csi": {"driver": "example.com", "volumeHandle": "one"},
        "claimRef": {"namespace": place.namespace, "name": "later"},
    }
    made = place.create(PERSISTENT_VOLUMES, f"contract-{secrets.token_hex(4)}", spec=spec)
    yield made
    place.client.delete(PERSISTENT_VOLUMES, made["metadata"]["name"])


def test_the_reclaim_policy_and_the_claim_of_a_volume_may_change(place: Place, volume: Object) -> None:
    reference = {"namespace": place.namespace, "name": "another"}
    patch = {"spec": {"persistentVolumeReclaimPolicy": "Delete", "claimRef": reference}}
    place.client.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], patch)
    back = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    changed = place.client.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], back)
    assert changed["spec"]["claimRef"]["name"] == "another"


def test_the_source_of_a_volume_is_fixed(place: Place, volume: Object) -> None:
    with pytest.raises(ApiError) as caught:
        patch = {"spec": {"csi": {"volumeHandle": "two"}}}
        place.client.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], patch)
    assert "spec.persistentvolumesource is immutable after creation" in refused(caught)


def stateful_set(place: Place) -> Object:
    template = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {
            "containers": [
                {"name": "main", "image": "alpine", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
            ]
        },
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = {
        "replicas": 0,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": template,
        "volumeClaimTemplates": [claim],
    }
    return place.create(STATEFUL_SETS, "db", spec=spec)


def test_a_stateful_set_keeps_its_claims_by_default(place: Place) -> None:
    policy = stateful_set(place)["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_the_claim_templates_of_a_stateful_set_are_fixed(place: Place) -> None:
    claims = stateful_set(place)["spec"]["volumeClaimTemplates"]
    claims[0]["spec"]["resources"]["requests"]["storage"] = "2Gi"
    with pytest.raises(ApiError) as caught:
        patch = {"spec": {"volumeClaimTemplates": claims}}
        place.client.patch(STATEFUL_SETS, "db", patch, place.namespace)
    assert "updates to statefulset spec for fields other than" in refused(caught)


def test_the_template_of_a_job_is_fixed(place: Place) -> None:
    place.job("copy", "true", suspend=True)
    containers = [{"name": "main", "command": ["/bin/false"]}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    with pytest.raises(ApiError) as caught:
        place.client.patch(JOBS, "copy", patch, place.namespace, type="strategic")
    assert "spec.template: Invalid value" in refused(caught)
    assert "field is immutable" in refused(caught)


def test_a_job_has_the_defaults_that_retry_six_times(place: Place) -> None:
    template = {"spec": place.pod_spec("true")}
    made = place.create(JOBS, "copy", spec={"template": template, "suspend": True})
    spec = made["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (6, 1, 1)
    uid = made["metadata"]["uid"]
    assert spec["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    assert spec["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "copy"


def test_a_job_may_not_restart_always(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        place.job("copy", "true", pod={"restartPolicy": "Always"})
    assert 'Required value: valid values: "OnFailure", "Never"' in refused(caught)


def test_a_failure_policy_implies_that_pods_never_overlap(place: Place) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}]
    made = place.job("copy", "true", suspend=True, podFailurePolicy={"rules": rules})
    assert made["spec"]["podReplacementPolicy"] == "Failed"


def test_a_pod_may_not_move_or_change_its_volumes(place: Place) -> None:
    spec = place.pod_spec("true", nodeSelector={"kubernetes.io/hostname": "no-such-node"})
    place.create(PODS, "one", spec=spec)
    with pytest.raises(ApiError) as caught:
        patch = {"spec": {"nodeSelector": {"kubernetes.io/hostname": "another"}}}
        place.client.patch(PODS, "one", patch, place.namespace)
    assert "pod updates may not change fields other than" in refused(caught)


def test_a_mount_needs_its_volume(place: Place) -> None:
    container = {"volumeMounts": [{"name": "missing", "mountPath": "/data"}]}
    with pytest.raises(ApiError) as caught:
        place.create(PODS, "one", spec=place.pod_spec("true", container=container))
    assert 'Not found: "missing"' in refused(caught)


def test_an_unknown_field_is_refused_when_the_caller_is_strict(place: Place) -> None:
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "copy"}}
    body["spec"] = {"template": {"spec": place.pod_spec("true")}, "backofLimit": 0}
    with pytest.raises(ApiError) as caught:
        place.client.request("POST", JOBS.path(place.namespace), body, {"fieldValidation": "Strict"})
    assert caught.value.status == 400
    assert 'unknown field "spec.backofLimit"' in caught.value.message


def test_an_unknown_field_is_dropped_with_a_warning(place: Place) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "colour": "blue"}
    answer = place.client.send("POST", CONFIG_MAPS.path(place.namespace), body)
    assert 'unknown field \\"colour\\"' in answer.headers["warning"]
    assert "colour" not in answer.json()


def test_a_wrong_type_is_a_bad_request(place: Place) -> None:
    with pytest.raises(ApiError) as caught:
        place.job("copy", "true", suspend=True, parallelism="two")
    assert caught.value.status == 400
    assert "cannot unmarshal string into Go struct field" in caught.value.message
