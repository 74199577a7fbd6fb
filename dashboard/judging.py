"""Whether one rule of admission denies one deletion, asked by one: true, false, or None where it cannot be told. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal

from cluster.base import Ref
from cluster.flux import PRUNE
from cluster.policies import AdmissionPolicy, AdmissionRule, Match, PolicyException, Webhook
from cluster.values import Claim, Namespace, Object
from dashboard import cel
from dashboard.askers import SOMEBODY, Asker, among
from dashboard.conditions import Deletion, holds
from dashboard.logic import Known, every, negated, some

CLAIMS = "PersistentVolumeClaim"
NAME_LABEL = "kubernetes.io/metadata.name"
ANYWHERE = "any-namespace"


@lru_cache(maxsize=1024)
def _told(text: str) -> Any:
    """Read once: the same few rules are asked of every claim."""
    return json.loads(text) if text else {}


@dataclass(frozen=True)
class Place:
    """The namespace of an object, or the namespace itself. `labels` is None where it was not seen."""

    name: str
    labels: Mapping[str, str] | None

    def selected(self, selector_json: str) -> Known:
        """Whether a namespace selector selects it. Its name is a label that all namespaces have."""
        if not selector_json:
            return True
        if self.labels is None and not _keys(_told(selector_json)) <= {NAME_LABEL}:
            return None
        return selects(selector_json, {NAME_LABEL: self.name, **(self.labels or {})})


def selects(selector_json: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) selects `labels`. Keys and values of Kyverno may hold wildcards."""
    if not selector_json:
        return True
    selector = _told(selector_json)
    return _pairs_like(labels, selector.get("matchLabels") or {}) and all(
        _holds(need, labels) for need in selector.get("matchExpressions") or ()
    )


def _keys(selector: Mapping[str, Any]) -> set[str]:
    return {
        *(selector.get("matchLabels") or {}),
        *(need["key"] for need in selector.get("matchExpressions") or ()),
    }


def _pairs_like(pairs: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(
        any(fnmatchcase(k, key) and fnmatchcase(v, str(value)) for k, v in pairs.items())
        for key, value in wanted.items()
    )


def _holds(need: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(need["key"]), need.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(need.get("operator", ""), False)


def like_any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


# One rule ------------------------------------------------------------------------------------------------------------


def is_kyverno(policy: AdmissionPolicy) -> bool:
    """Whether Kyverno's webhook enforces it, and not the API server itself."""
    return policy.engine.startswith("kyverno") and not policy.generated_native


def _where(match: Match, deletion: Deletion, place: Place, cluster_policy: bool) -> Known:
    """Whether the object is one of those that the entry names, whoever asks."""
    obj = deletion.obj
    if not match.about(obj.kind, "DELETE"):
        return False
    if match.namespaces and not like_any(place.name, match.namespaces):
        return False
    if match.names and not like_any(obj.name, match.names):
        return False
    if not selects(match.selector_json, obj.labels):
        return False
    if match.annotations_json and not _pairs_like(obj.annotations, _told(match.annotations_json)):
        return False
    if match.namespace_selector_json and cluster_policy and obj.kind == "Namespace":
        return False  # Kyverno asks it of the namespace that an object is in
    # Of many deleted at once, as controllers do, the request has no name.
    nameless = match.names and deletion.asker is not None and deletion.asker.user
    unread = match.unread or nameless
    return every([place.selected(match.namespace_selector_json), None if unread else True])


def _entry(match: Match, deletion: Deletion, place: Place, cluster_policy: bool) -> Known:
    people = among(_told(match.people_json), deletion.asker)
    return every([_where(match, deletion, place, cluster_policy), people])


def _spares(
    ways: Iterable[tuple[Match, ...]], deletion: Deletion, place: Place, cluster_policy: bool
) -> Known:
    """Whether one of the ways to leave the deletion out holds."""

    def left_out(match: Match) -> Known:
        if cluster_policy and deletion.obj.kind == "Namespace" and match.namespace_selector_json:
            # Older versions of Kyverno pass the selector over, and newer ones the whole entry.
            match = replace(match, namespace_selector_json="", unread=True)
        return _entry(match, deletion, place, cluster_policy)

    return some(every(left_out(match) for match in way) for way in ways)


def reaches(policy: AdmissionPolicy, rule: AdmissionRule, deletion: Deletion, place: Place) -> Known:
    """Whether the rule is about the object, whoever asks."""
    if rule.sort == "never":
        return False
    clusters = policy.engine == "kyverno-cluster-policy"
    return every(_where(match, deletion, place, clusters) for match in rule.matches)


def excluded(policy: AdmissionPolicy, rule: AdmissionRule, deletion: Deletion, place: Place) -> Known:
    """Whether its exclude block leaves the deletion out."""
    return _spares(rule.excludes, deletion, place, policy.engine == "kyverno-cluster-policy")


def condition(rule: AdmissionRule, deletion: Deletion) -> Known:
    """Whether what the rule says of the object denies its deletion."""
    if rule.sort == "everything":
        return True
    if rule.sort == "never":
        return False
    if rule.sort == "unclear" or not rule.condition:
        return None
    told = _told(rule.condition)
    if rule.sort == "cel":
        return some(negated(cel.true(expression, deletion)) for expression in told)
    return every(holds(told[key], deletion) for key in ("preconditions", "deny") if key in told)


def denies(
    policy: AdmissionPolicy,
    rule: AdmissionRule,
    deletion: Deletion,
    place: Place,
    hook: Webhook | None = None,
) -> Known:
    """Whether the rule denies the deletion, where it enforces and its engine is there."""
    clusters = policy.engine == "kyverno-cluster-policy"
    asked = (*rule.match_conditions, *(hook.match_conditions if hook else ()))
    return every(
        [
            *(_entry(match, deletion, place, clusters) for match in rule.matches),
            negated(excluded(policy, rule, deletion, place)),
            *(cel.true(expression, deletion) for expression in asked),
            None if rule.parameters else True,
            condition(rule, deletion),
        ]
    )


def excepted(
    policy: AdmissionPolicy, rule: AdmissionRule, exception: PolicyException, deletion: Deletion, place: Place
) -> Known:
    """Whether a PolicyException takes the deletion out of the rule."""
    names = (policy.name, f"{policy.namespace}/{policy.name}")
    if not any(
        any(like_any(name, [named]) for name in names) and (not rules or like_any(rule.name, rules))
        for named, rules in exception.policies
    ):
        return False
    covered = _spares(exception.matches, deletion, place, policy.engine == "kyverno-cluster-policy")
    conditions = (cel.true(expression, deletion) for expression in exception.match_conditions)
    known = exception.matches and not exception.unread
    return every([covered if exception.matches else None, *conditions, True if known else None])


# A rule as such ------------------------------------------------------------------------------------------------------

# yes: it denies deleting what is protected. people: only for some of those who ask. narrow: only for some objects. no: never.
InGeneral = Literal["yes", "people", "narrow", "unclear", "no"]


def in_general(policy: AdmissionPolicy, rule: AdmissionRule, kind: str) -> InGeneral:
    """What the rule does about deleting protected objects of the kind, wherever they are."""
    place = Place(ANYWHERE, {})
    deletion = Deletion(_protected(kind), None, SOMEBODY)
    answer = denies(policy, rule, deletion, place)
    if answer is not False:
        return "yes" if answer else "unclear"
    if rule.sort == "never":
        return "no"
    if reaches(policy, rule, deletion, place) is False or excluded(policy, rule, deletion, place):
        return "narrow"
    return "people" if denies(policy, rule, replace(deletion, asker=None), place) is None else "no"


def _protected(kind: str) -> Object:
    """An object that carries the protection in both of its forms: a rule may read either."""
    made = Claim if kind == CLAIMS else Namespace
    ref = Ref("v1", kind, ANYWHERE if kind == CLAIMS else "", "any-name", "")
    return made(ref=ref, annotations={PRUNE: "disabled"}, labels={PRUNE: "disabled"})


def asked_by(obj: Object, place: Place, asker: Asker | None) -> Deletion:
    return Deletion(obj, place.name, asker)
