"""Decides one AdmissionRequest: the rules that match, what they answer, and Kyverno's words for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import yaml

from sandbox.answers import Object
from sandbox.flux.values import dig
from sandbox.kyverno import operators
from sandbox.kyverno.config import Config
from sandbox.kyverno.match import Roles, matches, subject_object
from sandbox.kyverno.policy import Rule, failure_policy, is_active, rules_of
from sandbox.kyverno.query import QueryError
from sandbox.kyverno.variables import resolve


@dataclass(frozen=True)
class Failure:
    """One rule that a request failed. `blocked` says whether that denies it; `is_error` that it could not be judged."""

    policy: str
    rule: str
    message: str
    blocked: bool
    is_error: bool = False


@dataclass
class Decision:
    """`message` is empty when the request is allowed."""

    failures: list[Failure] = field(default_factory=list)
    message: str = ""

    @property
    def allowed(self) -> bool:
        return not self.message


@dataclass(frozen=True)
class World:
    """What a decision looks at, read from caches."""

    policies: tuple[Object, ...]
    exceptions: tuple[Object, ...]
    config: Config
    roles: Roles
    namespace_labels: Callable[[str], Object]


def decide(request: Object, world: World, which: str) -> Decision:
    """The answer of the webhook for policies whose failurePolicy is `which` (Fail or Ignore)."""
    decision = Decision()
    if world.config.excludes(request):
        return decision
    for policy in sorted(world.policies, key=lambda one: str(one["metadata"]["name"])):
        if not is_active(policy) or failure_policy(policy) != which:
            continue
        for rule in rules_of(policy):
            failure = _judge(rule, request, world, fails_on_error=which == "Fail")
            if failure is not None:
                decision.failures.append(failure)
    blocking = [failure for failure in decision.failures if failure.blocked]
    if blocking:
        decision.message = blocked_message(request, blocking)
    return decision


def _judge(rule: Rule, request: Object, world: World, *, fails_on_error: bool) -> Failure | None:
    if rule.deny is None or not _applies(rule, request, world):
        return None
    context = {"request": request, "element": None}
    enforces = rule.enforces(request.get("namespace") or "")
    try:
        if rule.preconditions and not operators.holds(rule.preconditions, context):
            return None
        if not operators.holds(rule.deny, context):
            return None
        message = str(resolve(rule.message, context))
    except (QueryError, ValueError, TypeError) as error:
        # A rule that cannot be judged blocks only where both the policy enforces and its failurePolicy is Fail.
        text = f"failed to substitute variables in deny conditions: {error}"
        return Failure(rule.policy, rule.name, text, enforces and fails_on_error, is_error=True)
    return Failure(rule.policy, rule.name, message, enforces)


def _applies(rule: Rule, request: Object, world: World) -> bool:
    if request["operation"] not in rule.operations():
        return False
    if not matches(rule.match, request, world.roles, world.namespace_labels):
        return False
    if matches(rule.exclude, request, world.roles, world.namespace_labels):
        return False
    return not any(_excepts(one, rule, request, world) for one in world.exceptions)


def _excepts(exception: Object, rule: Rule, request: Object, world: World) -> bool:
    named = any(
        entry.get("policyName") == rule.policy
        and any(fnmatchcase(rule.name, pattern) for pattern in entry.get("ruleNames") or [])
        for entry in dig(exception, "spec", "exceptions", default=[])
    )
    match = dig(exception, "spec", "match", default={})
    return named and matches(match, request, world.roles, world.namespace_labels)


def blocked_message(request: Object, failures: Iterable[Failure]) -> str:
    """Kyverno's text: the resource, then a YAML map of policy, rule and message."""
    listed: dict[str, dict[str, str]] = {}
    for failure in failures:
        listed.setdefault(failure.policy, {})[failure.rule] = failure.message
    text = yaml.safe_dump(listed, default_flow_style=False, width=80)
    return f"\n\nresource {resource_name(request)} was blocked due to the following policies \n\n{text}"


def resource_name(request: Object) -> str:
    """Kind/namespace/name of what the request is about."""
    name = dig(subject_object(request), "metadata", "name") or request.get("name") or ""
    parts = (request["kind"]["kind"], request.get("namespace") or "", name)
    return "/".join(parts)
