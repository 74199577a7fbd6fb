"""The access reviews: what may I do, what may they do, who am I."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver.auth import Tokens
from sandbox.apiserver.call import User
from sandbox.apiserver.errors import bad_request
from sandbox.apiserver.rbac import Authorizer, Wish
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.store import Store

Json = dict[str, Any]


class Reviews:
    """Answers objects that are created only for their status."""

    def __init__(self, authorizer: Authorizer, tokens: Tokens, store: Store) -> None:
        self._authorizer = authorizer
        self._tokens = tokens
        self._store = store

    def answer(self, user: User, resource: ResourceType, namespace: str, body: Json) -> Json:
        spec = body.get("spec") or {}
        match resource.kind:
            case "SelfSubjectAccessReview":
                status = self._access(user, spec)
            case "SubjectAccessReview" | "LocalSubjectAccessReview":
                status = self._access(User(spec.get("user", ""), tuple(spec.get("groups") or ())), spec)
            case "SelfSubjectRulesReview":
                status = self._rules(user, spec.get("namespace", ""))
            case "SelfSubjectReview":
                status = {"userInfo": user.to_json()}
            case _:
                status = self._token(spec.get("token", ""))
        metadata = {"creationTimestamp": None, **({"namespace": namespace} if namespace else {})}
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }

    def _access(self, user: User, spec: Json) -> Json:
        wanted, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (wanted is None) == (path is None):
            raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
        if wanted is not None:
            wish = Wish(
                wanted.get("verb", ""),
                wanted.get("group", ""),
                wanted.get("resource", ""),
                wanted.get("subresource", ""),
                wanted.get("namespace", ""),
                wanted.get("name", ""),
            )
        else:
            wish = Wish((path or {}).get("verb", ""), path=(path or {}).get("path", ""))
        return {"allowed": self._authorizer.allowed(user, wish)}

    def _rules(self, user: User, namespace: str) -> Json:
        rules = list(self._authorizer.rules_of(user, namespace))
        if "system:masters" in user.groups:
            rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
            rules.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
        return {
            "resourceRules": [rule for rule in rules if rule.get("resources")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }

    def _token(self, token: str) -> Json:
        user = self._tokens.find(token, self._store)
        return {"authenticated": True, "user": user.to_json()} if user else {"authenticated": False}
