"""What may refuse a write after authorization: quotas, limits, PodSecurity, policies and webhooks."""

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.kinds import (
    CONFIG_MAPS,
    JOBS,
    LIMIT_RANGES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    Resource,
)
from tests.contract.place import Place
from tests.support.waiting import until

pytestmark = pytest.mark.contract

GROUP = "admissionregistration.k8s.io"
POLICIES = Resource(GROUP, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
BINDINGS = Resource(
    GROUP, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
PROTECTED = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}
NOWHERE = "no-such-class"


def quota(place: Place, **hard: str) -> None:
    place.create(RESOURCE_QUOTAS, "limits", spec={"hard": hard})
    # The quota holds once its status says what is limited.
    place.wait(RESOURCE_QUOTAS, "limits", lambda item: item.get("status", {}).get("hard") == hard)


def test_a_quota_on_storage_counts_what_all_claims_request(place: Place) -> None:
    quota(place, **{"requests.storage": "5Gi"})
    place.claim("one", size="3Gi", storageClassName=NOWHERE)
    with pytest.raises(ApiError) as caught:
        place.claim("two", size="3Gi", storageClassName=NOWHERE)
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert caught.value.message == (
        'persistentvolumeclaims "two" is forbidden: exceeded quota: limits, requested: requests.storage=3Gi,'
        " used: requests.storage=3Gi, limited: requests.storage=5Gi"
    )


@pytest.mark.parametrize(
    "name",
    [
        "persistentvolumeclaims",
        f"{NOWHERE}.storageclass.storage.k8s.io/persistentvolumeclaims",
        "count/persistentvolumeclaims",
    ],
)
def test_a_quota_on_the_number_of_claims(place: Place, name: str) -> None:
    quota(place, **{name: "1"})
    place.claim("one", storageClassName=NOWHERE)
    with pytest.raises(ApiError, match="exceeded quota"):
        place.claim("two", storageClassName=NOWHERE)


def test_a_quota_of_another_class_does_not_count(place: Place) -> None:
    quota(place, **{"other.storageclass.storage.k8s.io/requests.storage": "1Gi"})
    place.claim("one", size="9Gi", storageClassName=NOWHERE)


def test_a_quota_shows_what_is_used_and_frees_what_is_deleted(place: Place) -> None:
    quota(place, **{"count/configmaps": "3"})
    used = int(place.get(RESOURCE_QUOTAS, "limits")["status"]["used"]["count/configmaps"])
    place.create(CONFIG_MAPS, "a")

    def shows(count: int) -> Callable[[Object], bool]:
        return lambda item: item["status"]["used"]["count/configmaps"] == str(count)

    place.wait(RESOURCE_QUOTAS, "limits", shows(used + 1))
    place.client.delete(CONFIG_MAPS, "a", place.namespace)
    place.wait(RESOURCE_QUOTAS, "limits", shows(used))


def test_a_dry_run_is_held_to_the_quota_and_uses_nothing(place: Place) -> None:
    quota(place, **{"count/jobs.batch": "1"})
    body = {
        "metadata": {"name": "copy"},
        "spec": {"suspend": True, "template": {"spec": place.pod_spec("true")}},
    }
    for _ in range(3):
        place.client.create(JOBS, body, place.namespace, dry_run=True)
    place.client.create(JOBS, body, place.namespace)
    with pytest.raises(ApiError, match="exceeded quota"):
        place.client.create(JOBS, {**body, "metadata": {"name": "more"}}, place.namespace, dry_run=True)


@pytest.mark.parametrize(("size", "complaint"), [("500Mi", "minimum"), ("9Gi", "maximum")])
def test_a_limit_range_bounds_the_size_of_a_claim(place: Place, size: str, complaint: str) -> None:
    limit = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}
    place.create(LIMIT_RANGES, "bounds", spec={"limits": [limit]})
    with pytest.raises(ApiError) as caught:
        place.claim(size=size, storageClassName=NOWHERE)
    assert caught.value.status == 403
    assert f"{complaint} storage usage per PersistentVolumeClaim is" in caught.value.message
    assert f"but request is {size}" in caught.value.message


def enforce(place: Place, level: str) -> None:
    patch = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}
    place.client.patch(NAMESPACES, place.namespace, patch)


def mover_pod(place: Place, *capabilities: str) -> Object:
    context = {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": list(capabilities)}}
    return place.pod_spec("true", container={"securityContext": context})


def create_pod(place: Place, spec: Object) -> Object:
    # Held by a selector that no node has: what counts here is admission.
    held = {**spec, "nodeSelector": {"example.com/nowhere": "true"}}
    return place.create(PODS, "mover", spec=held)


def test_a_root_pod_with_ordinary_capabilities_passes_baseline(place: Place) -> None:
    enforce(place, "baseline")
    create_pod(place, mover_pod(place, "CHOWN", "DAC_OVERRIDE", "FOWNER"))


def test_a_capability_beyond_the_ordinary_fails_baseline(place: Place) -> None:
    enforce(place, "baseline")
    with pytest.raises(ApiError) as caught:
        create_pod(place, mover_pod(place, "SYS_ADMIN"))
    assert caught.value.status == 403
    assert 'violates PodSecurity "baseline:latest": non-default capabilities' in caught.value.message


def test_a_root_pod_fails_restricted_with_every_reason(place: Place) -> None:
    enforce(place, "restricted")
    with pytest.raises(ApiError) as caught:
        create_pod(place, mover_pod(place, "CHOWN"))
    message = caught.value.message
    assert 'violates PodSecurity "restricted:latest"' in message
    for reason in (
        "allowPrivilegeEscalation != false",
        "unrestricted capabilities",
        "runAsNonRoot != true",
        "seccompProfile",
    ):
        assert reason in message


def test_a_job_that_would_violate_pod_security_is_created_with_a_warning(place: Place) -> None:
    enforce(place, "restricted")
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "copy"}}
    body["spec"] = {"suspend": True, "template": {"spec": mover_pod(place, "CHOWN")}}
    answer = place.client.send("POST", JOBS.path(place.namespace), body)
    assert answer.status_code == 201
    assert "would violate PodSecurity" in answer.headers["warning"]


@pytest.fixture
def reachable(contract_client: Client) -> None:
    """The API server can call a webhook on this machine's loopback."""
    if os.environ.get("HOLDFAST_TEST_KUBECONFIG"):
        pytest.skip("the webhooks of this test listen on loopback, which that cluster cannot reach")


# -- policies ----------------------------------------------------------------------------------------

RULE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["DELETE"],
    "resources": ["persistentvolumeclaims"],
}
EXPRESSION = (
    "!(has(oldObject.metadata.annotations) && 'kustomize.toolkit.fluxcd.io/prune' in oldObject.metadata.annotations"
    " && oldObject.metadata.annotations['kustomize.toolkit.fluxcd.io/prune'].lowerAscii() == 'disabled')"
)


@contextmanager
def policy(place: Place, **validation: str) -> Iterator[str]:
    """A native policy that holds in the test's namespace alone."""
    name = f"contract-{secrets.token_hex(4)}"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [RULE]},
        "validations": [{"expression": EXPRESSION, "message": "the claim is protected", **validation}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    place.create(POLICIES, name, spec=spec)
    place.create(BINDINGS, name, spec=binding)
    try:
        yield name
    finally:
        place.client.delete(BINDINGS, name)
        place.client.delete(POLICIES, name)


def denial(place: Place, name: str = "data") -> ApiError:
    """The refusal of a dry-run deletion, once the policy or webhook has taken hold."""

    def ask() -> ApiError | None:
        try:
            place.client.delete(PERSISTENT_VOLUME_CLAIMS, name, place.namespace, dry_run=True)
        except ApiError as error:
            return error
        return None

    found = until(ask, timeout_s=15, what="a refusal")
    assert found is not None
    return found


def test_a_native_policy_denies_with_422_and_names_itself(place: Place) -> None:
    place.claim("data", storageClassName=NOWHERE)
    place.client.patch(
        PERSISTENT_VOLUME_CLAIMS, "data", {"metadata": {"annotations": PROTECTED}}, place.namespace
    )
    with policy(place) as name:
        error = denial(place)
    assert (error.status, error.reason) == (422, "Invalid")
    expected = (
        f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: the claim is protected"
    )
    assert expected in error.message


def test_a_native_policy_may_choose_403(place: Place) -> None:
    place.claim("data", storageClassName=NOWHERE)
    place.client.patch(
        PERSISTENT_VOLUME_CLAIMS, "data", {"metadata": {"annotations": PROTECTED}}, place.namespace
    )
    with policy(place, reason="Forbidden"):
        assert (denial(place).status, denial(place).reason) == (403, "Forbidden")


def test_a_native_policy_lets_an_unprotected_claim_go(place: Place) -> None:
    place.claim("kept", storageClassName=NOWHERE)
    place.client.patch(
        PERSISTENT_VOLUME_CLAIMS, "kept", {"metadata": {"annotations": PROTECTED}}, place.namespace
    )
    place.claim("free", storageClassName=NOWHERE)
    with policy(place):
        denial(place, "kept")
        place.client.delete(PERSISTENT_VOLUME_CLAIMS, "free", place.namespace)
    assert place.get(PERSISTENT_VOLUME_CLAIMS, "kept") is not None


# -- webhooks: the API server must reach this process ------------------------------------------------


class Hook:
    """A webhook in this process: gives each review the same answer, and keeps the requests."""

    def __init__(self, answer: Object) -> None:
        self.requests: list[Object] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
                hook.requests.append(request)
                review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
                body = json.dumps({**review, "response": {"uid": request["uid"], **answer}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/validate"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextmanager
def webhook(place: Place, url: str, **settings: str) -> Iterator[str]:
    """A webhook configuration for the deletion of claims in the test's namespace alone."""
    name = f"contract-{secrets.token_hex(4)}.example.com"
    one = {
        "name": name,
        "clientConfig": {"url": url},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 5,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
        **settings,
    }
    place.create(VALIDATING_WEBHOOK_CONFIGURATIONS, name, webhooks=[one])
    try:
        yield name
    finally:
        place.client.delete(VALIDATING_WEBHOOK_CONFIGURATIONS, name)


@pytest.fixture
def claim(place: Place, reachable: None) -> Object:
    return place.claim("data", storageClassName=NOWHERE)


def test_a_webhooks_refusal_without_a_code_is_400_without_a_reason(place: Place, claim: Object) -> None:
    hook = Hook({"allowed": False, "status": {"message": "the claim is protected"}})
    with webhook(place, hook.url) as name:
        error = denial(place)
    assert (error.status, error.reason) == (400, "")
    assert error.message == f'admission webhook "{name}" denied the request: the claim is protected'


def test_a_webhook_sees_the_old_object_the_caller_and_the_dry_run(place: Place, claim: Object) -> None:
    hook = Hook({"allowed": False, "status": {"message": "no"}})
    with webhook(place, hook.url):
        denial(place)
    request = hook.requests[-1]
    assert request["operation"] == "DELETE"
    assert request["dryRun"] is True
    assert request["object"] is None
    assert request["oldObject"]["metadata"]["uid"] == claim["metadata"]["uid"]
    assert request["namespace"] == place.namespace
    assert request["userInfo"]["username"]


def test_a_deletion_of_a_collection_names_no_object_but_shows_it(place: Place, claim: Object) -> None:
    hook = Hook({"allowed": False, "status": {"message": "no"}})
    with webhook(place, hook.url):
        denial(place)
        with pytest.raises(ApiError):
            place.client.request("DELETE", PERSISTENT_VOLUME_CLAIMS.path(place.namespace))
    assert "name" not in hook.requests[-1]
    assert hook.requests[-1]["oldObject"]["metadata"]["name"] == "data"


def test_a_webhook_that_is_away_blocks_with_500_when_it_fails_closed(place: Place, claim: Object) -> None:
    hook = Hook({"allowed": True})
    hook.server.shutdown()
    hook.server.server_close()
    with webhook(place, hook.url) as name:
        error = denial(place)
    assert (error.status, error.reason) == (500, "InternalError")
    assert f'failed calling webhook "{name}": failed to call webhook: Post' in error.message


def test_a_webhook_that_is_away_is_passed_over_when_it_fails_open(place: Place, claim: Object) -> None:
    with webhook(place, "http://127.0.0.1:9/validate", failurePolicy="Ignore"):
        place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace, dry_run=True)


def test_a_webhook_with_side_effects_refuses_dry_runs(place: Place, claim: Object) -> None:
    hook = Hook({"allowed": True})
    with webhook(place, hook.url, sideEffects="Some") as name:
        error = denial(place)
    assert (error.status, error.reason) == (400, "BadRequest")
    assert error.message == f'admission webhook "{name}" does not support dry run'
    assert hook.requests == []


def test_the_end_of_a_lingering_claim_asks_no_webhook(place: Place, claim: Object) -> None:
    """Admission guards the moment of the DELETE alone; the last finalizer goes by an update."""
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", hold, place.namespace)
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    hook = Hook({"allowed": False, "status": {"message": "no"}})
    place.claim("other", storageClassName=NOWHERE)
    with webhook(place, hook.url):
        denial(place, "other")
        place.client.patch(
            PERSISTENT_VOLUME_CLAIMS, "data", {"metadata": {"finalizers": None}}, place.namespace
        )
        place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")
