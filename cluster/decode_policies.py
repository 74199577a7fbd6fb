"""From the wire to values: admission. Policies have many shapes; only what decides about deletions is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import field

from cluster.base import canonical
from cluster.decode import meta
from cluster.kinds import BUILT_IN, Resource
from cluster.policies import (
    ActionOverride,
    AdmissionPolicy,
    AdmissionRule,
    PolicyBinding,
    PolicyEngine,
    PolicyException,
    Webhook,
)
from cluster.wire import ObjectW

KIND_OF_PLURAL = {resource.plural: resource.kind for resource in BUILT_IN.values()}
Tree = Mapping[str, Any]


class PolicyW(ObjectW, kw_only=True):
    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] | None = None


class WebhooksW(ObjectW, kw_only=True):
    webhooks: list[dict[str, Any]] | None = None


def _json(value: Any) -> str:
    return canonical(value) if value else ""


def _filters(block: Tree | None) -> list[Tree]:
    """The resource filters of a Kyverno match or exclude block, in any of its three forms."""
    block = block or {}
    entries = [*(block.get("any") or ()), *(block.get("all") or ())]
    if block.get("resources") or not entries:
        entries.append(block)
    return [entry.get("resources") or {} for entry in entries]


def _collected(filters: Iterable[Tree], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for entry in filters for value in entry.get(key) or ()))


def _overrides(items: Any) -> tuple[ActionOverride, ...]:
    return tuple(
        ActionOverride(str(o.get("action", "")).capitalize(), tuple(o.get("namespaces") or ()))
        for o in items or ()
    )


def _kyverno_rule(rule: Tree, spec: Tree, own_namespace: str) -> AdmissionRule:
    validate = rule.get("validate") or {}
    matched = _filters(rule.get("match"))
    action = validate.get("failureAction") or spec.get("validationFailureAction") or "Audit"
    overrides = validate.get("failureActionOverrides") or spec.get("validationFailureActionOverrides")
    excluded = rule.get("exclude")
    return AdmissionRule(
        name=rule.get("name", ""),
        kinds=_collected(matched, "kinds"),
        operations=_collected(matched, "operations"),
        enforces=str(action).lower() == "enforce",
        overrides=_overrides(overrides),
        namespaces=(own_namespace,) if own_namespace else _collected(matched, "namespaces"),
        exclude_json=_json(excluded),
        exclude_namespaces=_collected(_filters(excluded), "namespaces") if excluded else (),
        namespace_selector_json=_json(
            [f["namespaceSelector"] for f in matched if f.get("namespaceSelector")]
        ),
        condition=_json(_kyverno_condition(rule, validate, matched)),
    )


def _people(block: Tree | None) -> list[Any]:
    """Whom a match block holds for, where that is not everybody."""
    block = block or {}
    entries = [block, *(block.get("any") or ()), *(block.get("all") or ())]
    found = [{key: e[key] for key in ("subjects", "clusterRoles", "roles") if e.get(key)} for e in entries]
    return [people for people in found if people]


def _kyverno_condition(rule: Tree, validate: Tree, matched: Iterable[Tree]) -> dict[str, Any]:
    """All that decides whether the rule denies one object of its kinds."""
    narrowing = [{k: f[k] for k in ("annotations", "selector", "names", "name") if f.get(k)} for f in matched]
    parts = {k: validate[k] for k in ("deny", "cel", "pattern", "anyPattern") if validate.get(k)}
    parts |= {"match": [n for n in narrowing if n], "preconditions": rule.get("preconditions")}
    parts["people"] = _people(rule.get("match"))
    return {key: value for key, value in parts.items() if value}


def kyverno_policy(item: PolicyW, resource: Resource) -> AdmissionPolicy:
    """A ClusterPolicy or Policy of kyverno.io; only its validate rules."""
    spec, status = item.spec, item.status or {}
    ready = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), None)
    own = (item.metadata.namespace or "") if resource.namespaced else ""
    rules = [_kyverno_rule(rule, spec, own) for rule in spec.get("rules") or () if rule.get("validate")]
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


def _cel_rule(name: str, spec: Tree, enforces: bool, own_namespace: str = "") -> AdmissionRule:
    """The one rule of a policy in CEL: a Kyverno ValidatingPolicy or a native ValidatingAdmissionPolicy."""
    constraints = spec.get("matchConstraints") or {}
    rules = constraints.get("resourceRules") or ()
    kinds = [KIND_OF_PLURAL.get(plural, plural) for plural in _collected(rules, "resources")]
    excluded = {
        "resources": constraints.get("excludeResourceRules"),
        "conditions": spec.get("matchConditions"),
        "objects": constraints.get("objectSelector"),
    }
    return AdmissionRule(
        name=name,
        kinds=tuple(kinds),
        operations=_collected(rules, "operations"),
        enforces=enforces,
        namespaces=(own_namespace,) if own_namespace else (),
        exclude_json=_json({key: value for key, value in excluded.items() if value}),
        namespace_selector_json=_json(constraints.get("namespaceSelector")),
        condition=_json([v.get("expression", "") for v in spec.get("validations") or ()]),
    )


def _cel_policy(item: PolicyW, resource: Resource, engine: PolicyEngine, enforces: bool) -> AdmissionPolicy:
    own = (item.metadata.namespace or "") if resource.namespaced else ""
    return AdmissionPolicy(
        **meta(item, resource),
        engine=engine,
        rules=(_cel_rule(item.metadata.name, item.spec, enforces, own),),
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
    match = item.spec.get("matchResources") or {}
    rest = {key: value for key, value in match.items() if key not in {"namespaceSelector", "matchPolicy"}}
    return PolicyBinding(
        **meta(item, resource),
        policy_name=item.spec.get("policyName", ""),
        actions=tuple(item.spec.get("validationActions") or ()),
        namespace_selector_json=_json(match.get("namespaceSelector")),
        exclude_json=_json({key: value for key, value in rest.items() if value}),
        parameters=bool(item.spec.get("paramRef")),
    )


def bound(policy: AdmissionPolicy, bindings: Iterable[PolicyBinding]) -> AdmissionPolicy:
    """A native policy, enforcing where one of its bindings denies: a rule for each of those, no wider than it."""
    denying = [b for b in bindings if b.policy_name == policy.name and "Deny" in b.actions]
    rules = [_bound_rule(rule, b) for rule in policy.rules for b in denying]
    return replace(policy, rules=tuple(rules or [replace(rule, enforces=False) for rule in policy.rules]))


def _bound_rule(rule: AdmissionRule, binding: PolicyBinding) -> AdmissionRule:
    narrowing = {"policy": rule.exclude_json, "binding": binding.exclude_json}
    narrowing |= {"parameters": "yes"} if binding.parameters else {}
    kept = {key: value for key, value in narrowing.items() if value}
    return replace(
        rule,
        enforces=True,
        namespace_selector_json=_both(rule.namespace_selector_json, binding.namespace_selector_json),
        exclude_json=rule.exclude_json if kept.keys() <= {"policy"} else canonical(kept),
    )


def _both(one: str, other: str) -> str:
    """One label selector that selects what both select."""
    if not one or not other:
        return one or other
    needs: list[Any] = []
    for selector in (json.loads(one), json.loads(other)):
        pairs = (selector.get("matchLabels") or {}).items()
        needs += [{"key": key, "operator": "In", "values": [value]} for key, value in pairs]
        needs += selector.get("matchExpressions") or ()
    return canonical({"matchExpressions": needs})


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
                for operation in rule.get("operations") or ()
                for name in rule.get("resources") or ()
            ),
            namespace_selector_json=_json(hook.get("namespaceSelector")),
            service=_service(hook.get("clientConfig") or {}),
            timeout_s=hook.get("timeoutSeconds") or 10,
            match_conditions=bool(hook.get("matchConditions")),
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
        match_json=_json(item.spec.get("match") or item.spec.get("matchConditions")),
    )
