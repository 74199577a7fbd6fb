"""From the wire to values: admission. Policies have many shapes; only what decides about deletions is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import field

from cluster.decode import meta
from cluster.decode_rules import (
    cel_rules,
    kyverno_rules,
    kyverno_ways,
    resource_excludes,
    resource_matches,
    text,
)
from cluster.kinds import Resource
from cluster.policies import (
    AdmissionPolicy,
    AdmissionRule,
    Match,
    PolicyBinding,
    PolicyEngine,
    PolicyException,
    Webhook,
)
from cluster.wire import ObjectW

Tree = Mapping[str, Any]


class PolicyW(ObjectW, kw_only=True):
    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] | None = None


class WebhooksW(ObjectW, kw_only=True):
    webhooks: list[dict[str, Any]] | None = None


def kyverno_policy(item: PolicyW, resource: Resource) -> AdmissionPolicy:
    """A ClusterPolicy or Policy of kyverno.io; only its validate rules."""
    spec, status = item.spec, item.status or {}
    ready = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), None)
    own = (item.metadata.namespace or "") if resource.namespaced else ""
    rules = [
        one
        for rule in spec.get("rules") or ()
        if rule.get("validate")
        for one in kyverno_rules(rule, spec, own)
    ]
    failure = (
        (spec.get("webhookConfiguration") or {}).get("failurePolicy") or spec.get("failurePolicy") or "Fail"
    )
    return AdmissionPolicy(
        **meta(item, resource),
        engine="kyverno-cluster-policy",
        rules=tuple(rules),
        failure_policy=failure,
        admission=spec.get("admission") is not False,
        ready=ready.get("status") == "True" if ready else None,
        message=(ready or {}).get("message") or "",
        generated_native=bool((status.get("validatingadmissionpolicy") or {}).get("generated")),
    )


def _cel_policy(item: PolicyW, resource: Resource, engine: PolicyEngine, enforces: bool) -> AdmissionPolicy:
    own = (item.metadata.namespace or "") if resource.namespaced else ""
    return AdmissionPolicy(
        **meta(item, resource),
        engine=engine,
        rules=tuple(cel_rules(item.metadata.name, item.spec, enforces, own)),
        failure_policy=item.spec.get("failurePolicy") or "Fail",
    )


def validating_policy(item: PolicyW, resource: Resource) -> AdmissionPolicy:
    """A ValidatingPolicy of policies.kyverno.io."""
    actions = item.spec.get("validationActions") or ["Deny"]
    status = item.status or {}
    condition = status.get("conditionStatus") or {}
    admission = (item.spec.get("evaluation") or {}).get("admission") or {}
    policy = _cel_policy(item, resource, "kyverno-validating-policy", "Deny" in actions)
    return replace(
        policy,
        admission=admission.get("enabled") is not False,
        ready=condition.get("ready"),
        message=condition.get("message") or "",
        generated_native=bool(status.get("generated")),
    )


def native_policy(item: PolicyW, resource: Resource) -> AdmissionPolicy:
    """A ValidatingAdmissionPolicy; whether it enforces is up to its bindings."""
    checking = (item.status or {}).get("typeChecking") or {}
    warnings = tuple(w.get("warning", "") for w in checking.get("expressionWarnings") or ())
    return replace(_cel_policy(item, resource, "native-policy", enforces=False), warnings=warnings)


def binding(item: PolicyW, resource: Resource) -> PolicyBinding:
    resources = item.spec.get("matchResources") or {}
    rest = {key: value for key, value in resources.items() if key not in {"namespaceSelector", "matchPolicy"}}
    return PolicyBinding(
        **meta(item, resource),
        policy_name=item.spec.get("policyName", ""),
        actions=tuple(item.spec.get("validationActions") or ()),
        matches=resource_matches(resources),
        excludes=resource_excludes(resources),
        parameters=bool(item.spec.get("paramRef")),
        leaves_out=text({key: value for key, value in rest.items() if value}),
    )


def bound(policy: AdmissionPolicy, bindings: Iterable[PolicyBinding]) -> AdmissionPolicy:
    """A native policy, enforcing where one of its bindings denies: a rule for each of those, no wider than it."""
    denying = [b for b in bindings if b.policy_name == policy.name and "Deny" in b.actions]
    rules = [_bound_rule(rule, b, match) for rule in policy.rules for b in denying for match in b.matches]
    return replace(policy, rules=tuple(rules or [replace(rule, enforces=False) for rule in policy.rules]))


def _bound_rule(rule: AdmissionRule, binding: PolicyBinding, match: Match) -> AdmissionRule:
    return replace(
        rule,
        enforces=True,
        matches=(*rule.matches, match),
        excludes=(*rule.excludes, *binding.excludes),
        parameters=rule.parameters or binding.parameters,
        leaves_out=" ".join(each for each in (rule.leaves_out, binding.leaves_out) if each),
    )


def webhooks(item: WebhooksW, resource: Resource) -> tuple[Webhook, ...]:
    """The webhooks of one ValidatingWebhookConfiguration."""
    return tuple(
        Webhook(
            **meta(item, resource),
            webhook=hook.get("name", ""),
            failure_policy=hook.get("failurePolicy") or "Fail",
            rules=tuple(
                (operation, name)
                for rule in hook.get("rules") or ()
                if {"", "*"} & set(rule.get("apiGroups") or ())
                for operation in rule.get("operations") or ()
                for name in rule.get("resources") or ()
            ),
            namespace_selector_json=text(hook.get("namespaceSelector")),
            object_selector_json=text(hook.get("objectSelector")),
            service=_service(hook.get("clientConfig") or {}),
            timeout_s=hook.get("timeoutSeconds") or 10,
            match_conditions=tuple(one.get("expression", "") for one in hook.get("matchConditions") or ()),
        )
        for hook in item.webhooks or ()
    )


def _service(config: Tree) -> str:
    service = config.get("service") or {}
    return (
        f"{service.get('namespace', '')}/{service.get('name', '')}"
        if service
        else str(config.get("url") or "")
    )


def exception(item: PolicyW, resource: Resource) -> PolicyException:
    entries = item.spec.get("exceptions") or item.spec.get("policyRefs") or ()
    return PolicyException(
        **meta(item, resource),
        policies=tuple(
            (e.get("policyName") or e.get("name") or "", tuple(e.get("ruleNames") or ())) for e in entries
        ),
        # One from a policy in CEL holds for all that its conditions are true for.
        matches=((Match(),),)
        if resource.group == "policies.kyverno.io"
        else kyverno_ways(item.spec.get("match")),
        match_conditions=tuple(one.get("expression", "") for one in item.spec.get("matchConditions") or ()),
        unread=bool(item.spec.get("conditions") or item.spec.get("podSecurity")),
        match_json=text(item.spec.get("match") or item.spec.get("matchConditions")),
    )
