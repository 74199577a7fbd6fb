"""From the wire to values: what a rule of admission is about, and what it does. One value for each way that it may match."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from cluster.base import canonical
from cluster.kinds import BUILT_IN
from cluster.policies import ActionOverride, AdmissionRule, Match, RuleSort

KIND_OF_PLURAL = {resource.plural: resource.kind for resource in BUILT_IN.values() if not resource.group}
PEOPLE = ("subjects", "roles", "clusterRoles")
READ = {"kinds", "operations", "name", "names", "namespaces", "selector", "annotations", "namespaceSelector"}
# Kyverno skips these when an object is deleted: they look at the new object, and there is none.
SKIPPED = ("pattern", "anyPattern", "podSecurity")
Tree = Mapping[str, Any]
Ways = tuple[tuple[Match, ...], ...]  # any of them; all matches of one


def text(value: Any) -> str:
    """Canonical JSON; empty for nothing."""
    return canonical(value) if value else ""


# Kyverno -------------------------------------------------------------------------------------------------------------


def _kyverno_match(entry: Tree) -> Match:
    """One resource filter with the people that it names."""
    resources = entry.get("resources") or {}
    people = {key: entry[key] for key in PEOPLE if entry.get(key)}
    names = (*(resources.get("names") or ()), *([resources["name"]] if resources.get("name") else ()))
    return Match(
        kinds=tuple(resources.get("kinds") or ()),
        operations=tuple(resources.get("operations") or ()),
        names=names,
        namespaces=tuple(resources.get("namespaces") or ()),
        selector_json=text(resources.get("selector")),
        annotations_json=text(resources.get("annotations")),
        namespace_selector_json=text(resources.get("namespaceSelector")),
        people_json=text(people),
        unread=bool(resources.keys() - READ or entry.keys() - {"resources", *PEOPLE}),
    )


def kyverno_ways(block: Tree | None) -> Ways:
    """The ways in which a match or exclude block holds: each entry of `any`, or all entries of `all`, or the block itself."""
    block = block or {}
    if block.get("any"):
        return tuple((_kyverno_match(entry),) for entry in block["any"])
    if block.get("all"):
        return (tuple(_kyverno_match(entry) for entry in block["all"]),)
    plain = {key: value for key, value in block.items() if value}
    return ((_kyverno_match(plain),),) if plain else ()


def _sort(validate: Tree) -> tuple[RuleSort, Any]:
    """What a validate rule does with a deletion, and its condition."""
    if validate.get("deny") is not None:
        conditions = validate["deny"].get("conditions")
        if conditions is None:
            return "everything", None
        # Whether an empty list denies all or nothing depends on its place and on Kyverno's version.
        return ("deny", conditions) if conditions else ("unclear", None)
    if validate.get("cel") is not None:
        cel = validate["cel"]
        if not cel.get("expressions"):
            return "never", None
        return "cel", [one.get("expression", "") for one in cel["expressions"]]
    if any(key in validate for key in SKIPPED):
        return "never", None
    return "unclear", None


def overrides(items: Any) -> tuple[ActionOverride, ...]:
    return tuple(
        ActionOverride(
            str(one.get("action", "")).capitalize(),
            tuple(one.get("namespaces") or ()),
            text(one.get("namespaceSelector")),
        )
        for one in items or ()
    )


def kyverno_rules(rule: Tree, spec: Tree, own_namespace: str) -> list[AdmissionRule]:
    """A validate rule of a ClusterPolicy or Policy."""
    validate = rule.get("validate") or {}
    own = validate.get("failureAction")
    action = own or spec.get("validationFailureAction") or "Audit"
    # The policy's overrides come after the rule's own action, and so never apply where it has one.
    listed = (
        *overrides(validate.get("failureActionOverrides")),
        *(() if own else overrides(spec.get("validationFailureActionOverrides"))),
    )
    sort, condition = _sort(validate)
    if spec.get("applyRules") == "One" and rule is not spec["rules"][0] and sort != "never":
        sort = "unclear"  # another rule may be applied in its place
    before = rule.get("preconditions")
    if sort == "deny" or (sort == "everything" and before):
        sort = "deny"
        condition = {key: value for key, value in (("deny", condition), ("preconditions", before)) if value}
    elif before and sort != "never":
        sort, condition = "unclear", {"cel": condition, "preconditions": before}
    webhook = spec.get("webhookConfiguration") or {}
    asked = (*(webhook.get("matchConditions") or ()), *(rule.get("celPreconditions") or ()))
    # A policy of a namespace is about objects in it, and never about the namespace itself.
    fence = (Match(namespaces=(own_namespace,), scope="Namespaced"),) if own_namespace else ()
    return [
        AdmissionRule(
            name=rule.get("name", ""),
            matches=(*way, *fence),
            enforces=str(action).lower() == "enforce",
            sort=sort,
            condition=text(condition),
            excludes=kyverno_ways(rule.get("exclude")),
            match_conditions=tuple(one.get("expression", "") for one in asked),
            parameters=bool((validate.get("cel") or {}).get("paramKind")),
            overrides=listed,
            leaves_out=text({"exclude": rule.get("exclude")} if rule.get("exclude") else None),
        )
        for way in kyverno_ways(rule.get("match"))
        if any(match.kinds for match in way)
    ]


# CEL -----------------------------------------------------------------------------------------------------------------


def _kinds(rule: Tree) -> tuple[str, ...]:
    """Kinds of a resourceRule as Kyverno writes them. Subresources are other objects."""
    kinds = []
    for group, version, plural in product(
        rule.get("apiGroups") or (), rule.get("apiVersions") or (), rule.get("resources") or ()
    ):
        resource, _, sub = plural.partition("/")
        kind = "*" if resource == "*" else KIND_OF_PLURAL.get(resource, resource)
        if sub in {"", "*"}:
            kinds.append(f"{group}/{version}/{kind}")
    return tuple(kinds)


def _resource_match(rule: Tree, selectors: Tree) -> Match:
    return Match(
        kinds=_kinds(rule) or ("none",),
        operations=tuple(rule.get("operations") or ()),
        names=tuple(rule.get("resourceNames") or ()),
        selector_json=text(selectors.get("objectSelector")),
        namespace_selector_json=text(selectors.get("namespaceSelector")),
        scope=rule.get("scope") or "*",
    )


def resource_matches(constraints: Tree) -> tuple[Match, ...]:
    """One for each resourceRule of matchConstraints or matchResources; without any, what the selectors say."""
    rules = constraints.get("resourceRules") or ()
    if rules:
        return tuple(_resource_match(rule, constraints) for rule in rules)
    return (
        Match(
            selector_json=text(constraints.get("objectSelector")),
            namespace_selector_json=text(constraints.get("namespaceSelector")),
        ),
    )


def resource_excludes(constraints: Tree) -> Ways:
    return tuple((_resource_match(rule, {}),) for rule in constraints.get("excludeResourceRules") or ())


def cel_rules(name: str, spec: Tree, enforces: bool, own_namespace: str = "") -> list[AdmissionRule]:
    """The rules of a policy in CEL: a Kyverno ValidatingPolicy or a native ValidatingAdmissionPolicy."""
    constraints = spec.get("matchConstraints") or {}
    expressions = [one.get("expression", "") for one in spec.get("validations") or ()]
    narrowing = {
        "excludeResourceRules": constraints.get("excludeResourceRules"),
        "objectSelector": constraints.get("objectSelector"),
        "matchConditions": spec.get("matchConditions"),
    }
    fence = (Match(namespaces=(own_namespace,), scope="Namespaced"),) if own_namespace else ()
    return [
        AdmissionRule(
            name=name,
            matches=(match, *fence),
            enforces=enforces,
            sort="cel" if expressions else "never",
            condition=text(expressions),
            excludes=resource_excludes(constraints),
            match_conditions=tuple(one.get("expression", "") for one in spec.get("matchConditions") or ()),
            parameters=bool(spec.get("paramKind")),
            leaves_out=text({key: value for key, value in narrowing.items() if value}),
        )
        for match in (resource_matches(constraints) if constraints.get("resourceRules") else ())
    ]
