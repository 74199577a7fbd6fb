"""How Kyverno decides about the deletion of a claim, and with which words: facts B1 to B3."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.answers import ApiError, Object
from sandbox.kinds import (
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from sandbox.kyverno.crds import POLICY_EXCEPTIONS, VALIDATING_POLICIES
from tests.contract.flux_fixtures import needs_sandbox, served
from tests.contract.place import Place
from tests.support.waiting import until

# One engine for all: tests of this file change its policies, its configuration and its state.
pytestmark = [pytest.mark.contract, needs_sandbox, pytest.mark.xdist_group("kyverno")]

PRUNE = "kustomize.toolkit.fluxcd.io/prune"
WEBHOOK = "kyverno-resource-validating-webhook-cfg"
MESSAGE = "claims with protection stay"
ENGINE = "kyverno-admission-controller"


def denies(place: str, value: str = "disabled") -> Object:
    return {
        "key": f"{{{{ request.oldObject.metadata.{place}.\"{PRUNE}\" || '' }}}}",
        "operator": "Equals",
        "value": value,
    }


class Policy:
    """A ClusterPolicy for one namespace, changed and removed by its test."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = f"protect-{place.namespace}"
        until(lambda: served(place.client, CLUSTER_POLICIES), timeout_s=30, what="Kyverno installed")

    def create(self, *, rule: dict[str, Any] | None = None, **spec: Any) -> Object:
        resources = {
            "kinds": ["PersistentVolumeClaim"],
            "operations": ["DELETE"],
            "namespaces": [self.place.namespace],
        }
        conditions = {"any": [denies("annotations"), denies("labels")]}
        body = {
            "name": "deny-deletion",
            "match": {"any": [{"resources": resources}]},
            "validate": {"failureAction": "Enforce", "message": MESSAGE, "deny": {"conditions": conditions}},
        }
        for key, value in (rule or {}).items():
            body[key] = {**body[key], **value} if isinstance(body.get(key), dict) else value
        created = self.place.client.create(
            CLUSTER_POLICIES,
            {"metadata": {"name": self.name}, "spec": {"background": False, **spec, "rules": [body]}},
        )
        self.wait_ready()
        return created

    def wait_ready(self) -> None:
        def ready(item: Object) -> bool:
            return any(one["status"] == "True" for one in item.get("status", {}).get("conditions", []))

        self.place.wait(CLUSTER_POLICIES, self.name, ready)

    def remove(self) -> None:
        self.place.client.delete(CLUSTER_POLICIES, self.name)


@pytest.fixture
def policy(place: Place) -> Iterator[Policy]:
    made = Policy(place)
    yield made
    made.remove()


def probe(place: Place, name: str = "data") -> ApiError | None:
    """A dry-run deletion without a body; the refusal, or None."""
    path = PERSISTENT_VOLUME_CLAIMS.path(place.namespace, name)
    try:
        place.client.request("DELETE", path, params={"dryRun": "All"})
    except ApiError as error:
        return error
    return None


def protected(place: Place, name: str = "data", where: str = "annotations", value: str = "disabled") -> None:
    place.create(
        PERSISTENT_VOLUME_CLAIMS,
        name,
        metadata={where: {PRUNE: value}},
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    )


def denied(place: Place, name: str = "data") -> ApiError:
    """The refusal, as soon as the engine knows the policy."""
    found = until(lambda: probe(place, name), timeout_s=20, what="the deletion denied")
    assert found is not None
    return found


def allowed(place: Place, name: str = "data") -> None:
    until(lambda: probe(place, name) is None, timeout_s=20, what="the deletion allowed")


def test_a_denial_is_a_bad_request_without_a_reason(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create()
    error = denied(place)
    assert error.status == 400
    assert error.reason == ""
    assert error.message == (
        'admission webhook "validate.kyverno.svc-fail" denied the request: \n\n'
        f"resource PersistentVolumeClaim/{place.namespace}/data was blocked due to the following policies \n\n"
        f"{policy.name}:\n  deny-deletion: {MESSAGE}\n"
    )


def test_a_real_deletion_is_denied_like_the_dry_run(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create()
    dry = denied(place)
    with pytest.raises(ApiError) as raised:
        place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    assert raised.value.message == dry.message
    assert place.get(PERSISTENT_VOLUME_CLAIMS, "data")


def test_a_label_protects_as_well_and_no_protection_does_not(place: Place, policy: Policy) -> None:
    protected(place, "by-label", "labels")
    protected(place, "enabled", value="enabled")
    place.claim("bare")
    policy.create()
    assert denied(place, "by-label").status == 400
    assert probe(place, "enabled") is None
    assert probe(place, "bare") is None


def test_equals_knows_the_letter_case_that_flux_does_not(place: Place, policy: Policy) -> None:
    protected(place, "lower")
    protected(place, "upper", value="Disabled")
    policy.create()
    assert denied(place, "lower")
    assert probe(place, "upper") is None


def test_a_denied_dry_run_leaves_an_event(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create()
    denied(place)

    def events() -> list[Object]:
        selector = f"reason=PolicyViolation,involvedObject.name={policy.name}"
        return place.client.list(EVENTS, "default", field_selector=selector)

    found = until(events, timeout_s=20, what="the event")
    assert f"PersistentVolumeClaim/{place.namespace}/data" in found[0]["message"]


def test_audit_does_not_deny(place: Place, policy: Policy) -> None:
    protected(place)
    protected(place, "second")
    policy.create(rule={"validate": {"failureAction": "Audit"}}, validationFailureAction="Enforce")
    allowed(place)


def test_the_policys_action_counts_where_the_rule_has_none(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create(rule={"validate": {"failureAction": None}}, validationFailureAction="enforce")
    assert denied(place).status == 400


def test_an_override_for_the_namespace_beats_the_action(place: Place, policy: Policy) -> None:
    protected(place)
    override = [{"action": "Audit", "namespaces": ["contract-*"]}]
    policy.create(rule={"validate": {"failureActionOverrides": override}})
    allowed(place)


def test_admission_false_denies_nothing(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create()
    denied(place)
    place.client.patch(CLUSTER_POLICIES, policy.name, {"spec": {"admission": False}})
    allowed(place)


@pytest.mark.parametrize(("failure_policy", "status"), [("Fail", 400), ("Ignore", None)])
def test_a_missing_map_without_a_default_is_an_error_of_the_rule(
    place: Place, policy: Policy, failure_policy: str, status: int | None
) -> None:
    place.claim("bare")
    protected(place)
    key = f'{{{{ request.oldObject.metadata.annotations."{PRUNE}" }}}}'
    conditions = {"any": [{"key": key, "operator": "Equals", "value": "disabled"}]}
    policy.create(rule={"validate": {"deny": {"conditions": conditions}}}, failurePolicy=failure_policy)
    assert denied(place).status == 400
    found = probe(place, "bare")
    assert (found.status if found else None) == status


def test_an_exclusion_by_cluster_role_lets_that_caller_pass(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create(rule={"exclude": {"any": [{"clusterRoles": ["cluster-admin"]}]}})
    allowed(place)


def test_an_exception_lets_the_claim_pass(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create()
    denied(place)
    place.create(
        POLICY_EXCEPTIONS,
        "let-it-go",
        spec={
            "exceptions": [{"policyName": policy.name, "ruleNames": ["deny-*"]}],
            "match": {"any": [{"resources": {"kinds": ["PersistentVolumeClaim"], "names": ["da*"]}}]},
        },
    )
    allowed(place)


@pytest.mark.parametrize(
    "data",
    [
        {"resourceFilters": "[PersistentVolumeClaim,contract-*,*]"},
        {"excludeGroups": "system:authenticated"},
    ],
)
def test_the_engines_configuration_excludes(place: Place, policy: Policy, data: dict[str, str]) -> None:
    protected(place)
    policy.create()
    denied(place)
    client = place.client
    before = client.get(CONFIG_MAPS, "kyverno", "kyverno")["data"]
    client.patch(CONFIG_MAPS, "kyverno", {"data": data}, "kyverno")
    try:
        allowed(place)
    finally:
        client.patch(CONFIG_MAPS, "kyverno", {"data": before}, "kyverno")
    denied(place)


def test_the_webhook_is_shaped_like_kyvernos(place: Place, policy: Policy) -> None:
    policy.create()

    def hook() -> Object | None:
        found = place.client.find(VALIDATING_WEBHOOK_CONFIGURATIONS, WEBHOOK)
        hooks = (found or {}).get("webhooks") or []
        return next((one for one in hooks if one["name"] == "validate.kyverno.svc-fail"), None)

    found = until(hook, timeout_s=20, what="the webhook")
    assert found is not None
    assert found["failurePolicy"] == "Fail"
    assert found["sideEffects"] == "NoneOnDryRun"
    assert found["timeoutSeconds"] == 10
    rule = next(one for one in found["rules"] if one["resources"] == ["persistentvolumeclaims"])
    assert "DELETE" in rule["operations"]


def test_an_engine_scaled_to_nothing_takes_its_webhook_away_and_everything_passes(
    place: Place, policy: Policy
) -> None:
    protected(place)
    policy.create()
    denied(place)
    scale(place, 0)
    try:
        until(
            lambda: place.client.find(VALIDATING_WEBHOOK_CONFIGURATIONS, WEBHOOK) is None,
            timeout_s=20,
            what="the webhook gone",
        )
        assert probe(place) is None
        # Ready is no proof: it stays.
        policy.wait_ready()
    finally:
        scale(place, 1)
    denied(place)


@pytest.mark.parametrize(("failure_policy", "status"), [("Fail", 500), ("Ignore", None)])
def test_a_crashed_engine_leaves_it_to_the_failure_policy(
    place: Place, policy: Policy, failure_policy: str, status: int | None
) -> None:
    protected(place)
    policy.create(failurePolicy=failure_policy)
    assert denied(place).status == 400
    crash(place, True)
    try:

        def answered() -> bool:
            found = probe(place)
            return (found.status if found else None) == status

        until(answered, timeout_s=20, what=f"{status} from the API server")
        if status:
            error = probe(place)
            assert error is not None
            assert error.reason == "InternalError"
            assert "failed calling webhook" in error.message
    finally:
        crash(place, False)
    assert until(lambda: (probe(place) or ApiError(0, "", "")).status == 400, timeout_s=20, what="it back")


def scale(place: Place, replicas: int) -> None:
    place.client.patch(DEPLOYMENTS, ENGINE, {"spec": {"replicas": replicas}}, "kyverno")


def crash(place: Place, value: bool) -> None:
    body = {"metadata": {"annotations": {"sandbox.holdfast.dev/crashed": "true" if value else None}}}
    place.client.patch(DEPLOYMENTS, ENGINE, body, "kyverno")


def test_taking_the_annotation_off_is_not_denied(place: Place, policy: Policy) -> None:
    protected(place)
    policy.create()
    denied(place)
    body = {"metadata": {"annotations": {PRUNE: None}}}
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", body, place.namespace)
    assert place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)


def test_a_terminating_claim_can_finish_although_it_is_protected_by_then(
    place: Place, policy: Policy
) -> None:
    place.claim("data")
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", hold, place.namespace)
    place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace)
    body = {"metadata": {"annotations": {PRUNE: "disabled"}}}
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", body, place.namespace)
    policy.create()
    place.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"metadata": {"finalizers": None}}, place.namespace)
    place.wait_gone(PERSISTENT_VOLUME_CLAIMS, "data")


def test_a_validating_policy_says_policy_failed(place: Place, policy: Policy) -> None:
    protected(place, value="Disabled")
    annotations = "oldObject.metadata.annotations"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["DELETE"],
        "resources": ["persistentvolumeclaims"],
    }
    expression = (
        f"oldObject.metadata.namespace != '{place.namespace}' || !(has({annotations}) && '{PRUNE}' in {annotations}"
        f" && {annotations}['{PRUNE}'].lowerAscii() == 'disabled')"
    )
    body = {
        "metadata": {"name": policy.name},
        "spec": {
            "validationActions": ["Deny"],
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": MESSAGE}],
        },
    }
    place.client.create(VALIDATING_POLICIES, body)
    try:
        error = denied(place)
        assert error.status == 400
        assert error.reason == ""
        assert error.message.endswith(f"denied the request: Policy {policy.name} failed: {MESSAGE}")
        assert '"vpol.validate.kyverno.svc-fail"' in error.message
    finally:
        place.client.delete(VALIDATING_POLICIES, policy.name)
