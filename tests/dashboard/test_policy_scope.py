"""A policy protects what it covers: as far as its bindings, filters and people reach, and no further."""

import json
from pathlib import Path

import pytest
import yaml

from cluster import decode_policies
from dashboard.admission import enforcement
from dashboard.protection import assess
from dashboard.states import Enforcement, Protection
from tests.dashboard import making as make
from tests.dashboard.policy_making import (
    BINDING,
    CLAIMS_DELETED,
    CLUSTER_POLICY,
    KEY,
    POLICY,
    kyverno,
    native,
    state,
    wire,
)

PROD = {"matchLabels": {"env": "prod"}}
HERE = {"matchLabels": {"kubernetes.io/metadata.name": "media"}}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (native(), Protection.PROTECTED),
        (native(None, {"matchResources": {"namespaceSelector": HERE}}), Protection.PROTECTED),
        (native(None, {"matchResources": {"namespaceSelector": PROD}}), Protection.UNPROTECTED),
        (native(None, {"matchResources": {"namespaceSelector": PROD}}, {}), Protection.PROTECTED),
        (native(None, {"validationActions": ["Warn"]}), Protection.UNPROTECTED),
        (
            native(
                {
                    "matchConstraints": {
                        "resourceRules": [CLAIMS_DELETED],
                        "namespaceSelector": HERE,
                    }
                },
                {"matchResources": {"namespaceSelector": PROD}},
            ),
            Protection.UNPROTECTED,
        ),
        (native(None, {"matchResources": {"objectSelector": PROD}}), Protection.UNPROTECTED),
        (
            native({"matchConditions": [{"name": "x", "expression": "request.userInfo.username != 'flux'"}]}),
            Protection.PARTIAL,
        ),
        (kyverno({"any": [{"resources": {"kinds": ["PersistentVolumeClaim"]}}]}), Protection.PROTECTED),
        (
            kyverno({"any": [{"resources": {"kinds": ["PersistentVolumeClaim"], "selector": PROD}}]}),
            Protection.UNPROTECTED,
        ),
        (
            kyverno(
                {"any": [{"resources": {"kinds": ["PersistentVolumeClaim"]}, "clusterRoles": ["intern"]}]}
            ),
            Protection.UNPROTECTED,
        ),
        (
            kyverno(
                {"any": [{"resources": {"kinds": ["PersistentVolumeClaim"]}}]},
                preconditions={
                    "all": [
                        {"key": "{{ request.userInfo.groups }}", "operator": "AllNotIn", "value": ["sre"]}
                    ]
                },
            ),
            Protection.PARTIAL,
        ),
    ],
)
def test_a_claim_is_protected_as_far_as_the_policy_reaches(policy, expected):
    assert state(policy) == expected


def test_the_fences_around_holdfast_itself_protect_no_claim(repository_root: Path) -> None:
    text = (repository_root / "deploy/kubernetes/admission.yaml").read_text()
    documents = [wire(document) for document in yaml.safe_load_all(text)]
    found = [d for d in documents if "policyName" not in d.spec]
    bindings = [decode_policies.binding(d, BINDING) for d in documents if "policyName" in d.spec]
    policies = tuple(decode_policies.bound(decode_policies.native_policy(d, POLICY), bindings) for d in found)
    admission = make.admission(policies=policies, webhooks=())
    assert len(policies) >= 3
    assert enforcement(admission).state == Enforcement.NO_POLICY, json.dumps(enforcement(admission).fact)
    layer = assess(make.claim(), make.around(admission=admission)).layer("kubectl_delete")
    assert layer.state == Protection.UNPROTECTED, layer.fact


@pytest.mark.parametrize("pairs", [{"annotations": make.DISABLED, "labels": {}}, {"annotations": {}}])
@pytest.mark.parametrize("value", ["disabled", "Disabled"])
def test_the_policy_of_the_pattern_protects_by_annotation_and_by_label(repository_root, pairs, value):
    path = "sandbox/scenario/fleet/infrastructure/policies/prevent-protected-pvc-deletion.yaml"
    policy = decode_policies.kyverno_policy(
        wire(yaml.safe_load((repository_root / path).read_text())), CLUSTER_POLICY
    )
    carried = {"labels": {KEY: value}, **pairs}
    carried["annotations"] = dict.fromkeys(carried["annotations"], value)
    assert state(policy, **carried) == Protection.PROTECTED
    assert state(policy, labels={}, annotations={}) == Protection.UNPROTECTED
    assert enforcement(make.admission(policies=(policy,))).state == Enforcement.ENFORCED
