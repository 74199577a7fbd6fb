"""Webhook configurations and admission policies: what their rules may say, in the API server's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.apiserver.errors import Cause, field_invalid, field_not_supported, field_required
from sandbox.apiserver.strategy import Strategy

Json = dict[str, Any]

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


class WebhooksStrategy(Strategy):
    """A ValidatingWebhookConfiguration or a MutatingWebhookConfiguration."""

    def validate(self, item: Json) -> list[Cause]:
        return [
            cause
            for number, hook in enumerate(item.get("webhooks") or ())
            for cause in _rules(hook.get("rules"), f"webhooks[{number}].rules")
        ]


class PolicyStrategy(Strategy):
    """A ValidatingAdmissionPolicy."""

    def validate(self, item: Json) -> list[Cause]:
        spec = item.get("spec") or {}
        constraints = spec.get("matchConstraints")
        if not constraints:
            causes = [field_required("spec.matchConstraints")]
        else:
            causes = _match_resources(constraints, "spec.matchConstraints")
            if not constraints.get("resourceRules"):
                causes.append(field_required("spec.matchConstraints.resourceRules"))
        if not spec.get("validations") and not spec.get("auditAnnotations"):
            why = "validations or auditAnnotations must be non-empty; at least one must be specified"
            causes += [field_required("spec.validations", why), field_required("spec.auditAnnotations", why)]
        return causes


class BindingStrategy(Strategy):
    """A ValidatingAdmissionPolicyBinding."""

    def validate(self, item: Json) -> list[Cause]:
        spec = item.get("spec") or {}
        causes = _match_resources(spec.get("matchResources") or {}, "spec.matchResources")
        if not spec.get("policyName"):
            causes.append(field_required("spec.policyName"))
        if not spec.get("validationActions"):
            causes.append(field_required("spec.validationActions"))
        return causes


def _match_resources(found: Json, field: str) -> list[Cause]:
    return [
        cause
        for which in ("resourceRules", "excludeResourceRules")
        for cause in _rules(found.get(which), f"{field}.{which}")
    ]


def _rules(rules: list[Json] | None, field: str) -> list[Cause]:
    return [cause for number, rule in enumerate(rules or ()) for cause in _rule(rule, f"{field}[{number}]")]


def _rule(rule: Json, field: str) -> Iterator[Cause]:
    yield from _names(rule.get("apiGroups"), f"{field}.apiGroups", "API groups", empty_allowed=True)
    yield from _names(rule.get("apiVersions"), f"{field}.apiVersions", "API versions")
    yield from _names(rule.get("operations"), f"{field}.operations", "operations")
    for number, operation in enumerate(rule.get("operations") or ()):
        if operation not in _OPERATIONS:
            yield field_not_supported(f"{field}.operations[{number}]", operation, _OPERATIONS)
    yield from _resources(rule.get("resources") or [], f"{field}.resources")
    if rule.get("scope") and rule["scope"] not in _SCOPES:
        yield field_not_supported(f"{field}.scope", rule["scope"], _SCOPES)


def _names(
    names: list[str] | None, field: str, words: str, *, empty_allowed: bool = False
) -> Iterator[Cause]:
    if not names:
        yield field_required(field)
        return
    if len(names) > 1 and "*" in names:
        yield field_invalid(field, names, f"if '*' is present, must not specify other {words}")
    if not empty_allowed and "" in names:
        yield field_required(f"{field}[{names.index('')}]")


def _resources(resources: list[str], field: str) -> Iterator[Cause]:
    """A wildcard stands beside nothing that it contains already."""
    if not resources:
        yield field_required(field)
    whole: set[str] = set()  # x of x/*
    everywhere: set[str] = set()  # x of */x
    for number, pattern in enumerate(resources):
        main, slash, sub = pattern.partition("/")
        if not pattern:
            yield field_required(f"{field}[{number}]")
        if not slash:
            continue
        for wildcard, contained in ((f"{main}/*", main in whole), (f"*/{sub}", sub in everywhere)):
            if contained:
                why = f"if '{wildcard}' is present, must not specify {pattern}"
                yield field_invalid(f"{field}[{number}]", pattern, why)
        if sub == "*":
            whole.add(main)
        if main == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        yield field_invalid(field, resources, "if '*/*' is present, must not specify other resources")
    bare = [pattern for pattern in resources if pattern and "/" not in pattern]
    # The API server looks at the last of them alone.
    if "*" in bare and bare[-1] != "*":
        why = "if '*' is present, must not specify other resources without subresources"
        yield field_invalid(field, resources, why)
