"""A policy protects what it covers: as far as its bindings, filters and people reach, and no further."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from cluster import decode_policies
from cluster.decode_policies import PolicyW
from cluster.kinds import Resource
from cluster.policies import AdmissionPolicy
from dashboard.admission import enforcement
from dashboard.protection import assess
from dashboard.states import Enforcement, Protection
from tests.dashboard import making as make

KEY = "kustomize.toolkit.fluxcd.io/prune"
GROUP = "admissionregistration.k8s.io"
POLICY = Resource(GROUP, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False)
BINDING = Resource(
    GROUP, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False
)
CLUSTER_POLICY = Resource("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", False)
PROTECTS = (
    f"!('{KEY}' in oldObject.metadata.annotations && oldObject.metadata.annotations['{KEY}'] == 'disabled')"
)


def wire(data: dict[str, Any]) -> PolicyW:
    return msgspec.convert(data, PolicyW)


def native(spec: dict[str, Any] | None = None, *bindings: dict[str, Any]) -> AdmissionPolicy:
    """Guards annotated claims; by default bound to everything."""
    rule = {"operations": ["DELETE"], "resources": ["persistentvolumeclaims"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": PROTECTS}],
        **(spec or {}),
    }
    made = decode_policies.native_policy(wire({"metadata": {"name": "keep"}, "spec": policy}), POLICY)
    found = [
        decode_policies.binding(
            wire(
                {
                    "metadata": {"name": "keep"},
                    "spec": {"policyName": "keep", "validationActions": ["Deny"], **each},
                }
            ),
            BINDING,
        )
        for each in bindings or ({},)
    ]
    return decode_policies.bound(made, found)


def kyverno(match: dict[str, Any], **rule: Any) -> AdmissionPolicy:
    deny = {"conditions": {"any": [{"key": f"{{{{ annotations.{KEY} }}}}", "value": "disabled"}]}}
    one = {
        "name": "keep",
        "match": match,
        "validate": {"failureAction": "Enforce", "deny": deny},
        **rule,
    }
    data = {"metadata": {"name": "keep"}, "spec": {"rules": [one]}}
    return decode_policies.kyverno_policy(wire(data), CLUSTER_POLICY)


def state(policy: AdmissionPolicy, **claim: Any) -> Protection:
    around = make.around(admission=make.admission(policies=(policy,)))
    return assess(make.claim(**claim), around).layer("kubectl_delete").state


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
                        "resourceRules": [
                            {"operations": ["DELETE"], "resources": ["persistentvolumeclaims"]}
                        ],
                        "namespaceSelector": HERE,
                    }
                },
                {"matchResources": {"namespaceSelector": PROD}},
            ),
            Protection.UNPROTECTED,
        ),
        (native(None, {"matchResources": {"objectSelector": PROD}}), Protection.PARTIAL),
        (
            native({"matchConditions": [{"name": "x", "expression": "request.userInfo.username != 'flux'"}]}),
            Protection.PARTIAL,
        ),
        (kyverno({"any": [{"resources": {"kinds": ["PersistentVolumeClaim"]}}]}), Protection.PROTECTED),
        (
            kyverno({"any": [{"resources": {"kinds": ["PersistentVolumeClaim"], "selector": PROD}}]}),
            Protection.UNKNOWN,
        ),
        (
            kyverno(
                {"any": [{"resources": {"kinds": ["PersistentVolumeClaim"]}, "clusterRoles": ["intern"]}]}
            ),
            Protection.PARTIAL,
        ),
        (
            kyverno(
                {"any": [{"resources": {"kinds": ["PersistentVolumeClaim"]}}]},
                preconditions={"all": [{"key": "{{ request.userInfo.groups }}", "value": "sre"}]},
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
