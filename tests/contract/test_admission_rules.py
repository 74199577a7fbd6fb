"""What the rules of webhooks and policies may say, and that those of deploy/ say nothing else."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from sandbox.client import ApiError, Object
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, VALIDATING_WEBHOOK_CONFIGURATIONS
from tests.contract.place import Place
from tests.contract.test_api_admission import BINDINGS, POLICIES, RULE, denial

pytestmark = pytest.mark.contract


def name() -> str:
    return f"contract-{secrets.token_hex(4)}.example.com"


def policy(**changes: object) -> Object:
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}
    return {"metadata": {"name": name()}, "spec": {**spec, **changes}}


def policy_with(**rule: object) -> Object:
    return policy(matchConstraints={"resourceRules": [{**RULE, **rule}]})


def refusal(place: Place, body: Object) -> str:
    with pytest.raises(ApiError) as caught:
        place.client.create(POLICIES, body, dry_run=True)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    return caught.value.message


def test_everything_that_fences_holdfast_in_is_accepted(place: Place, repository_root: Path) -> None:
    """`kubectl apply` goes on after a refused document: the rights would stand without their fence."""
    documents = list(yaml.safe_load_all((repository_root / "deploy/kubernetes/admission.yaml").read_text()))
    assert len(documents) == 8
    for document in documents:
        kind = POLICIES if document["kind"] == POLICIES.kind else BINDINGS
        place.client.create(kind, document, dry_run=True)


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [
        (["*", "*/*"], "if '*/*' is present, must not specify other resources"),
        (["pods", "*/*"], "if '*/*' is present, must not specify other resources"),
        (["*", "pods"], "if '*' is present, must not specify other resources without subresources"),
        (["pods/*", "pods/log"], "if 'pods/*' is present, must not specify pods/log"),
        (["*/scale", "deployments/scale"], "if '*/scale' is present, must not specify deployments/scale"),
        ([], "resources: Required value"),
    ],
)
def test_a_wildcard_stands_beside_nothing_that_it_contains(
    place: Place, resources: list[str], complaint: str
) -> None:
    message = refusal(place, policy_with(resources=resources))
    assert "spec.matchConstraints.resourceRules[0].resources" in message
    assert complaint in message


def test_the_rules_of_a_webhook_are_held_to_the_same(place: Place) -> None:
    hook = {
        "name": name(),
        "clientConfig": {"url": "https://127.0.0.1:9/validate"},
        "rules": [{**RULE, "resources": ["*", "*/*"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    body = {"metadata": {"name": name()}, "webhooks": [hook]}
    with pytest.raises(ApiError, match="must not specify other resources") as caught:
        place.client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, body, dry_run=True)
    assert "webhooks[0].rules[0].resources" in caught.value.message


@pytest.mark.parametrize("resources", [["*/*"], ["*"], ["*", "*/scale"], ["pods", "pods/log"], ["pods/*"]])
def test_other_resources_may_stand_together(place: Place, resources: list[str]) -> None:
    place.client.create(POLICIES, policy_with(resources=resources), dry_run=True)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"apiGroups": ["*", "apps"]}, "if '*' is present, must not specify other API groups"),
        ({"apiVersions": ["*", "v1"]}, "if '*' is present, must not specify other API versions"),
        ({"operations": ["*", "CREATE"]}, "if '*' is present, must not specify other operations"),
        ({"operations": ["READ"]}, 'Unsupported value: "READ"'),
        ({"scope": "Everywhere"}, 'Unsupported value: "Everywhere"'),
    ],
)
def test_the_rest_of_a_rule_is_held_to_its_words(place: Place, rule: Object, complaint: str) -> None:
    assert complaint in refusal(place, policy_with(**rule))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"matchConstraints": {}}, "spec.matchConstraints"),
        ({"validations": []}, "at least one must be specified"),
    ],
)
def test_a_policy_is_about_something_and_asks_for_something(
    place: Place, change: Object, complaint: str
) -> None:
    assert complaint in refusal(place, policy(**change))


@pytest.mark.parametrize(
    ("resources", "covered"),
    [
        (["*/*"], True),
        (["*"], True),
        (["persistentvolumeclaims/*"], True),
        (["*/status"], False),
        (["persistentvolumeclaims/status"], False),
    ],
)
def test_a_wildcard_for_subresources_covers_the_resource_itself(
    place: Place, resources: list[str], covered: bool
) -> None:
    place.claim("data", storageClassName="no-such-class")
    found = policy_with(resources=resources)
    found["spec"]["validations"] = [{"expression": "false", "message": "all of these"}]
    with bound(place, found):
        if covered:
            assert "all of these" in denial(place).message
        else:
            place.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace, dry_run=True)


@contextmanager
def bound(place: Place, found: Object) -> Iterator[None]:
    """The policy in the test's namespace alone."""
    found_name = found["metadata"]["name"]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}
    spec = {
        "policyName": found_name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    place.client.create(POLICIES, found)
    place.client.create(BINDINGS, {"metadata": {"name": found_name}, "spec": spec})
    try:
        yield
    finally:
        place.client.delete(BINDINGS, found_name)
        place.client.delete(POLICIES, found_name)
