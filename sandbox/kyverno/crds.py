"""The custom resource definitions that Kyverno would install."""

from __future__ import annotations

from sandbox.answers import Object
from sandbox.flux.crds import definition
from sandbox.kinds import CLUSTER_POLICIES, Resource

POLICY_EXCEPTIONS = Resource("kyverno.io", "v2", "policyexceptions", "PolicyException")
VALIDATING_POLICIES = Resource(
    "policies.kyverno.io", "v1", "validatingpolicies", "ValidatingPolicy", namespaced=False
)
FOLLOWED: tuple[Resource, ...] = (CLUSTER_POLICIES, POLICY_EXCEPTIONS, VALIDATING_POLICIES)

_READY = (("Ready", '.status.conditions[?(@.type=="Ready")].status'),)
_CPOL = (
    ("Admission", ".spec.admission"),
    ("Background", ".spec.background"),
    *_READY,
    ("Failure Policy", ".spec.failurePolicy"),
    ("Message", '.status.conditions[?(@.type=="Ready")].message'),
)
_VPOL = (("Ready", ".status.conditionStatus.ready"),)

KYVERNO_DEFINITIONS: tuple[Object, ...] = (
    definition(
        "kyverno.io",
        ("v1", "v2beta1"),
        "clusterpolicies",
        "ClusterPolicy",
        short=("cpol",),
        namespaced=False,
        columns=_CPOL,
        categories=("kyverno",),
    ),
    definition("kyverno.io", ("v1", "v2beta1"), "policies", "Policy", short=("pol",), columns=_CPOL),
    definition("kyverno.io", ("v2", "v2beta1"), "policyexceptions", "PolicyException", short=("polex",)),
    definition(
        "policies.kyverno.io",
        ("v1", "v1beta1"),
        "validatingpolicies",
        "ValidatingPolicy",
        short=("vpol",),
        namespaced=False,
        columns=_VPOL,
    ),
    definition("policies.kyverno.io", ("v1", "v1beta1"), "policyexceptions", "PolicyException"),
    definition("wgpolicyk8s.io", ("v1alpha2",), "policyreports", "PolicyReport", short=("polr",)),
    definition(
        "wgpolicyk8s.io",
        ("v1alpha2",),
        "clusterpolicyreports",
        "ClusterPolicyReport",
        short=("cpolr",),
        namespaced=False,
    ),
)
