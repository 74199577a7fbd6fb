"""Frozen values of admission: policies, bindings, webhooks. Section B of the domain facts says what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from cluster.values import Object

# Without a subresource behind it: that is another object than the one that is deleted.
KIND_TEXT = re.compile(r"(?:(?:(?P<group>[^/]*)/)?(?P<version>v\d\w*|\*)/)?(?P<kind>[A-Z*?][^/]*)")
PolicyEngine = Literal["kyverno-cluster-policy", "kyverno-validating-policy", "native-policy"]


# What a rule does with what it matches, on a deletion.
# deny, cel: as its condition says; everything: it denies all; never: it looks at no deletion; unclear: not known here.
RuleSort = Literal["deny", "cel", "everything", "never", "unclear"]


@dataclass(frozen=True)
class ActionOverride:
    """An entry of failureActionOverrides: `action` for the namespaces (wildcards allowed; empty: all) that the selector selects."""

    action: str
    namespaces: tuple[str, ...]
    namespace_selector_json: str = ""


@dataclass(frozen=True)
class Match:
    """What one entry of a match or exclude block names. All of its fields must hold; an empty field names everything.

    `kinds` are written as Kyverno does: Kind, version/Kind, group/version/Kind.
    """

    kinds: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    selector_json: str = ""
    annotations_json: str = ""
    namespace_selector_json: str = ""
    people_json: str = ""  # subjects, roles, clusterRoles
    scope: str = "*"  # Cluster, Namespaced
    unread: bool = False  # it has a part that is not read here

    def about(self, kind: str, operation: str) -> bool:
        """True when it names `kind` of the core group (or all kinds) and `operation` (or all operations)."""
        if self.scope == ("Cluster" if kind != "Namespace" else "Namespaced"):
            return False
        return any(_names_kind(text, kind) for text in self.kinds or ("*",)) and (
            not self.operations or operation in self.operations or "*" in self.operations
        )


@lru_cache(maxsize=4096)
def _names_kind(text: str, kind: str) -> bool:
    found = KIND_TEXT.fullmatch(text)
    return found is not None and (
        found["group"] in {None, "", "*"}
        and found["version"] in {None, "v1", "*"}
        and fnmatchcase(kind, found["kind"])
    )


@dataclass(frozen=True)
class AdmissionRule:
    """One rule that decides about objects of some kinds and operations: one for each way that its match block may hold.

    All of `matches` must hold, and in none of `excludes` all. `enforces`: it denies (Enforce, Deny) rather than audits.
    `condition` is Kyverno's rule as canonical JSON, or a JSON list of CEL expressions that must all be true.
    """

    name: str
    matches: tuple[Match, ...]
    enforces: bool
    sort: RuleSort = "unclear"
    condition: str = ""
    excludes: tuple[tuple[Match, ...], ...] = ()
    match_conditions: tuple[str, ...] = ()  # CEL; all must be true for the rule to be asked
    parameters: bool = False  # it is asked with parameters, which are not read here
    overrides: tuple[ActionOverride, ...] = ()
    leaves_out: str = ""  # what narrows it, as text for people

    def about(self, kind: str, operation: str) -> bool:
        """True when the rule may deny `operation` on an object of `kind`."""
        return self.sort != "never" and all(match.about(kind, operation) for match in self.matches)


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
    matches: tuple[Match, ...] = (Match(),)  # any of them
    excludes: tuple[tuple[Match, ...], ...] = ()
    parameters: bool = False
    leaves_out: str = ""


@dataclass(frozen=True, kw_only=True)
class Webhook(Object):
    """One webhook of a ValidatingWebhookConfiguration; `ref` names the configuration."""

    webhook: str = ""
    failure_policy: str = "Fail"
    rules: tuple[tuple[str, str], ...] = ()  # (operation, resource) pairs of the core group, "*" kept
    namespace_selector_json: str = ""
    object_selector_json: str = ""
    service: str = ""  # namespace/name, or a URL
    timeout_s: int = 10
    match_conditions: tuple[str, ...] = ()  # CEL

    def about(self, resource: str, operation: str) -> bool:
        return any(
            op in {operation, "*"} and res in {resource, "*", "*/*", f"{resource}/*"}
            for op, res in self.rules
        )


@dataclass(frozen=True, kw_only=True)
class PolicyException(Object):
    """A Kyverno PolicyException: rules of a policy that do not hold for what it matches."""

    policies: tuple[
        tuple[str, tuple[str, ...]], ...
    ] = ()  # (name or namespace/name of the policy, rule names)
    matches: tuple[tuple[Match, ...], ...] = ()  # any of them; all matches of one
    match_conditions: tuple[str, ...] = ()  # CEL, of an exception from a policy in CEL
    unread: bool = False  # it has conditions that are not read here
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
    excluded_roles: tuple[str, ...] = ()  # roles and cluster roles
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
