"""Makes policies as the API server gives them, and says how a claim stands to them."""

from typing import Any

import msgspec

from cluster import decode_policies
from cluster.decode_policies import PolicyW
from cluster.kinds import Resource
from cluster.policies import AdmissionPolicy
from dashboard.protection import assess
from dashboard.states import Protection
from tests.dashboard import making as make

GOOD, PART, BAD, UNSURE = (
    Protection.PROTECTED,
    Protection.PARTIAL,
    Protection.UNPROTECTED,
    Protection.UNKNOWN,
)
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


CLAIMS_DELETED = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["DELETE"],
    "resources": ["persistentvolumeclaims"],
}


CLAIM = {"kinds": ["PersistentVolumeClaim"], "operations": ["DELETE"]}
CLAIMS = {"any": [{"resources": CLAIM}]}
ANNOTATION = f'request.oldObject.metadata.annotations."{KEY}"'
IS_DISABLED = {"key": "{{ " + ANNOTATION + " || '' }}", "operator": "Equals", "value": "disabled"}


def wire(data: dict[str, Any]) -> PolicyW:
    return msgspec.convert(data, PolicyW)


def native(spec: dict[str, Any] | None = None, *bindings: dict[str, Any]) -> AdmissionPolicy:
    """Guards annotated claims; by default bound to everything."""
    rule = CLAIMS_DELETED
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
    """One rule that guards annotated claims; fields of the rule beside `match` replace its own."""
    one = {"name": "keep", "match": match, "validate": denying({"any": [IS_DISABLED]}), **rule}
    return kyverno_policy([one])


def denying(conditions: Any, **fields: Any) -> dict[str, Any]:
    return {"failureAction": "Enforce", "deny": {"conditions": conditions}, **fields}


def kyverno_policy(rules: list[dict[str, Any]], **spec: Any) -> AdmissionPolicy:
    data = {"metadata": {"name": "keep"}, "spec": {"rules": rules, **spec}}
    return decode_policies.kyverno_policy(wire(data), CLUSTER_POLICY)


def state(policy: AdmissionPolicy, **claim: Any) -> Protection:
    around = make.around(admission=make.admission(policies=(policy,)))
    return assess(make.claim(**claim), around).layer("kubectl_delete").state
