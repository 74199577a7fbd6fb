"""What admission does about a deletion, as far as reading its objects can tell (B1, B2 and B4 of the domain facts). Pure.

Reading is not proof: `worker.validation` sends a dry-run deletion, which is. What is not understood is unknown, never protected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.flux import PRUNE
from cluster.policies import Admission, AdmissionPolicy, AdmissionRule, Webhook
from cluster.values import Object
from dashboard.askers import CONTROLLERS, SOMEBODY, harmless
from dashboard.conditions import Deletion
from dashboard.judging import (
    ANYWHERE,
    CLAIMS,
    Place,
    asked_by,
    condition,
    denies,
    excepted,
    excluded,
    in_general,
    is_kyverno,
    like_any,
    reaches,
    selects,
)
from dashboard.kyverno_reach import EXCEPTIONS, everybody_left_out, looks_at, passed_over, unread
from dashboard.logic import Known, every, negated
from dashboard.states import Enforcement, Protection

PLURALS = {CLAIMS: "persistentvolumeclaims", "Namespace": "namespaces"}


@dataclass(frozen=True)
class Guard:
    """How one rule stands to the deletion of one object."""

    state: Protection
    policy: str
    engine: str
    fact: str
    # Also denies the cluster's own controllers: True all, False none, None where it differs or is not known.
    stops_system: bool | None = None


def guards(
    admission: Admission, obj: Object, namespace: str, namespace_labels: Mapping[str, str] | None
) -> list[Guard]:
    """One guard a rule that is about deleting this object, strongest first.

    `namespace` is the object's own, or its name; its labels are None where it was not seen.
    """
    place = Place(namespace, namespace_labels)
    found = [
        _guard(admission, policy, rule, obj, place)
        for policy in admission.policies
        for rule in policy.rules
        if reaches(policy, rule, asked_by(obj, place, None), place) is not False
    ]
    order = [Protection.PROTECTED, Protection.PARTIAL, Protection.UNKNOWN, Protection.UNPROTECTED]
    return sorted(found, key=lambda guard: order.index(guard.state))


def _guard(
    admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, obj: Object, place: Place
) -> Guard:
    state, fact = _verdict(admission, policy, rule, obj, place)
    stops = None
    if state in {Protection.PROTECTED, Protection.PARTIAL}:
        # What is protected is so whoever asks, unless the request has no name where the rule wants one.
        sure = state == Protection.PROTECTED and not any(match.names for match in rule.matches)
        answers = {
            every(
                [
                    looks_at(admission, policy, asker),
                    True if sure else _denied(admission, policy, rule, asked_by(obj, place, asker), place),
                ]
            )
            for asker in CONTROLLERS
        }
        stops = answers.pop() if len(answers) == 1 else None
    return Guard(state, policy.name, policy.engine, fact, stops)


def _denied(
    admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, deletion: Deletion, place: Place
) -> Known:
    """Whether the rule denies one who asks, exceptions and the engine's reach included."""
    hook, _ = engine(admission, policy, deletion.obj.kind, place, deletion.obj)
    spared = _exceptions(admission, policy, rule, deletion, place).values()
    return every([denies(policy, rule, deletion, place, hook), *map(negated, spared)])


def _verdict(
    admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, obj: Object, place: Place
) -> tuple[Protection, str]:
    """The first reason that the rule does not hold, or how far it does."""
    name = f"Policy {policy.name}"
    off = switched_off(policy, rule, place)
    if off:
        return Protection.UNPROTECTED, off
    asked = asked_by(obj, place, SOMEBODY)
    if excluded(policy, rule, asked, place):
        return Protection.UNPROTECTED, f"It is excluded from policy {policy.name}: {rule.leaves_out}"
    hook, absent = engine(admission, policy, obj.kind, place, obj)
    absent = absent or (passed_over(admission, obj, place.name) if is_kyverno(policy) else "")
    if absent:
        return Protection.UNPROTECTED, absent
    spared = _exceptions(admission, policy, rule, asked, place)
    if True in spared.values():
        return (
            Protection.UNPROTECTED,
            f"A PolicyException takes it out of policy {policy.name}: {_names(spared)}.",
        )
    anybody = asked_by(obj, place, None)
    everybody = denies(policy, rule, anybody, place, hook)
    if everybody is False and condition(rule, anybody) is False:
        return Protection.UNPROTECTED, f"{name} guards only what carries {PRUNE}: disabled; this does not."
    # What is known whoever asks is so for each.
    answer = denies(policy, rule, asked, place, hook) if everybody is None else everybody
    if answer is False:
        return Protection.UNPROTECTED, f"{name} holds only for some of those who ask."
    if answer is None:
        return Protection.UNKNOWN, f"{name} has a condition that cannot be judged by reading. Probe it."
    unsure = _unsure(admission, policy, rule, place, hook)
    if spared:
        unsure = (
            f"whether a PolicyException takes this claim out cannot be judged by reading: {_names(spared)}."
        )
    if unsure:
        return Protection.UNKNOWN, f"{name} denies the deletion, but {unsure}"
    some_spared = _exceptions(admission, policy, rule, anybody, place)
    if some_spared:
        return (
            Protection.PARTIAL,
            f"{name} denies the deletion, but a PolicyException spares some people: {_names(some_spared)}.",
        )
    weak = _weakness(admission, policy, hook) or _people(rule, everybody) or _mixed(policy, place)
    if weak:
        return Protection.PARTIAL, f"{name} denies the deletion, but {weak}"
    return Protection.PROTECTED, f"{name} denies the deletion."


def _exceptions(
    admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, deletion: Deletion, place: Place
) -> dict[str, Known]:
    """Exceptions that take the deletion out of the rule, or may."""
    if policy.engine not in EXCEPTIONS:
        return {}
    found = {
        f"{e.namespace}/{e.name}": excepted(policy, rule, e, deletion, place) for e in admission.exceptions
    }
    return {name: answer for name, answer in found.items() if answer is not False}


def _names(spared: Mapping[str, Known]) -> str:
    return ", ".join(spared)


def _enforces(rule: AdmissionRule, place: Place) -> Known:
    """Whether it denies here: the first override that is about the namespace decides, else the rule's own action."""
    everywhere: set[bool] = set()
    for override in rule.overrides:
        if not override.namespaces and not override.namespace_selector_json:
            # Of no namespace in older Kyverno, of all in newer.
            everywhere.add(override.action == "Enforce")
            continue
        here = not override.namespaces or like_any(place.name, override.namespaces)
        selected = place.selected(override.namespace_selector_json) if here else False
        if selected is None:
            return None
        if selected:
            return _agreed({*everywhere, override.action == "Enforce"})
    return _agreed({*everywhere, rule.enforces})


def _agreed(answers: set[bool]) -> Known:
    return answers.pop() if len(answers) == 1 else None


def switched_off(policy: AdmissionPolicy, rule: AdmissionRule, place: Place | None = None) -> str:
    """Why the rule does not enforce in the namespace; empty when it does, or may."""
    enforces = _enforces(rule, place or Place(ANYWHERE, {}))
    if enforces is False and policy.engine == "native-policy":
        return f"Policy {policy.name} has no binding that denies."
    if enforces is False:
        return f"Policy {policy.name} only audits here."
    if not policy.admission:
        return f"Policy {policy.name} is switched off for admission."
    if policy.ready is False:
        return f"Policy {policy.name} is not ready: {policy.message or 'no reason given'}"
    return ""


def engine(
    admission: Admission,
    policy: AdmissionPolicy,
    kind: str,
    place: Place | None = None,
    obj: Object | None = None,
) -> tuple[Webhook | None, str]:
    """The webhook that carries the policy's denials, and why there is none; both empty when the API server itself enforces."""
    if not is_kyverno(policy) or "ValidatingWebhookConfiguration" in admission.unreadable:
        return None, ""
    hooks = [
        h for h in admission.webhooks if _carries(h, policy) and h.about(PLURALS.get(kind, kind), "DELETE")
    ]
    if not hooks:
        return (
            None,
            f"Policy {policy.name} is expected to deny, but its engine is absent: no Kyverno webhook asks about this.",
        )
    here = [h for h in hooks if _selected(h, place or Place(ANYWHERE, {}), obj) is not False]
    if not here:
        return None, "The Kyverno webhook leaves this namespace or claim out."
    if kyverno_down(admission, here):
        return (
            None,
            f"Policy {policy.name} holds nothing now: no Kyverno pod is ready, and its webhook lets everything pass.",
        )
    wanted = [h for h in here if h.failure_policy == policy.failure_policy] or here
    return min(wanted, key=lambda h: bool(h.match_conditions)), ""


def kyverno_down(admission: Admission, hooks: list[Webhook]) -> bool:
    """No pod of Kyverno answers, and no webhook blocks for that."""
    return admission.kyverno_ready_replicas == 0 and all(h.failure_policy == "Ignore" for h in hooks)


def _carries(hook: Webhook, policy: AdmissionPolicy) -> bool:
    """Kyverno's own, for policies of this kind; of the fine-grained ones, which are each for one policy, that of this policy."""
    if "kyverno" not in hook.webhook and "kyverno" not in hook.name:
        return False
    if ("vpol." in hook.webhook) != (policy.engine == "kyverno-validating-policy"):
        return False
    _, one, whose = hook.webhook.partition("finegrained-")
    return not one or whose in {policy.name, f"{policy.namespace}-{policy.name}"}


def _selected(hook: Webhook, place: Place, obj: Object | None) -> Known:
    by_labels = selects(hook.object_selector_json, obj.labels) if obj else True
    return every([place.selected(hook.namespace_selector_json), by_labels])


def _unsure(
    admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, place: Place, hook: Webhook | None
) -> str:
    """What leaves it unknown whether the denial comes at all; empty when nothing does."""
    if policy.engine == "kyverno-cluster-policy" and _enforces(policy.rules[0], place) is not True:
        return "another rule of it does not enforce, and Kyverno may take its action for all."
    if _enforces(rule, place) is None or (hook and place.selected(hook.namespace_selector_json) is None):
        return "whether it enforces in this namespace is not known: it depends on labels that were not seen, or on Kyverno's version."
    return unread(admission, policy)


def _weakness(admission: Admission, policy: AdmissionPolicy, hook: Webhook | None) -> str:
    """What leaves a way around an enforcing rule; empty when nothing known does."""
    if hook and admission.kyverno_ready_replicas == 0:
        return "no Kyverno pod is ready: the webhook blocks all by its outage."
    if hook and hook.failure_policy == "Ignore":
        return "its webhook fails open: while the engine is away, everything passes."
    if policy.engine == "native-policy" and policy.failure_policy == "Ignore":
        return "its expressions fail open: an error in them lets everything pass."
    if not is_kyverno(policy):
        return ""
    people = [*(admission.excluded_groups or ()), *admission.excluded_usernames]
    left = [*(one for one in people if not harmless(one)), *admission.excluded_roles]
    return f"Kyverno's settings leave out some people: {', '.join(left)}." if left else ""


def _people(rule: AdmissionRule, everybody: Known) -> str:
    if everybody:
        return ""
    if rule.leaves_out:
        return f"it leaves out some people: {rule.leaves_out}"
    return "whether it does depends on who asks."


def _mixed(policy: AdmissionPolicy, place: Place) -> str:
    if (
        len({_enforces(rule, place) for rule in policy.rules}) > 1
        and policy.engine == "kyverno-cluster-policy"
    ):
        return "its rules have different actions, and Kyverno may take that of one for all."
    return ""


@dataclass(frozen=True)
class EnforcementFact:
    """The whole cluster's answer about deleting protected claims."""

    state: Enforcement
    fact: str
    policies: tuple[str, ...] = ()


def enforcement(admission: Admission) -> EnforcementFact:
    """Whether some rule about deleting claims enforces in general; one claim's answer may still differ."""
    found = [
        (_general(admission, policy, rule), policy.name)
        for policy in admission.policies
        for rule in policy.rules
        if rule.about(CLAIMS, "DELETE") and in_general(policy, rule, CLAIMS) not in {"people", "no"}
    ]
    if not found:
        if admission.unreadable:
            return EnforcementFact(Enforcement.UNKNOWN, f"Not readable: {', '.join(admission.unreadable)}.")
        return EnforcementFact(Enforcement.NO_POLICY, "No policy is about deleting claims.")
    order = list(Enforcement)
    (state, fact), _ = min(found, key=lambda entry: order.index(entry[0][0]))
    return EnforcementFact(state, fact, tuple(dict.fromkeys(name for _, name in found)))


def _general(admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule) -> tuple[Enforcement, str]:
    off = switched_off(policy, rule)
    if off:
        return Enforcement.AUDIT_ONLY, off
    hook, absent = engine(admission, policy, CLAIMS)
    absent = absent or (everybody_left_out(admission) if is_kyverno(policy) else "")
    if absent:
        return Enforcement.ENGINE_ABSENT, absent
    if hook and admission.kyverno_ready_replicas == 0:
        return Enforcement.ENGINE_ABSENT, f"Policy {policy.name} is there, but no Kyverno pod is ready."
    unsure = unread(admission, policy)
    if unsure:
        return Enforcement.UNKNOWN, f"Policy {policy.name} is there; {unsure}"
    answer = in_general(policy, rule, CLAIMS)
    if answer == "narrow":
        return Enforcement.UNKNOWN, f"Policy {policy.name} is only about some claims: see each claim."
    if answer != "yes" or (hook and hook.match_conditions):
        return Enforcement.UNKNOWN, f"Policy {policy.name} has a condition that cannot be judged by reading."
    if (hook and hook.failure_policy == "Ignore") or (policy.failure_policy == "Ignore"):
        return (
            Enforcement.FAILING_OPEN,
            f"Policy {policy.name} denies, but passes everything while its engine fails.",
        )
    return Enforcement.ENFORCED, f"Policy {policy.name} denies the deletion of protected claims."
