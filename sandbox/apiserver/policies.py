"""ValidatingAdmissionPolicies: native rules in CEL, with bindings, as the API server enforces them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.store import Change, Store
from sandbox.apiserver.webhooks import GROUP, namespace_matches, object_matches, rule_matches
from sandbox.kyverno.cel import CelError, evaluate

Json = dict[str, Any]

_CODES = {"": (422, "Invalid"), "Invalid": (422, "Invalid"), "Forbidden": (403, "Forbidden"), "Unauthorized": (401, "Unauthorized"), "RequestEntityTooLarge": (413, "RequestEntityTooLarge")}  # fmt: skip


class Policies:
    """Evaluates every bound policy that matches a write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pairs: list[tuple[Json, Json]] | None = None
        store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.table[0] == GROUP:
            self._pairs = None

    def _load(self) -> list[tuple[Json, Json]]:
        """Each binding with its policy."""
        if self._pairs is None:
            policies = {
                entry.name: entry.decode()
                for entry in self._store.entries((GROUP, "validatingadmissionpolicies"))
            }
            bindings = [
                entry.decode() for entry in self._store.entries((GROUP, "validatingadmissionpolicybindings"))
            ]
            self._pairs = [
                (policies[one["spec"]["policyName"]], one)
                for one in bindings
                if one["spec"]["policyName"] in policies
            ]
        return self._pairs

    def validate(self, call: Call, attributes: Attributes) -> None:
        """StatusError of the first denial; warnings go to the caller."""
        if attributes.resource.group == GROUP or not self._load():
            return
        context = attributes.cel_context(call.user)
        for policy, binding in self._load():
            if not self._matches(policy, binding, attributes):
                continue
            for failure in _failures(policy, context):
                self._act(call, attributes, policy, binding, failure)

    def _matches(self, policy: Json, binding: Json, attributes: Attributes) -> bool:
        return self._constrained(policy["spec"].get("matchConstraints"), attributes) and self._constrained(
            binding["spec"].get("matchResources"), attributes
        )

    def _constrained(self, constraints: Json | None, attributes: Attributes) -> bool:
        if not constraints:
            return True
        rules = constraints.get("resourceRules")
        if rules and not any(rule_matches(rule, attributes) for rule in rules):
            return False
        if any(rule_matches(rule, attributes) for rule in constraints.get("excludeResourceRules") or ()):
            return False
        return namespace_matches(
            self._store, constraints.get("namespaceSelector"), attributes
        ) and object_matches(constraints.get("objectSelector"), attributes)

    def _act(
        self, call: Call, attributes: Attributes, policy: Json, binding: Json, failure: tuple[str, str]
    ) -> None:
        reason, message = failure
        who = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
        actions = binding["spec"].get("validationActions") or ()
        if "Warn" in actions:
            call.warnings.append(f"Validation failed for {who}: {message}")
        if "Deny" not in actions:
            return
        code, word = _CODES.get(reason, _CODES[""])
        resource = attributes.resource
        name = attributes.name or (attributes.old or attributes.new or {}).get("metadata", {}).get("name", "")
        raise StatusError(
            code,
            word,
            f'{resource.qualified} "{name}" is forbidden: {who} denied request: {message}',
            {
                "name": name,
                "group": resource.group,
                "kind": resource.plural,
                "causes": [{"message": f"{who} denied request: {message}"}],
            },
        )


def _failures(policy: Json, context: Json) -> Iterator[tuple[str, str]]:
    """(reason, message) of each validation that does not hold. Errors count unless failurePolicy is Ignore."""
    spec = policy["spec"]
    fails_closed = (spec.get("failurePolicy") or "Fail") == "Fail"
    context = {**context, "variables": {}}
    try:
        if not all(evaluate(one["expression"], context) is True for one in spec.get("matchConditions") or ()):
            return
        for variable in spec.get("variables") or ():
            context["variables"][variable["name"]] = evaluate(variable["expression"], context)
    except CelError as error:
        if fails_closed:
            yield "", f"{error}"
        return
    for validation in spec.get("validations") or ():
        try:
            holds = evaluate(validation["expression"], context) is True
        except CelError as error:
            if fails_closed:
                yield "", f"expression '{validation['expression'].strip()}' resulted in error: {error}"
            continue
        if not holds:
            yield validation.get("reason") or "", _message(validation, context)


def _message(validation: Json, context: Json) -> str:
    if expression := validation.get("messageExpression"):
        try:
            found = evaluate(expression, context)
        except CelError:
            found = None
        if isinstance(found, str) and found.strip():
            return found
    return str(validation.get("message") or f"failed expression: {validation['expression'].strip()}")
