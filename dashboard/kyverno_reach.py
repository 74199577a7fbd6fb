"""What Kyverno looks at, by its own settings, and what of them was not read. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

from cluster.policies import Admission, AdmissionPolicy
from cluster.values import Object
from dashboard.askers import EVERYONE, SOMEBODY, Asker
from dashboard.judging import is_kyverno
from dashboard.logic import Known

# The kind of exceptions that a policy may have.
EXCEPTIONS = {
    "kyverno-cluster-policy": "PolicyException",
    "kyverno-validating-policy": "PolicyException of policies.kyverno.io",
}


def looks_at(admission: Admission, policy: AdmissionPolicy, asker: Asker) -> Known:
    """Whether Kyverno's settings let it look at what one of the cluster's own controllers asks for."""
    if not is_kyverno(policy):
        return True
    groups, users = admission.excluded_groups, admission.excluded_usernames
    if any(asker.is_in(group) for group in groups or ()) or any(asker.is_user(user) for user in users):
        return False
    return None if groups is None or admission.excluded_roles else True


def passed_over(admission: Admission, obj: Object, namespace: str) -> str:
    """Why Kyverno never looks at the deletion, by its own settings; empty when it does."""
    filtered = _filtered(admission, obj, namespace)
    if filtered:
        return f"Kyverno never looks here: resource filter {filtered}."
    return everybody_left_out(admission)


def everybody_left_out(admission: Admission) -> str:
    """Which of Kyverno's settings leaves out all who ask."""
    groups = [group for group in admission.excluded_groups or () if fnmatchcase(EVERYONE, group)]
    users = [user for user in admission.excluded_usernames if SOMEBODY.is_user(user)]
    left = [
        *groups,
        *users,
        *(role for role in admission.excluded_roles if SOMEBODY.has_role([role]) is not False),
    ]
    return f"Kyverno looks at nobody's deletions: its settings leave out {', '.join(left)}." if left else ""


def _filtered(admission: Admission, obj: Object, namespace: str) -> str:
    """The entry of resourceFilters, as [kind,namespace,name], that leaves the object out."""
    for text in admission.resource_filters:
        parts = [part.strip() or "*" for part in text.strip("[]").split(",")] + ["*", "*"]
        wanted = (_filter_kind(parts[0]), parts[1], parts[2])
        if all(fnmatchcase(*pair) for pair in zip((obj.kind, namespace, obj.name), wanted, strict=True)):
            return text
    return ""


def _filter_kind(text: str) -> str:
    """The kind in `Node`, `Node/*`, `*/*`, `v1/Pod` or `apps/v1/Deployment`: kinds begin with a capital, or are a wildcard."""
    return next((part for part in text.split("/") if part[:1].isupper() or "*" in part[:1]), text)


def unread(admission: Admission, policy: AdmissionPolicy) -> str:
    """What was not read of that which decides about a policy of Kyverno; empty when all was."""
    if not is_kyverno(policy):
        return ""
    if "ValidatingWebhookConfiguration" in admission.unreadable:
        return "whether its webhook is there could not be read."
    if admission.excluded_groups is None:
        return "whom Kyverno leaves out could not be read (ConfigMap kyverno/kyverno)."
    if EXCEPTIONS.get(policy.engine) in admission.unreadable:
        return "whether an exception is made could not be read (PolicyException)."
    return ""
