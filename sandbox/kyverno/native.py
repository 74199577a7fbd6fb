"""ValidatingPolicy policies.kyverno.io/v1 in its simple form: matchConstraints, matchConditions, validations in CEL."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.answers import Object
from sandbox.flux.values import dig
from sandbox.kyverno.cel import CelError, evaluate
from sandbox.kyverno.config import Config
from sandbox.kyverno.engine import Decision, Failure


def decide_native(request: Object, policies: Iterable[Object], config: Config, which: str) -> Decision:
    """The answer for ValidatingPolicies whose failurePolicy is `which`: 'Policy <name> failed: <message>'."""
    decision = Decision()
    if config.excludes(request):
        return decision
    for policy in sorted(policies, key=lambda one: str(one["metadata"]["name"])):
        if (policy["spec"].get("failurePolicy") or "Fail") != which or not _matches(policy, request):
            continue
        failure = _judge(policy, request, fails_on_error=which == "Fail")
        if failure is None:
            continue
        decision.failures.append(failure)
        if failure.blocked and not decision.message:
            decision.message = f"Policy {failure.policy} failed: {failure.message}"
    return decision


def _matches(policy: Object, request: Object) -> bool:
    rules = dig(policy, "spec", "matchConstraints", "resourceRules", default=[])
    return any(_rule_matches(rule, request) for rule in rules)


def _rule_matches(rule: Object, request: Object) -> bool:
    resource = request["resource"]
    wanted = (
        (rule.get("apiGroups"), resource["group"]),
        (rule.get("apiVersions"), resource["version"]),
        (rule.get("resources"), resource["resource"]),
        (rule.get("operations"), request["operation"]),
    )
    return all(value in (listed or []) or "*" in (listed or []) for listed, value in wanted)


def _judge(policy: Object, request: Object, *, fails_on_error: bool) -> Failure | None:
    spec = policy["spec"]
    name = policy["metadata"]["name"]
    enforces = "Deny" in (spec.get("validationActions") or ["Deny"])
    variables = {"object": request.get("object"), "oldObject": request.get("oldObject"), "request": request}
    try:
        if not all(evaluate(one["expression"], variables) for one in spec.get("matchConditions") or []):
            return None
        variables["variables"] = {
            one["name"]: evaluate(one["expression"], variables) for one in spec.get("variables") or []
        }
        for one in spec.get("validations") or []:
            if evaluate(one["expression"], variables) is not True:
                message = one.get("message") or f"failed expression: {one['expression']}"
                return Failure(name, "validation", message, enforces)
    except CelError as error:
        return Failure(name, "validation", f"error: {error}", enforces and fails_on_error, is_error=True)
    return None
