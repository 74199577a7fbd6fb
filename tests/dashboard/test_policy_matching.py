"""What a rule is about: each way that its match block may hold by itself, less what it excludes."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from cluster import decode_policies
from cluster.decode_policies import WebhooksW
from cluster.kinds import Resource
from dashboard.protection import assess
from tests.dashboard import making as make
from tests.dashboard.policy_making import (
    BAD,
    CLAIM,
    CLAIMS,
    CLAIMS_DELETED,
    GOOD,
    KEY,
    PART,
    UNSURE,
    kyverno,
    kyverno_policy,
    native,
    state,
)

POD = {"kinds": ["Pod"], "operations": ["DELETE"]}
UPDATED = {"kinds": ["PersistentVolumeClaim"], "operations": ["UPDATE"]}


def entry(resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resources": {**resources, **more}}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"resources": CLAIM}, GOOD),
        ({"any": [entry(POD), entry(CLAIM)]}, GOOD),
        ({"any": [entry(UPDATED), entry(POD)]}, BAD),
        ({"any": [entry(CLAIM, namespaces=["prod"]), entry(POD, namespaces=["media"])]}, BAD),
        ({"any": [entry(CLAIM, selector={"matchLabels": {"a": "b"}}), entry(POD)]}, BAD),
        ({"all": [entry(CLAIM), entry({"namespaces": ["med*"]})]}, GOOD),
        ({"all": [entry(CLAIM), entry({"namespaces": ["prod"]})]}, BAD),
        ({"all": [entry(CLAIM), entry(POD)]}, BAD),
        ({"any": [entry(CLAIM, names=["data", "other"])]}, GOOD),
        ({"any": [entry(CLAIM, names=["cache-*"])]}, BAD),
        ({"any": [entry(CLAIM, selector={"matchLabels": {KEY: "disabled"}})]}, BAD),
        ({"any": [entry(CLAIM, annotations={KEY: "disabled"})]}, GOOD),
        ({"any": [entry(CLAIM, annotations={KEY: "enabled"})]}, BAD),
        ({"any": [entry(CLAIM, kinds=["apps/v1/PersistentVolumeClaim"])]}, BAD),
        ({"any": [entry(CLAIM, kinds=["PersistentVolumeClaim/status"])]}, BAD),
        ({"any": [entry(CLAIM, kinds=["*/*"])]}, GOOD),
        ({"any": [entry(CLAIM, futureField=["x"])]}, UNSURE),
        ({"any": [{"resources": CLAIM, "subjects": [{"kind": "Group", "name": "system:authenticated"}]}]}, GOOD),
        ({"any": [{"resources": CLAIM, "subjects": [{"kind": "User", "name": "intern"}]}]}, BAD),
        ({"any": [{"resources": CLAIM, "clusterRoles": ["system:basic-user"]}]}, UNSURE),
        ({"any": [{"resources": CLAIM, "clusterRoles": ["*"]}]}, UNSURE),
    ],
)  # fmt: skip
def test_entries_of_a_match_block_hold_each_by_itself(match, expected):
    assert state(kyverno(match)) == expected


def test_a_selector_on_the_label_holds_for_a_claim_that_carries_the_label():
    policy = kyverno({"any": [entry(CLAIM, selector={"matchLabels": {KEY: "disabled"}})]}, validate={
        "failureAction": "Enforce", "deny": {},
    })  # fmt: skip
    assert state(policy) == BAD
    assert state(policy, labels={KEY: "disabled"}) == GOOD


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ({"any": [entry({"names": ["data"]})]}, BAD),
        ({"any": [entry({"names": ["cache-*"]})]}, GOOD),
        ({"any": [entry({"kinds": ["PersistentVolumeClaim"]})]}, BAD),
        ({"any": [entry({"kinds": ["Pod"]}), entry({"namespaces": ["med*"]})]}, BAD),
        ({"all": [entry({"namespaces": ["media"]}), entry({"names": ["cache-*"]})]}, GOOD),
        ({"all": [entry({"namespaces": ["media"]}), entry({"names": ["da*"]})]}, BAD),
        ({"any": [entry({"selector": {"matchLabels": make.OWNED}})]}, BAD),
        ({"any": [entry({"selector": {"matchLabels": {"a": "b"}}})]}, GOOD),
        ({"any": [entry({"namespaceSelector": {"matchLabels": {"env": "lab"}}})]}, BAD),
        ({"resources": {"names": ["data"]}}, BAD),
        ({"any": [entry({"futureField": ["x"]})]}, UNSURE),
        ({"any": [{"clusterRoles": ["cluster-admin"]}]}, PART),
        ({"any": [{"subjects": [{"kind": "Group", "name": "system:authenticated"}]}]}, BAD),
        ({"any": [{"resources": {"namespaces": ["prod"]}, "clusterRoles": ["cluster-admin"]}]}, GOOD),
    ],
)
def test_what_a_rule_excludes_it_does_not_guard(exclude, expected):
    policy = kyverno(CLAIMS, exclude=exclude)
    around = make.around(
        admission=make.admission(policies=(policy,)), namespaces=(make.namespace(labels={"env": "lab"}),)
    )
    assert assess(make.claim(), around).layer("kubectl_delete").state == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([CLAIMS_DELETED | {"operations": ["UPDATE"]}, CLAIMS_DELETED | {"resources": ["pods"]}], BAD),
        ([CLAIMS_DELETED | {"resources": ["pods"]}, CLAIMS_DELETED], GOOD),
        ([CLAIMS_DELETED | {"apiGroups": ["apps"]}], BAD),
        ([CLAIMS_DELETED | {"apiGroups": ["apps"], "resources": ["*"]}], BAD),
        ([CLAIMS_DELETED | {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}], GOOD),
        ([CLAIMS_DELETED | {"apiVersions": ["v2"]}], BAD),
        ([CLAIMS_DELETED | {"resourceNames": ["other"]}], BAD),
        ([CLAIMS_DELETED | {"resourceNames": ["data"]}], GOOD),
        ([CLAIMS_DELETED | {"resources": ["persistentvolumeclaims/status"]}], BAD),
        ([CLAIMS_DELETED | {"scope": "Cluster"}], BAD),
    ],
)
def test_resource_rules_hold_each_by_itself(rules, expected):
    assert state(native({"matchConstraints": {"resourceRules": rules}})) == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"resourceRules": [CLAIMS_DELETED]}, GOOD),
        ({"resourceRules": [CLAIMS_DELETED | {"resources": ["pods"]}]}, BAD),
        ({"resourceRules": [CLAIMS_DELETED | {"resourceNames": ["other"]}]}, BAD),
        ({"excludeResourceRules": [CLAIMS_DELETED]}, BAD),
        ({"excludeResourceRules": [CLAIMS_DELETED | {"resourceNames": ["other"]}]}, GOOD),
        ({"objectSelector": {"matchLabels": make.OWNED}}, GOOD),
    ],
)
def test_a_binding_narrows_a_native_policy(resources, expected):
    assert state(native(None, {"matchResources": resources})) == expected


def test_a_namespace_selector_is_unknown_where_the_namespace_was_not_seen():
    lab = {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["lab"]}]}
    policy = native(None, {"matchResources": {"namespaceSelector": lab}})
    around = make.around(admission=make.admission(policies=(policy,)))
    assert assess(make.claim(), around).layer("kubectl_delete").state == GOOD
    unseen = replace(around, namespaces=())
    assert assess(make.claim(), unseen).layer("kubectl_delete").state == UNSURE


AUDIT = {"action": "Audit", "namespaces": ["media"]}
LAB = {"action": "Audit", "namespaceSelector": {"matchLabels": {"env": "lab"}}}


@pytest.mark.parametrize(
    ("own", "spec", "expected"),
    [
        ({"failureActionOverrides": [AUDIT, {"action": "Enforce", "namespaces": ["*"]}]}, {}, BAD),
        ({"failureActionOverrides": [{"action": "Enforce", "namespaces": ["*"]}, AUDIT]}, {}, GOOD),
        ({"failureActionOverrides": [LAB]}, {}, BAD),
        ({"failureActionOverrides": [LAB | {"namespaces": ["prod"]}]}, {}, GOOD),
        ({"failureActionOverrides": [{"action": "Audit"}]}, {}, UNSURE),
        ({"failureActionOverrides": [{"action": "Enforce"}]}, {}, GOOD),
        # The rule's own action comes before the overrides of the policy.
        ({"failureAction": "Audit"}, {"validationFailureActionOverrides": [AUDIT | {"action": "Enforce"}]}, BAD),
        (
            {"failureAction": ""},
            {"validationFailureAction": "Audit", "validationFailureActionOverrides": [AUDIT | {"action": "enforce"}]},
            GOOD,
        ),
    ],
)  # fmt: skip
def test_the_first_override_that_is_about_the_namespace_decides(own, spec, expected):
    rule = {"name": "keep", "match": CLAIMS, "validate": {"failureAction": "Enforce", "deny": {}, **own}}
    policy = kyverno_policy([rule], **spec)
    around = make.around(
        admission=make.admission(policies=(policy,)), namespaces=(make.namespace(labels={"env": "lab"}),)
    )
    assert assess(make.claim(), around).layer("kubectl_delete").state == expected


def test_rules_of_one_policy_with_different_actions_protect_partly_at_most():
    rules = [
        {"name": n, "match": CLAIMS, "validate": {"failureAction": action, "deny": {}}}
        for n, action in (("log", "Audit"), ("keep", "Enforce"))
    ]
    assert state(kyverno_policy(rules)) == UNSURE  # Kyverno may take the action of the first
    assert state(kyverno_policy(rules[::-1])) == PART
    assert state(kyverno_policy(rules[1:])) == GOOD


WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    False,
)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ({}, GOOD),
        ({"objectSelector": {"matchLabels": {"guard": "on"}}}, BAD),
        ({"objectSelector": {"matchLabels": make.OWNED}}, GOOD),
        ({"matchConditions": [{"name": "x", "expression": "request.operation == 'DELETE'"}]}, GOOD),
        ({"matchConditions": [{"name": "x", "expression": "oldObject.spec.storageClassName != ''"}]}, UNSURE),
        ({"matchConditions": [{"name": "x", "expression": "request.userInfo.username != 'flux'"}]}, PART),
        ({"rules": [CLAIMS_DELETED | {"apiGroups": ["apps"], "resources": ["*"]}]}, BAD),
        ({"name": "validate.kyverno.svc-fail-finegrained-other"}, BAD),
        ({"name": "validate.kyverno.svc-fail-finegrained-keep"}, GOOD),
    ],
)
def test_the_webhook_is_asked_only_about_what_it_selects(hook, expected):
    made = {"name": "validate.kyverno.svc-fail", "failurePolicy": "Fail", "rules": [CLAIMS_DELETED], **hook}
    hooks = decode_policies.webhooks(
        msgspec.convert({"metadata": {"name": "kyverno-resource"}, "webhooks": [made]}, WebhooksW), WEBHOOKS
    )
    around = make.around(admission=make.admission(policies=(kyverno(CLAIMS),), webhooks=hooks))
    assert assess(make.claim(), around).layer("kubectl_delete").state == expected


def test_the_match_conditions_of_a_policy_narrow_its_own_webhook():
    rule = {"name": "keep", "match": CLAIMS, "validate": {"failureAction": "Enforce", "deny": {}}}
    for expression, expected in (("oldObject.spec.x == 1", UNSURE), ("request.operation == 'DELETE'", GOOD)):
        conditions = [{"name": "x", "expression": expression}]
        assert state(kyverno_policy([rule], webhookConfiguration={"matchConditions": conditions})) == expected
