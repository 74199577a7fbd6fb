"""Frozen values of admission: policies, bindings, webhooks. Section B of the domain facts says what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.values import Object

PolicyEngine = Literal["kyverno-cluster-policy", "kyverno-validating-policy", "native-policy"]


@dataclass(frozen=True)
class ActionOverride:
    """An entry of failureActionOverrides: `action` for the namespaces (wildcards allowed)."""

    action: str
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class AdmissionRule:
    """One rule that decides about objects of some kinds and operations.

    `enforces`: it denies (Enforce, Deny) rather than audits. `exclude_json` and `condition` are carried as text.
    """

    name: str
    kinds: tuple[str, ...]
    operations: tuple[str, ...]  # empty: all that the engine subscribes to
    enforces: bool
    overrides: tuple[ActionOverride, ...] = ()
    namespaces: tuple[str, ...] = ()  # matched namespaces; empty: all
    exclude_json: str = ""
    exclude_namespaces: tuple[str, ...] = ()
    namespace_selector_json: str = ""
    condition: str = ""  # canonical JSON or CEL of what it denies

    def about(self, kind: str, operation: str) -> bool:
        """True when the rule matches `kind` (or all kinds) on `operation` (or all operations)."""
        kinds = {k.split("/")[-1] for k in self.kinds}
        return bool(kinds & {kind, "*"}) and (
            not self.operations or operation in self.operations or "*" in self.operations
        )


@dataclass(frozen=True, kw_only=True)
class AdmissionPolicy(Object):
    """A Kyverno ClusterPolicy or Policy, a Kyverno ValidatingPolicy, or a native ValidatingAdmissionPolicy."""

    engine: PolicyEngine
    rules: tuple[AdmissionRule, ...] = ()
    failure_policy: str = "Fail"  # Fail, Ignore
    admission: bool = True  # False: background scans only
    ready: bool | None = None  # None: the kind does not say
    message: str = ""
    generated_native: bool = False  # a native policy made from this one enforces it, the webhook does not
    warnings: tuple[str, ...] = ()  # expression warnings of type checking


@dataclass(frozen=True, kw_only=True)
class PolicyBinding(Object):
    """A ValidatingAdmissionPolicyBinding."""

    policy_name: str = ""
    actions: tuple[str, ...] = ()  # Deny, Warn, Audit
    namespace_selector_json: str = ""
    exclude_json: str = ""
    parameters: bool = False


@dataclass(frozen=True, kw_only=True)
class Webhook(Object):
    """One webhook of a ValidatingWebhookConfiguration; `ref` names the configuration."""

    webhook: str = ""
    failure_policy: str = "Fail"
    rules: tuple[tuple[str, str], ...] = ()  # (operation, resource) pairs, "*" kept
    namespace_selector_json: str = ""
    service: str = ""  # namespace/name, or a URL
    timeout_s: int = 10
    match_conditions: bool = False

    def about(self, resource: str, operation: str) -> bool:
        return any(
            op in {operation, "*"} and res in {resource, "*", "*/*", f"{resource}/*"}
            for op, res in self.rules
        )


@dataclass(frozen=True, kw_only=True)
class PolicyException(Object):
    """A Kyverno PolicyException: rules of a policy that do not hold for what it matches."""

    policies: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (policy name, rule names)
    match_json: str = ""


@dataclass(frozen=True)
class Admission:
    """Everything of admission that one reading found. `unreadable` names kinds that we may not list."""

    policies: tuple[AdmissionPolicy, ...] = ()
    bindings: tuple[PolicyBinding, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    exceptions: tuple[PolicyException, ...] = ()
    kyverno_served: bool = False
    kyverno_ready_replicas: int | None = (
        None  # of its admission controller; None: no such Deployment is to be seen
    )
    excluded_groups: tuple[str, ...] | None = None  # from ConfigMap kyverno/kyverno; None: not readable
    excluded_usernames: tuple[str, ...] = ()
    resource_filters: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


ProbeVerdict = Literal["protected", "unprotected", "engine-down", "forbidden", "gone", "unknown"]


@dataclass(frozen=True)
class ProbeAnswer:
    """What a dry-run deletion answered (B3). `by` and `policy` are set for protected; `message` is the server's."""

    verdict: ProbeVerdict
    status: int
    by: str = ""
    policy: str = ""
    message: str = ""
