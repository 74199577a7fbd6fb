"""Calls validating and mutating admission webhooks, and words their answers as the API server does."""

from __future__ import annotations

import asyncio
import base64
import ssl
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.apiserver import patches
from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import StatusError, bad_request, internal
from sandbox.apiserver.selectors import matches_object_selector
from sandbox.apiserver.store import Change, Store
from sandbox.http import httpx
from sandbox.kyverno.cel import CelError, evaluate

Json = dict[str, Any]

GROUP = "admissionregistration.k8s.io"
_PLURALS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
_HARMLESS = ("None", "NoneOnDryRun")


@dataclass(frozen=True)
class _Answered:
    allowed: bool
    response: Json


class CallFailed(Exception):
    """The webhook gave no usable answer."""


class Webhooks:
    """Knows the webhook configurations and asks those that match a write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hooks: dict[str, list[Json]] = {}
        self._clients: dict[str, httpx.AsyncClient] = {}
        store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.table[0] == GROUP:
            self._hooks.pop(change.table[1], None)

    def _of(self, plural: str) -> list[Json]:
        if plural not in self._hooks:
            configurations = [entry.decode() for entry in self._store.entries((GROUP, plural))]
            self._hooks[plural] = [hook for one in configurations for hook in one.get("webhooks") or ()]
        return self._hooks[plural]

    async def validate(self, call: Call, attributes: Attributes) -> None:
        """Asks all matching validating webhooks at once. StatusError of the first that refuses or fails."""
        hooks = [hook for hook in self._of(_PLURALS[0]) if self._matches(hook, call, attributes)]
        if not hooks:
            return
        outcomes = await asyncio.gather(
            *(self._ask(hook, call, attributes) for hook in hooks), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def mutate(self, call: Call, attributes: Attributes) -> None:
        """Asks matching mutating webhooks one after the other; their patches change the new object in place."""
        for hook in self._of(_PLURALS[1]):
            if attributes.new is None or not self._matches(hook, call, attributes):
                continue
            answered = await self._ask(hook, call, attributes)
            if answered and (encoded := answered.response.get("patch")):
                operations = msgspec.json.decode(base64.b64decode(encoded))
                changed = patches.json_patch(attributes.new, operations)
                attributes.new.clear()
                attributes.new.update(changed)

    # -- which ------------------------------------------------------------------------------------

    def _matches(self, hook: Json, call: Call, attributes: Attributes) -> bool:
        if attributes.resource.group == GROUP:
            return False
        equivalent = hook.get("matchPolicy", "Equivalent") == "Equivalent"
        if not any(
            rule_matches(rule, attributes, any_version=equivalent) for rule in hook.get("rules") or ()
        ):
            return False
        if not namespace_matches(self._store, hook.get("namespaceSelector"), attributes):
            return False
        if not object_matches(hook.get("objectSelector"), attributes):
            return False
        return self._conditions_hold(hook, call, attributes)

    def _conditions_hold(self, hook: Json, call: Call, attributes: Attributes) -> bool:
        conditions = hook.get("matchConditions") or ()
        if not conditions:
            return True
        context = attributes.cel_context(call.user)
        try:
            return all(evaluate(condition["expression"], context) is True for condition in conditions)
        except CelError as error:
            if hook.get("failurePolicy", "Fail") == "Ignore":
                return False
            raise _failed(hook, f"matchConditions: {error}") from error

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, hook: Json, call: Call, attributes: Attributes) -> _Answered | None:
        if attributes.dry_run and hook.get("sideEffects") not in _HARMLESS:
            raise bad_request(f'admission webhook "{hook["name"]}" does not support dry run')
        try:
            response = await self._post(hook, attributes.review(call.user, str(uuid.uuid4())))
        except CallFailed as error:
            if hook.get("failurePolicy", "Fail") == "Ignore":
                return None
            raise _failed(hook, str(error)) from error
        call.warnings += [str(text) for text in response.get("warnings") or ()]
        if not response.get("allowed"):
            raise _denied(hook["name"], response.get("status"))
        return _Answered(True, response)

    async def _post(self, hook: Json, review: Json) -> Json:
        config = hook["clientConfig"]
        timeout_s = int(hook.get("timeoutSeconds") or 10)
        url = f"{_url(config)}?timeout={timeout_s}s"
        failed = f'failed to call webhook: Post "{url}": '
        if not config.get("url"):
            raise CallFailed(f'{failed}service "{config.get("service", {}).get("name")}" not found')
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            answer = await self._client(config).post(
                url, content=msgspec.json.encode(review), headers=headers, timeout=timeout_s
            )
        except httpx.TimeoutException as error:
            raise CallFailed(f"{failed}context deadline exceeded") from error
        except (httpx.HTTPError, OSError, ssl.SSLError) as error:
            raise CallFailed(f"{failed}{_transport_words(error, url)}") from error
        return _response(answer, review, failed)

    def _client(self, config: Json) -> httpx.AsyncClient:
        bundle = config.get("caBundle") or ""
        if bundle not in self._clients:
            verify: ssl.SSLContext | bool = True
            if bundle:
                verify = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
            self._clients[bundle] = httpx.AsyncClient(
                verify=verify, trust_env=False, limits=httpx.Limits(keepalive_expiry=60)
            )
        return self._clients[bundle]


def _url(config: Json) -> str:
    if config.get("url"):
        return str(config["url"])
    service = config.get("service") or {}
    port, path = service.get("port", 443), service.get("path", "")
    return f"https://{service.get('name')}.{service.get('namespace')}.svc:{port}{path}"


def _transport_words(error: Exception, url: str) -> str:
    if isinstance(error, httpx.ConnectError):
        host = httpx.URL(url)
        return f"dial tcp {host.host}:{host.port or 443}: connect: connection refused"
    return str(error) or repr(error)


def _response(answer: httpx.Response, review: Json, failed: str) -> Json:
    if answer.status_code != 200:
        raise CallFailed(f"{failed}an error on the server ({answer.text[:200]!r}) has prevented the request")
    try:
        found: Json = answer.json().get("response") or {}
    except ValueError as error:
        raise CallFailed(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got none"
        ) from error
    if found.get("uid") != review["request"]["uid"]:
        raise CallFailed(f'expected response.uid="{review["request"]["uid"]}", got "{found.get("uid", "")}"')
    return found


def _failed(hook: Json, why: str) -> StatusError:
    return internal(f'failed calling webhook "{hook["name"]}": {why}')


def _denied(name: str, status: Json | None) -> StatusError:
    """What the API server makes of a refusal: the webhook's own code and reason, or 400 and none."""
    status = status or {}
    by = f'admission webhook "{name}" denied the request'
    if status.get("message"):
        message = f"{by}: {status['message']}"
    elif status.get("reason"):
        message = f"{by}: {status['reason']}"
    else:
        message = f"{by} without explanation"
    code = max(int(status.get("code") or 400), 400)
    return StatusError(code, status.get("reason") or "", message, status.get("details") or {})


# -- matching, shared with policies ------------------------------------------------------------------


def rule_matches(rule: Json, attributes: Attributes, *, any_version: bool = False) -> bool:
    """Whether a rule with operations (of a webhook or a policy) is about a write."""
    resource = attributes.resource
    versions = rule.get("apiVersions") or ()
    scope = rule.get("scope") or "*"
    names = rule.get("resourceNames")
    return (
        _listed(rule.get("operations") or (), attributes.operation)
        and _listed(rule.get("apiGroups") or (), resource.group)
        and (any_version or _listed(versions, resource.version))
        and _resource_listed(rule.get("resources") or (), resource.plural, attributes.subresource)
        and (scope == "*" or (scope == "Namespaced") == resource.namespaced)
        and (not names or attributes.name in names)
    )


def _listed(values: Iterable[str], wanted: str) -> bool:
    values = list(values)
    return "*" in values or wanted in values


def _resource_listed(patterns: Iterable[str], plural: str, subresource: str) -> bool:
    """`pods/*` is the pods themselves as well, and `*` no subresource."""
    named = (pattern.partition("/") for pattern in patterns)
    return any(main in ("*", plural) and sub in ("*", subresource) for main, _, sub in named)


def namespace_matches(store: Store, selector: Json | None, attributes: Attributes) -> bool:
    """A namespaceSelector: against the object's namespace, or the object itself when it is a namespace."""
    if not selector:
        return True
    if attributes.resource.table == ("", "namespaces"):
        item = attributes.new or attributes.old or {}
        return matches_object_selector(selector, (item.get("metadata") or {}).get("labels") or {})
    if not attributes.resource.namespaced:
        return True
    entry = store.get(("", "namespaces"), "", attributes.namespace)
    return matches_object_selector(selector, entry.labels if entry else {})


def object_matches(selector: Json | None, attributes: Attributes) -> bool:
    """An objectSelector: the new or the old object must match."""
    if not selector:
        return True
    items = [item for item in (attributes.new, attributes.old) if item]
    return any(matches_object_selector(selector, item["metadata"].get("labels") or {}) for item in items)
