"""A ClusterPolicy, read into values: what it matches, when it denies, and whether it enforces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sandbox.answers import Object
from sandbox.flux.values import dig

_DEFAULT_OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")


@dataclass(frozen=True)
class Rule:
    """One validate rule. `deny` is its conditions block, None for a rule of another sort (which never denies here)."""

    policy: str
    name: str
    match: Object
    exclude: Object
    preconditions: object
    deny: Object | None
    message: str
    action: str
    overrides: tuple[Object, ...]

    def enforces(self, namespace: str) -> bool:
        """Whether a failure blocks: the override of the namespace, else the rule's action, else the policy's."""
        for override in self.overrides:
            if any(fnmatchcase(namespace, pattern) for pattern in override.get("namespaces") or []):
                return str(override.get("action", "")).lower() == "enforce"
        return self.action.lower() == "enforce"

    def operations(self) -> tuple[str, ...]:
        """The operations that the rule subscribes to; all of them when it lists none."""
        listed = {
            one for entry in _entries(self.match) for one in dig(entry, "resources", "operations", default=[])
        }
        return tuple(sorted(listed)) or _DEFAULT_OPERATIONS

    def kinds(self) -> tuple[str, ...]:
        """The kinds that the rule names."""
        return tuple(
            sorted(
                {
                    one
                    for entry in _entries(self.match)
                    for one in dig(entry, "resources", "kinds", default=[])
                }
            )
        )


def _entries(block: Object) -> Iterator[Object]:
    if block.get("any") or block.get("all"):
        yield from [*(block.get("any") or []), *(block.get("all") or [])]
    else:
        yield block


def failure_policy(policy: Object) -> str:
    """Fail or Ignore: webhookConfiguration, else spec.failurePolicy, else Fail."""
    spec = policy["spec"]
    return str(dig(spec, "webhookConfiguration", "failurePolicy") or spec.get("failurePolicy") or "Fail")


def is_active(policy: Object) -> bool:
    """Whether the policy takes part in admission: not turned off, not taken over by a native policy."""
    spec = policy["spec"]
    generated = dig(policy, "status", "validatingadmissionpolicy", "generated", default=False)
    return (
        spec.get("admission", True) is not False
        and not generated
        and not policy["metadata"].get("deletionTimestamp")
    )


def rules_of(policy: Object) -> list[Rule]:
    """The validate rules of a policy, in order."""
    spec = policy["spec"]
    return [
        _rule(policy["metadata"]["name"], spec, entry)
        for entry in spec.get("rules") or []
        if entry.get("validate")
    ]


def _rule(policy: str, spec: Object, entry: Object) -> Rule:
    validate = entry["validate"]
    overrides = validate.get("failureActionOverrides") or spec.get("validationFailureActionOverrides") or []
    return Rule(
        policy=policy,
        name=entry["name"],
        match=entry.get("match") or {},
        exclude=entry.get("exclude") or {},
        preconditions=entry.get("preconditions"),
        deny=dig(validate, "deny", "conditions"),
        message=str(validate.get("message") or ""),
        action=str(validate.get("failureAction") or spec.get("validationFailureAction") or "Audit"),
        overrides=tuple(overrides),
    )
