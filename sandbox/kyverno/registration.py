"""The ValidatingWebhookConfiguration, as Kyverno generates it from the policies that are there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.kinds import VALIDATING_WEBHOOK_CONFIGURATIONS, Resource
from sandbox.kyverno.policy import failure_policy, is_active, rules_of

CONFIGURATION = "kyverno-resource-validating-webhook-cfg"
MANAGER = "kyverno"
_DEFAULT_SELECTOR: Object = {
    "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kyverno"]}]
}


@dataclass(frozen=True)
class Endpoint:
    """Where the API server reaches the engine."""

    port: int
    certificate: Path | None

    def client_config(self, path: str) -> Object:
        """The clientConfig of one webhook."""
        scheme = "https" if self.certificate else "http"
        config: Object = {"url": f"{scheme}://127.0.0.1:{self.port}{path}"}
        if self.certificate:
            config["caBundle"] = base64.b64encode(self.certificate.read_bytes()).decode()
        return config


def configuration(
    policies: Iterable[Object],
    validating: Iterable[Object],
    endpoint: Endpoint,
    resources: Iterable[Resource],
    config_map: Object | None,
) -> Object:
    """The whole object: one webhook for each failurePolicy in use, with the union of the kinds and operations."""
    kinds = list(resources)
    selector = _selector(config_map)
    hooks: list[Object] = []
    for which in ("Ignore", "Fail"):
        chosen = [one for one in policies if is_active(one) and failure_policy(one) == which]
        rules = _rules(chosen, kinds)
        if rules:
            hooks.append(_hook("validate.kyverno.svc", "/validate", which, rules, selector, endpoint))
        native = [one for one in validating if (one["spec"].get("failurePolicy") or "Fail") == which]
        rules = _native_rules(native)
        if rules:
            hooks.append(_hook("vpol.validate.kyverno.svc", "/vpol", which, rules, selector, endpoint))
    return {
        "metadata": {
            "name": CONFIGURATION,
            "labels": {"webhook.kyverno.io/managed-by": "kyverno"},
        },
        "webhooks": hooks,
    }


def register(client: Client, body: Object) -> None:
    """Creates the configuration, or replaces its webhooks when they differ."""
    existing = client.find(VALIDATING_WEBHOOK_CONFIGURATIONS, CONFIGURATION)
    if existing is None:
        client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, body, field_manager=MANAGER)
    elif existing.get("webhooks") != body["webhooks"]:
        changed = {"metadata": existing["metadata"], "webhooks": body["webhooks"]}
        client.replace(VALIDATING_WEBHOOK_CONFIGURATIONS, changed, field_manager=MANAGER)


def unregister(client: Client) -> None:
    """What Kyverno does when it is scaled to 0 or uninstalled: from then on nothing asks it."""
    try:
        client.delete(VALIDATING_WEBHOOK_CONFIGURATIONS, CONFIGURATION)
    except ApiError as error:
        if not error.not_found:
            raise


def _selector(config_map: Object | None) -> Object:
    text = ((config_map or {}).get("data") or {}).get("webhooks")
    try:
        parsed = json.loads(text) if text else {}
    except ValueError:
        parsed = {}
    if isinstance(parsed, list):
        parsed = parsed[0] if parsed else {}
    selector: Object = parsed.get("namespaceSelector") or _DEFAULT_SELECTOR
    return selector


def _hook(
    name: str, path: str, which: str, rules: list[Object], selector: Object, endpoint: Endpoint
) -> Object:
    suffix = which.lower()
    return {
        "name": f"{name}-{suffix}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": endpoint.client_config(f"{path}/{suffix}"),
        "failurePolicy": which,
        "matchPolicy": "Equivalent",
        "namespaceSelector": selector,
        "objectSelector": {},
        "rules": rules,
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": 10,
    }


def _rules(policies: Iterable[Object], resources: list[Resource]) -> list[Object]:
    wanted: dict[tuple[str, str, str, str], set[str]] = {}
    for policy in policies:
        for rule in rules_of(policy):
            for kind in rule.kinds():
                for key in _resources_of(kind, resources):
                    wanted.setdefault(key, set()).update(rule.operations())
    return [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "resources": [plural],
            "operations": sorted(operations),
            "scope": scope,
        }
        for (group, version, plural, scope), operations in sorted(wanted.items())
    ]


def _resources_of(kind: str, resources: list[Resource]) -> list[tuple[str, str, str, str]]:
    plain = kind.split("/")[-1]
    if plain == "*":
        return [("*", "*", "*", "*")]
    return [
        (one.group, one.version, one.plural, "Namespaced" if one.namespaced else "Cluster")
        for one in resources
        if one.kind == plain
    ]


def _native_rules(policies: Iterable[Object]) -> list[Object]:
    rules: list[Object] = []
    for policy in policies:
        for one in (policy["spec"].get("matchConstraints") or {}).get("resourceRules") or []:
            rule = {
                key: one[key] for key in ("apiGroups", "apiVersions", "resources", "operations") if key in one
            }
            rule["scope"] = one.get("scope") or "*"
            if rule not in rules:
                rules.append(rule)
    return rules
