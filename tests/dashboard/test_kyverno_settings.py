"""What Kyverno's own settings, exceptions and reach take from its policies, and whether its denials stop the cluster's controllers."""

import json
from dataclasses import replace
from typing import Any

import pytest

from cluster import decode_policies
from cluster.base import Ref
from cluster.kinds import Resource
from cluster.policies import Admission, Match, PolicyException
from dashboard.admission import enforcement
from dashboard.protection import assess
from dashboard.states import Answer, Enforcement, Protection
from dashboard.validation import policy_findings
from tests.dashboard import making as make
from tests.dashboard.policy_making import (
    CLAIM,
    CLAIMS,
    CLAIMS_DELETED,
    IS_DISABLED,
    PROTECTS,
    denying,
    kyverno,
    kyverno_policy,
    native,
    wire,
)

GOOD, PART, BAD, UNSURE = (
    Protection.PROTECTED,
    Protection.PARTIAL,
    Protection.UNPROTECTED,
    Protection.UNKNOWN,
)
CONTROLLERS = "system:serviceaccount:kube-system:*"
NAMESPACE = {"kinds": ["Namespace"], "operations": ["DELETE"]}


NAMESPACE_CONTROLLER = {
    "kind": "ServiceAccount", "namespace": "kube-system", "name": "namespace-controller",
}  # fmt: skip


def excepting(policy: str, *rules: str, **match: Any) -> PolicyException:
    return PolicyException(
        ref=Ref("", "", "apps", "once"), policies=((policy, rules),), matches=((Match(**match),),)
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"excluded_groups": ("system:nodes", "system:serviceaccounts:kube-system")}, GOOD),
        ({"excluded_groups": ("system:nodes", "sre")}, PART),
        ({"excluded_groups": ("system:serviceaccounts",)}, PART),
        ({"excluded_groups": ("system:authenticated",)}, BAD),
        ({"excluded_groups": ("system:*",)}, BAD),
        ({"excluded_groups": None}, UNSURE),
        ({"excluded_usernames": ("alice",)}, PART),
        ({"excluded_usernames": (CONTROLLERS,)}, GOOD),
        ({"excluded_usernames": ("*",)}, BAD),
        ({"excluded_roles": ("cluster-admin",)}, PART),
        ({"excluded_roles": ("system:basic-user",)}, BAD),
        ({"resource_filters": ("[PersistentVolumeClaim,media,data]",)}, BAD),
        ({"resource_filters": ("[PersistentVolumeClaim,*,da*]",)}, BAD),
        ({"resource_filters": ("[PersistentVolumeClaim,*,x*]",)}, GOOD),
        ({"unreadable": ("PolicyException",)}, UNSURE),
        ({"unreadable": ("PolicyException of policies.kyverno.io",)}, GOOD),
        ({"unreadable": ("ConfigMap kyverno/kyverno",), "excluded_groups": None}, UNSURE),
        ({"unreadable": ("ValidatingWebhookConfiguration",), "webhooks": ()}, UNSURE),
        ({"exceptions": (excepting("keep"),)}, BAD),
        ({"exceptions": (excepting("keep", "protect", namespaces=("med*",)),)}, BAD),
        ({"exceptions": (excepting("keep", "another"),)}, GOOD),
        ({"exceptions": (excepting("keep", namespaces=("scratch",)),)}, GOOD),
        ({"exceptions": (excepting("keep", names=("cache-*",)),)}, GOOD),
        ({"exceptions": (excepting("keep", unread=True),)}, UNSURE),
        ({"exceptions": (replace(excepting("keep"), unread=True),)}, UNSURE),
        ({"exceptions": (replace(excepting("keep"), matches=()),)}, UNSURE),
        ({"exceptions": (excepting("keep", people_json='{"clusterRoles":["sre"]}'),)}, PART),
        ({"exceptions": (excepting("other"),)}, GOOD),
    ],
)
def test_settings_take_from_what_a_policy_guards(settings, expected):
    around = make.around(admission=make.admission(**settings))
    layer = assess(make.claim(), around).layer("kubectl_delete")
    assert layer.state == expected, layer.fact
    if expected != GOOD:  # a native policy asks nobody of Kyverno
        both = make.admission(policies=(make.policy(), make.native()), **settings)
        assert assess(make.claim(), make.around(admission=both)).layer("kubectl_delete").state == GOOD


def test_an_exception_may_name_a_policy_of_a_namespace():
    keep = make.policy(ref=Ref("kyverno.io/v1", "Policy", "media", "keep", "u"))
    for name, expected in (("media/keep", BAD), ("other/keep", GOOD)):
        around = make.around(admission=make.admission(policies=(keep,), exceptions=(excepting(name),)))
        assert assess(make.claim(), around).layer("kubectl_delete").state == expected


VALIDATING = Resource("policies.kyverno.io", "v1", "ValidatingPolicy", "validatingpolicies", False)
EXCEPTION = Resource("policies.kyverno.io", "v1", "PolicyException", "policyexceptions")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], BAD),
        ([{"name": "x", "expression": "oldObject.metadata.namespace == 'media'"}], BAD),
        ([{"name": "x", "expression": "oldObject.metadata.namespace == 'scratch'"}], GOOD),
        ([{"name": "x", "expression": "object.metadata.name == 'data'"}], UNSURE),
    ],
)
def test_an_exception_from_a_validating_policy_holds_for_what_its_conditions_are_true_for(
    conditions, expected
):
    spec = {"policyRefs": [{"name": "keep", "kind": "ValidatingPolicy"}], "matchConditions": conditions}
    one = decode_policies.exception(wire({"metadata": {"name": "once"}, "spec": spec}), EXCEPTION)
    spec = {
        "matchConstraints": {"resourceRules": [CLAIMS_DELETED]},
        "validations": [{"expression": PROTECTS}],
    }
    policy = decode_policies.validating_policy(wire({"metadata": {"name": "keep"}, "spec": spec}), VALIDATING)
    hooks = (make.webhook(webhook="vpol.validate.kyverno.svc-fail"),)
    around = make.around(admission=make.admission(policies=(policy,), exceptions=(one,), webhooks=hooks))
    assert assess(make.claim(), around).layer("kubectl_delete").state == expected


def test_a_policy_that_applies_one_rule_alone_may_apply_another_than_the_denial():
    log = {
        "name": "log",
        "match": CLAIMS,
        "validate": {"failureAction": "Enforce", "foreach": [{"list": "x"}]},
    }
    keep = {"name": "keep", "match": CLAIMS, "validate": {"failureAction": "Enforce", "deny": {}}}
    for rules, expected in (([log, keep], UNSURE), ([keep, log], GOOD)):
        policy = kyverno_policy(rules, applyRules="One")
        around = make.around(admission=make.admission(policies=(policy,)))
        assert assess(make.claim(), around).layer("kubectl_delete").state == expected


def test_unreadable_settings_make_the_whole_cluster_unknown():
    assert enforcement(make.admission()).state == Enforcement.ENFORCED
    for settings in ({"excluded_groups": None}, {"unreadable": ("PolicyException",)}):
        assert enforcement(make.admission(**settings)).state == Enforcement.UNKNOWN


def test_exceptions_of_a_validating_policy_are_another_kind():
    spec = {
        "matchConstraints": {"resourceRules": [CLAIMS_DELETED]},
        "validations": [{"expression": PROTECTS}],
    }
    policy = decode_policies.validating_policy(wire({"metadata": {"name": "keep"}, "spec": spec}), VALIDATING)
    for kind, expected in (("PolicyException of policies.kyverno.io", UNSURE), ("PolicyException", GOOD)):
        hooks = (make.webhook(webhook="vpol.validate.kyverno.svc-fail"),)
        around = make.around(admission=make.admission(policies=(policy,), unreadable=(kind,), webhooks=hooks))
        assert assess(make.claim(), around).layer("kubectl_delete").state == expected


@pytest.mark.parametrize(
    ("policy", "settings", "expected"),
    [
        (native(), {}, PART),
        (kyverno(CLAIMS), {}, PART),
        (
            native({"matchConditions": [{"name": "x", "expression":
                "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"}]}),
            {}, BAD,
        ),
        (
            native({"matchConditions": [{"name": "x", "expression":
                "!('system:serviceaccounts:kube-system' in request.userInfo.groups)"}]}),
            {}, BAD,
        ),
        (
            native({"matchConditions": [{"name": "x", "expression":
                "request.userInfo.username != 'system:serviceaccount:kube-system:namespace-controller'"}]}),
            {}, UNSURE,
        ),
        (kyverno(CLAIMS, exclude={"any": [{"subjects": [NAMESPACE_CONTROLLER]}]}), {}, UNSURE),
        (kyverno(CLAIMS, exclude={"any": [{"clusterRoles": ["cluster-admin"]}]}), {}, UNSURE),
        (kyverno(CLAIMS), {"excluded_usernames": (CONTROLLERS,)}, BAD),
        (kyverno(CLAIMS), {"excluded_roles": ("sre",)}, UNSURE),
        (kyverno(CLAIMS), {"exceptions": (excepting("keep", people_json=json.dumps(
            {"subjects": [NAMESPACE_CONTROLLER]})),)}, UNSURE),
        (kyverno(CLAIMS), {"excluded_groups": ("system:serviceaccounts",)}, BAD),
        (kyverno({"any": [{"resources": NAMESPACE}]}, validate={"failureAction": "Enforce", "deny": {}}), {}, GOOD),
        (
            kyverno({"any": [{"resources": NAMESPACE | {"namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}}}]},
                validate={"failureAction": "Enforce", "deny": {}}),
            {}, BAD,
        ),
        (
            kyverno({"any": [{"resources": NAMESPACE}]}, validate={"failureAction": "Enforce", "deny": {}},
                exclude={"any": [{"resources": {"namespaceSelector": {"matchLabels": {"env": "lab"}}}}]}),
            {}, UNSURE,
        ),
        (kyverno(CLAIMS, validate=denying({"all": [IS_DISABLED,
            {"key": "{{ other }}", "operator": "Equals", "value": "x"}]})), {}, UNSURE),
    ],
)  # fmt: skip
def test_a_denial_that_lets_controllers_pass_holds_no_claim_of_a_deleted_namespace(
    policy, settings, expected
):
    around = make.around(admission=make.admission(policies=(policy,), **settings))
    layer = assess(make.claim(), around).layer("namespace_delete")
    assert layer.state == expected, layer.fact


def test_a_policy_of_one_namespace_never_guards_the_namespace_itself():
    rule = {
        "name": "keep",
        "match": {"any": [{"resources": {"kinds": ["*"]}}]},
        "validate": {"failureAction": "Enforce", "deny": {}},
    }
    data = wire({"metadata": {"name": "keep", "namespace": "media"}, "spec": {"rules": [rule]}})
    policy = decode_policies.kyverno_policy(data, Resource("kyverno.io", "v1", "Policy", "policies"))
    found = assess(make.claim(), make.around(admission=make.admission(policies=(policy,))))
    assert (found.layer("kubectl_delete").state, found.layer("namespace_delete").state) == (GOOD, PART)


@pytest.mark.parametrize(
    ("policy", "answers"),
    [
        (make.policy(), [Answer.PASS]),
        (make.policy(make.rule(sort="everything")), [Answer.PASS]),
        (make.policy(make.rule(sort="never")), []),
        (make.policy(make.rule(condition=make.deny(make.ANNOTATION, operator="NotEquals"))), []),
        (make.policy(make.rule(sort="unclear", condition="")), [Answer.UNKNOWN]),
        (make.policy(make.rule(condition=make.deny("other || ''"))), [Answer.UNKNOWN]),
        (make.policy(make.rule(namespaces=("prod",))), [Answer.UNKNOWN]),
        (make.policy(make.rule(enforces=False)), [Answer.FAIL]),
        (make.policy(make.rule(excludes=((Match(people_json='{"roles":["sre"]}'),),), leaves_out="x")), [Answer.WARN]),
    ],
)  # fmt: skip
def test_the_policy_check_says_that_a_rule_denies_only_where_it_is_understood(policy, answers):
    found = policy_findings(make.admission(policies=(policy,)))
    assert [one.answer for one in found if one.subject.startswith("keep/")] == answers
    whole = next(one for one in found if one.subject == "cluster")
    assert (whole.answer == Answer.PASS) == (answers in ([Answer.PASS], [Answer.WARN])), whole.detail


def test_a_policy_of_another_purpose_is_no_deletion_policy():
    labels = {"failureAction": "Enforce", "pattern": {"metadata": {"labels": {"team": "?*"}}}}
    admission = make.admission(policies=(kyverno({"any": [{"resources": CLAIM}]}, validate=labels),))
    assert enforcement(admission).state == Enforcement.NO_POLICY
    assert enforcement(Admission()).state == Enforcement.NO_POLICY
