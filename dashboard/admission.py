"""What admission does about a deletion, as far as reading its objects can tell (B1, B2 and B4 of the domain facts). Pure.

Reading is not proof: `worker.validation` sends a dry-run deletion, which is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from cluster.flux import PRUNE
from cluster.policies import Admission, AdmissionPolicy, AdmissionRule, Webhook
from cluster.values import Object
from dashboard.states import Enforcement, Protection

CLAIMS = "PersistentVolumeClaim"
PLURALS = {CLAIMS: "persistentvolumeclaims", "Namespace": "namespaces"}
LOWERS = re.compile(r"lowerAscii|to_lower|\blower\(")
PEOPLE = ("subjects", "clusterRoles", "roles")
ASKS_WHO = re.compile(r"userInfo|serviceAccountName|request\.roles|clusterRoles|\"subjects\"|\"roles\"")
# Conditions of a rule that denies whatever it is about.
EVERYTHING = ("", "[]", '["false"]', '[""]')
KUBE_SYSTEM_GROUP = "system:serviceaccounts:kube-system"


@dataclass(frozen=True)
class Guard:
    """How one rule stands to the deletion of one object."""

    state: Protection
    policy: str
    engine: str
    fact: str
    stops_system: bool | None = None  # also denies the namespace and garbage collectors; None: not known


def selects(selector_json: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions; or a list of them, any of which may match) selects `labels`."""
    if not selector_json:
        return True
    selector: Any = json.loads(selector_json)
    if isinstance(selector, list):
        return any(selects(json.dumps(one), labels) for one in selector)
    wanted = selector.get("matchLabels") or {}
    return all(_label_like(labels, key, value) for key, value in wanted.items()) and all(
        _holds(need, labels) for need in selector.get("matchExpressions") or ()
    )


def _label_like(labels: Mapping[str, str], key: str, pattern: str) -> bool:
    return any(fnmatchcase(k, key) and fnmatchcase(v, pattern) for k, v in labels.items())


def _holds(need: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(need["key"]), need.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(need.get("operator", ""), False)


def _in(namespace: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def denies(rule: AdmissionRule, obj: Object) -> Literal["yes", "no", "unclear"]:
    """Whether the rule's condition holds for the object: read for the prune annotation, and for nothing else."""
    condition = rule.condition
    if condition in EVERYTHING:
        return "yes"
    if PRUNE not in condition:
        return "unclear"
    value = obj.annotations.get(PRUNE)
    if value is None and re.search(r"\.labels|\"selector\"", condition):
        value = obj.labels.get(PRUNE)
    if not value or value.casefold() != "disabled":
        return "no"
    if _narrowed(condition):
        return "unclear"
    return (
        "yes" if value == "disabled" or LOWERS.search(condition) or f'"{value}"' in condition else "unclear"
    )


def for_some(policy: AdmissionPolicy, rule: AdmissionRule) -> bool:
    """Whether the rule is a fence around some people or programs, such as our own prober, and protects from nobody else."""
    whom = rule.condition if policy.engine == "kyverno-cluster-policy" else rule.exclude_json
    return PRUNE not in rule.condition and bool(ASKS_WHO.search(whom))


def _narrowed(condition: str) -> bool:
    """Whether a Kyverno rule holds only for objects of some names or labels, which are not those of the protection."""
    try:
        parts = json.loads(condition)
    except ValueError:
        return False
    filters = parts.get("match") or () if isinstance(parts, dict) else ()
    words = [
        json.dumps(each[key]) for each in filters for key in ("selector", "names", "name") if key in each
    ]
    return any(PRUNE not in word for word in words)


def guards(
    admission: Admission, obj: Object, namespace: str, namespace_labels: Mapping[str, str]
) -> list[Guard]:
    """One guard a rule that is about deleting this object, strongest first. `namespace` is the object's own, or its name."""
    found = [
        _guard(admission, policy, rule, obj, namespace, namespace_labels)
        for policy in admission.policies
        for rule in policy.rules
        if rule.about(obj.kind, "DELETE") and _applies(rule, namespace, namespace_labels)
    ]
    order = [Protection.PROTECTED, Protection.PARTIAL, Protection.UNKNOWN, Protection.UNPROTECTED]
    return sorted(found, key=lambda guard: order.index(guard.state))


def _applies(rule: AdmissionRule, namespace: str, labels: Mapping[str, str]) -> bool:
    if rule.namespaces and not _in(namespace, rule.namespaces):
        return False
    return selects(rule.namespace_selector_json, labels)


def _guard(
    admission: Admission,
    policy: AdmissionPolicy,
    rule: AdmissionRule,
    obj: Object,
    namespace: str,
    labels: Mapping[str, str],
) -> Guard:
    state, fact = _verdict(admission, policy, rule, obj, namespace, labels)
    stops = None
    if state in {Protection.PROTECTED, Protection.PARTIAL}:
        stops = _stops_system(admission, policy)
    return Guard(state, policy.name, policy.engine, fact, stops)


def _stops_system(admission: Admission, policy: AdmissionPolicy) -> bool | None:
    if policy.engine == "native-policy" or policy.generated_native:
        return True
    if admission.excluded_groups is None:
        return None
    return not any(fnmatchcase(KUBE_SYSTEM_GROUP, group) for group in admission.excluded_groups)


def _verdict(
    admission: Admission,
    policy: AdmissionPolicy,
    rule: AdmissionRule,
    obj: Object,
    namespace: str,
    labels: Mapping[str, str],
) -> tuple[Protection, str]:
    """The first reason that the rule does not hold, or how far it does."""
    name = f"policy {policy.name}"
    off = switched_off(policy, rule, namespace)
    if off:
        return Protection.UNPROTECTED, off
    if _in(namespace, rule.exclude_namespaces):
        return Protection.UNPROTECTED, f"Namespace {namespace} is excluded from {name}."
    hook, absent = engine(admission, policy, obj.kind, labels)
    if absent:
        return Protection.UNPROTECTED, absent
    if policy.engine.startswith("kyverno") and not policy.generated_native:
        filtered = _filtered(admission, obj.kind, namespace)
        if filtered:
            return Protection.UNPROTECTED, f"Kyverno never looks here: resource filter {filtered}."
    answer = denies(rule, obj)
    if answer == "no":
        return (
            Protection.UNPROTECTED,
            f"{name.capitalize()} guards only what carries {PRUNE}: disabled; this does not.",
        )
    if answer == "unclear" and for_some(policy, rule):
        return Protection.UNPROTECTED, f"{name.capitalize()} holds only for some of those who ask."
    if answer == "unclear":
        return (
            Protection.UNKNOWN,
            f"{name.capitalize()} has a condition that cannot be judged by reading. Probe it.",
        )
    weak = _weakness(admission, policy, rule, hook)
    if weak:
        return Protection.PARTIAL, f"{name.capitalize()} denies the deletion, but {weak}"
    return Protection.PROTECTED, f"{name.capitalize()} denies the deletion."


def switched_off(policy: AdmissionPolicy, rule: AdmissionRule, namespace: str) -> str:
    """Why the rule does not enforce in the namespace; empty when it does."""
    enforces = rule.enforces
    for override in rule.overrides:
        if _in(namespace, override.namespaces):
            enforces = override.action == "Enforce"
    if not enforces and policy.engine == "native-policy":
        return f"Policy {policy.name} has no binding that denies."
    if not enforces:
        return f"Policy {policy.name} only audits here."
    if not policy.admission:
        return f"Policy {policy.name} is switched off for admission."
    if policy.ready is False:
        return f"Policy {policy.name} is not ready: {policy.message or 'no reason given'}"
    return ""


def engine(
    admission: Admission, policy: AdmissionPolicy, kind: str, labels: Mapping[str, str]
) -> tuple[Webhook | None, str]:
    """The webhook that carries the policy's denials, and why there is none; both empty when the API server itself enforces."""
    if policy.engine == "native-policy" or policy.generated_native:
        return None, ""
    if "ValidatingWebhookConfiguration" in admission.unreadable:
        return None, ""
    hooks = [h for h in admission.webhooks if _is_kyverno(h) and h.about(PLURALS.get(kind, kind), "DELETE")]
    if not hooks:
        return (
            None,
            f"Policy {policy.name} is expected to deny, but its engine is absent: no Kyverno webhook asks about this.",
        )
    here = [h for h in hooks if selects(h.namespace_selector_json, labels)]
    if not here:
        return None, "The Kyverno webhook leaves this namespace out."
    wanted = [h for h in here if h.failure_policy == policy.failure_policy]
    return (wanted or here)[0], ""


def _is_kyverno(hook: Webhook) -> bool:
    return "kyverno" in hook.webhook or "kyverno" in hook.name


def _filtered(admission: Admission, kind: str, namespace: str) -> str:
    """The entry of resourceFilters, as [kind,namespace,name], that leaves out all objects of the kind in the namespace."""
    for text in admission.resource_filters:
        parts = [part.strip() or "*" for part in text.strip("[]").split(",")] + ["*", "*"]
        if parts[2] == "*" and fnmatchcase(namespace, parts[1]) and fnmatchcase(kind, _filter_kind(parts[0])):
            return text
    return ""


def _filter_kind(text: str) -> str:
    """The kind in `Node`, `Node/*`, `*/*`, `v1/Pod` or `apps/v1/Deployment`: kinds begin with a capital, or are a wildcard."""
    return next((part for part in text.split("/") if part[:1].isupper() or "*" in part[:1]), text)


def _weakness(
    admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, hook: Webhook | None
) -> str:
    """What leaves a way around an enforcing rule; empty when nothing known does."""
    if hook and admission.kyverno_ready_replicas == 0:
        down = "blocks all by its outage" if hook.failure_policy == "Fail" else "lets everything pass"
        return f"no Kyverno pod is ready: the webhook {down}."
    if hook and hook.failure_policy == "Ignore":
        return "its webhook fails open: while the engine is away, everything passes."
    if policy.engine == "native-policy" and policy.failure_policy == "Ignore":
        return "its expressions fail open: an error in them lets everything pass."
    if any(f'"{word}"' in rule.exclude_json for word in PEOPLE):
        return "it leaves out some people: " + rule.exclude_json
    if ASKS_WHO.search(rule.condition):
        return "whether it does depends on who asks."
    if rule.exclude_json and policy.engine != "kyverno-cluster-policy":
        return "only under conditions that cannot be judged by reading: " + rule.exclude_json
    excepted = [e.name for e in admission.exceptions if policy.name in {p for p, _ in e.policies}]
    if excepted:
        return f"there is a PolicyException: {', '.join(excepted)}."
    if hook is None and policy.engine.startswith("kyverno") and not policy.generated_native:
        return "whether its webhook is there could not be read."
    return ""


@dataclass(frozen=True)
class EnforcementFact:
    """The whole cluster's answer about deleting protected claims."""

    state: Enforcement
    fact: str
    policies: tuple[str, ...] = ()


def enforcement(admission: Admission) -> EnforcementFact:
    """Whether some rule about deleting claims enforces in general; one claim's answer may still differ."""
    pairs = [
        (policy, rule)
        for policy in admission.policies
        for rule in policy.rules
        if rule.about(CLAIMS, "DELETE") and not for_some(policy, rule)
    ]
    if not pairs:
        if admission.unreadable:
            return EnforcementFact(Enforcement.UNKNOWN, f"Not readable: {', '.join(admission.unreadable)}.")
        return EnforcementFact(Enforcement.NO_POLICY, "No policy is about deleting claims.")
    found = [(_general(admission, policy, rule), policy.name) for policy, rule in pairs]
    order = list(Enforcement)
    (state, fact), _ = min(found, key=lambda entry: order.index(entry[0][0]))
    return EnforcementFact(state, fact, tuple(dict.fromkeys(name for _, name in found)))


def _general(admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule) -> tuple[Enforcement, str]:
    off = switched_off(policy, rule, "")
    if off:
        return Enforcement.AUDIT_ONLY, off
    hook, absent = engine(admission, policy, CLAIMS, {"kubernetes.io/metadata.name": "any-namespace"})
    if absent:
        return Enforcement.ENGINE_ABSENT, absent
    if hook and admission.kyverno_ready_replicas == 0:
        return Enforcement.ENGINE_ABSENT, f"Policy {policy.name} is there, but no Kyverno pod is ready."
    if (hook and hook.failure_policy == "Ignore") or (policy.failure_policy == "Ignore"):
        return (
            Enforcement.FAILING_OPEN,
            f"Policy {policy.name} denies, but passes everything while its engine fails.",
        )
    if hook is None and policy.engine.startswith("kyverno") and not policy.generated_native:
        return Enforcement.UNKNOWN, f"Policy {policy.name} is there; its webhook could not be read."
    if PRUNE not in rule.condition and rule.condition not in EVERYTHING:
        return Enforcement.UNKNOWN, f"Policy {policy.name} has a condition that cannot be judged by reading."
    return Enforcement.ENFORCED, f"Policy {policy.name} denies the deletion of protected claims."
