"""What a policy says of an object decides, and nothing else of its text: what is not understood is unknown, never protected."""

from typing import Any

import pytest

from tests.dashboard import making as make
from tests.dashboard.policy_making import (
    ANNOTATION,
    BAD,
    CLAIMS,
    GOOD,
    IS_DISABLED,
    KEY,
    PART,
    PROTECTS,
    UNSURE,
    denying,
    kyverno,
    native,
    state,
)

LABEL = ANNOTATION.replace("annotations", "labels")
PATTERN = {"metadata": {"annotations": {KEY: "disabled"}}}


def asks(key: str, operator: str = "Equals", value: Any = "disabled") -> dict[str, Any]:
    return {"key": "{{ " + key + " }}", "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("validate", "expected"),
    [
        (denying({"all": [IS_DISABLED]}), GOOD),
        (denying([IS_DISABLED]), GOOD),
        (denying([{"any": [IS_DISABLED]}]), GOOD),
        (denying({"any": [asks(f"to_lower({ANNOTATION} || '')")]}), GOOD),
        (denying({"any": [asks(f"{ANNOTATION} || ''", "AnyIn", ["disabled", "off"])]}), GOOD),
        (denying({"any": [asks(f"{LABEL} || ''"), IS_DISABLED]}), GOOD),
        (denying({"all": [IS_DISABLED, asks("request.operation", "Equals", "DELETE")]}), GOOD),
        (denying({"all": [IS_DISABLED, asks("request.namespace", "Equals", "media")]}), GOOD),
        # The same words, of which none denies.
        ({"failureAction": "Enforce", "pattern": PATTERN}, BAD),
        ({"failureAction": "Enforce", "anyPattern": [PATTERN]}, BAD),
        ({"failureAction": "Enforce", "podSecurity": {"level": "baseline"}}, BAD),
        (denying({"any": [asks(f"{ANNOTATION} || ''", "NotEquals")]}), BAD),
        (denying({"any": [asks(f"{ANNOTATION} || ''", "AnyNotIn", ["disabled"])]}), BAD),
        (denying({"any": [asks(f"{LABEL} || ''")]}), BAD),
        (denying({"all": [asks(f"{LABEL} || ''"), IS_DISABLED]}), BAD),
        (denying({"all": [IS_DISABLED, asks("request.namespace", "Equals", "prod")]}), BAD),
        (denying({"all": [IS_DISABLED, asks("request.operation", "Equals", "UPDATE")]}), BAD),
        # Not understood.
        (denying({"any": [asks(ANNOTATION.replace("oldObject", "object") + " || ''")]}), UNSURE),
        (denying({"all": [IS_DISABLED, asks("owners.count || ''", "Equals", "0")]}), UNSURE),
        (denying({"any": [asks(f"{ANNOTATION} || ''", "Equals", "{{ wanted }}")]}), UNSURE),
        (denying({"any": [asks(f"{ANNOTATION} || ''", "LessThan")]}), UNSURE),
        (denying({"any": [asks(f"length({ANNOTATION})", "Equals", "8")]}), UNSURE),
        (denying({"any": [{"key": "disabled", "operator": "Equals", "value": "{{ " + ANNOTATION + " }}"}]}), UNSURE),
        ({"failureAction": "Enforce", "foreach": [{"list": "x", "deny": {"conditions": [IS_DISABLED]}}]}, UNSURE),
        ({"failureAction": "Enforce", "assert": {"all": [{"check": PATTERN}]}}, UNSURE),
        ({"failureAction": "Enforce", "manifests": {"attestors": []}}, UNSURE),
        (denying({"any": []}), UNSURE),
        (denying({"any": 5}), UNSURE),
        (denying({"any": ["disabled", None]}), UNSURE),
        (denying("disabled"), UNSURE),
        (denying({"any": [{"key": 5, "operator": None, "value": {"a": "disabled"}}]}), UNSURE),
        (denying({"all": [], "any": [IS_DISABLED]}), UNSURE),
        (denying([]), UNSURE),
        # Without conditions it denies all.
        ({"failureAction": "Enforce", "deny": {}}, GOOD),
        ({"failureAction": "Enforce", "cel": {"expressions": [{"expression": PROTECTS}]}}, GOOD),
        ({"failureAction": "Enforce", "cel": {"expressions": [{"expression": "false"}]}}, GOOD),
        ({"failureAction": "Enforce", "cel": {"expressions": []}}, BAD),
    ],
)  # fmt: skip
def test_a_kyverno_rule_guards_only_by_a_denial_that_is_understood(validate, expected):
    assert state(kyverno(CLAIMS, validate=validate)) == expected


@pytest.mark.parametrize(
    ("preconditions", "expected"),
    [
        ({"all": [asks("request.oldObject.metadata.labels.tier || ''", "Equals", "gold")]}, BAD),
        ({"all": [asks("request.operation", "AnyIn", ["DELETE", "UPDATE"])]}, GOOD),
        ({"all": [asks("lookup.tier", "Equals", "gold")]}, UNSURE),
        ({"any": [asks("request.userInfo.username", "NotEquals", "system:serviceaccount:flux-system:flux")]}, PART),
        ({"any": [asks("request.userInfo.groups", "AnyIn", ["interns"])]}, BAD),
    ],
)  # fmt: skip
def test_preconditions_are_asked_before_the_denial(preconditions, expected):
    assert state(kyverno(CLAIMS, preconditions=preconditions)) == expected


def test_a_claim_without_annotations_is_not_taken_for_one_that_a_missing_default_spares():
    policy = kyverno(CLAIMS, validate=denying({"any": [asks(ANNOTATION, "NotEquals", "enabled")]}))
    assert state(policy, annotations={}) == UNSURE


HAS = "has(oldObject.metadata.annotations)"
IN = f"'{KEY}' in oldObject.metadata.annotations"
IS = f"oldObject.metadata.annotations['{KEY}'] == 'disabled'"
LOWER = f"oldObject.metadata.annotations['{KEY}'].lowerAscii() == 'disabled'"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"!({HAS} && {IN} && {LOWER})", GOOD),
        (f"!({HAS} &&\n  {IN} &&\n  {LOWER})", GOOD),
        (f"!{HAS} || !({IN}) || oldObject.metadata.annotations['{KEY}'] != 'disabled'", GOOD),
        (f"oldObject.metadata.?annotations[?'{KEY}'].orValue('') != 'disabled'", GOOD),
        (f'oldObject.metadata.?annotations["{KEY}"].orValue("").lowerAscii() != "disabled"', GOOD),
        (f"request.operation != 'DELETE' || !({IN} && {IS})", GOOD),
        (f"oldObject.metadata.namespace != 'media' || !({IN} && {IS})", GOOD),
        (f"!({IN} && {IS} || {IN.replace('annotations', 'labels')})", GOOD),
        ("false", GOOD),
        ("true", BAD),
        (f"oldObject.metadata.namespace != 'prod' || !({IN} && {IS})", BAD),
        (f"!({IN.replace('annotations', 'labels')} && {IS.replace('annotations', 'labels')})", BAD),
        (f"{IN} && {IS}", BAD),
        (f"!({IN} && {IS}) || namespaceObject.metadata.labels['scratch'] == 'yes'", UNSURE),
        (f"!({IN} && {IS} && object == null)", UNSURE),
        (f"!({IN} && {IS}) == params.strict", UNSURE),
        (f"request.userInfo.username == 'x' ? true : !({IN} && {IS})", UNSURE),
        (f"!({IN} && {IS}) // || true\n || true", UNSURE),
        (f"!('{KEY}' in object.metadata.annotations)", UNSURE),
        (f"!({IN} && {IS}", UNSURE),
        (f"!({IN} && {IS}))", UNSURE),
        ("variables.allowed", UNSURE),
        (f"variables.note == '!({IN.replace(chr(39), '')})'", UNSURE),
        (f"request.userInfo.username == 'system:admin' || !({IN} && {IS})", PART),
        (f"!('interns' in request.userInfo.groups) || !({IN} && {IS})", BAD),
    ],
)
def test_a_cel_expression_guards_only_where_it_is_false_for_the_claim(expression, expected):
    policy = native({"validations": [{"expression": "true"}, {"expression": expression}]})
    assert state(policy) == expected
    assert state(native({"validations": [{"expression": expression}]}), annotations=make.DISABLED) == expected


def test_a_native_policy_that_only_records_denies_nothing():
    recorded = {"key": "pruned", "valueExpression": "'x'"}
    assert state(native({"validations": [], "auditAnnotations": [recorded]})) == BAD


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["request.operation == 'DELETE'"], GOOD),
        (["request.userInfo.username != 'flux'"], PART),
        (["request.userInfo.username == 'intern'"], BAD),
        (["oldObject.metadata.namespace in ['media', 'finance']"], GOOD),
        (["oldObject.metadata.namespace in ['prod', 'finance']"], BAD),
        (["oldObject.spec.storageClassName == 'gold'"], UNSURE),
        (["request.operation == 'DELETE'", "namespaceObject.metadata.labels.tier == 'gold'"], UNSURE),
    ],
)
def test_match_conditions_decide_whether_a_native_policy_is_asked_at_all(conditions, expected):
    given = [{"name": str(n), "expression": each} for n, each in enumerate(conditions)]
    assert state(native({"matchConditions": given})) == expected


@pytest.mark.parametrize(
    ("spec", "binding"),
    [({"paramKind": {"kind": "ConfigMap", "apiVersion": "v1"}}, {}), ({}, {"paramRef": {"name": "keep"}})],
)
def test_parameters_are_not_read(spec, binding):
    assert state(native(spec, binding)) == UNSURE
