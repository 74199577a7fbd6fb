"""The engine as a process: follows policies, keeps the webhook registered, answers it, and can be gone or crashed.

Deployment kyverno/kyverno-admission-controller stands for it:
- scaled to 0 or deleted: the engine removes its webhook configuration and is gone (deletions then pass silently);
- annotation sandbox.holdfast.dev/crashed: "true": it is unreachable, its configuration stays (failurePolicy decides).
"""

from __future__ import annotations

import logging
from pathlib import Path

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux.events import record
from sandbox.flux.values import dig, now
from sandbox.informer import Informer, WorkQueue, run_workers
from sandbox.kinds import CLUSTER_POLICIES, CONFIG_MAPS, DEPLOYMENTS, NAMESPACES
from sandbox.kyverno.certificate import certificate, server_context
from sandbox.kyverno.config import CONFIG_NAME, NAMESPACE, Config
from sandbox.kyverno.crds import POLICY_EXCEPTIONS, VALIDATING_POLICIES
from sandbox.kyverno.engine import Decision, World, decide, resource_name
from sandbox.kyverno.native import decide_native
from sandbox.kyverno.policy import rules_of
from sandbox.kyverno.registration import Endpoint, configuration, register, unregister
from sandbox.kyverno.roles import roles_of
from sandbox.kyverno.server import WebhookServer

log = logging.getLogger(__name__)

DEPLOYMENT = "kyverno-admission-controller"
CRASHED = "sandbox.holdfast.dev/crashed"
_STATE = "engine"


class Engine:
    """Kyverno's admission controller for one cluster."""

    def __init__(self, client: Client, data: Path) -> None:
        self._client = client
        directory = data / "kyverno"
        self._certificate = certificate(directory)[0]
        self._server = WebhookServer(self.answer, server_context(directory))
        self._policies = Informer(client, CLUSTER_POLICIES)
        self._validating = Informer(client, VALIDATING_POLICIES)
        self._exceptions = Informer(client, POLICY_EXCEPTIONS)
        self._config = Informer(client, CONFIG_MAPS, NAMESPACE)
        self._deployments = Informer(client, DEPLOYMENTS, NAMESPACE)
        self._namespaces = Informer(client, NAMESPACES)
        self._queue = WorkQueue(cap_s=2.0)
        self._events = WorkQueue()
        self._pending: dict[str, tuple[Object, Decision]] = {}

    def start(self) -> Engine:
        """Registers the webhook and starts to answer it; returns once the caches are filled."""
        informers = (
            self._policies,
            self._validating,
            self._exceptions,
            self._config,
            self._deployments,
            self._namespaces,
        )
        for informer in informers[:5]:
            informer.on_change(lambda *_: self._queue.add(_STATE))
        for informer in informers:
            informer.start()
        for informer in informers:
            informer.wait_synced()
        self._reconcile(_STATE)
        run_workers(self._queue, self._reconcile, name="kyverno")
        run_workers(self._events, self._write_events, name="kyverno-events")
        return self

    def stop(self) -> None:
        """Stops answering. The configuration stays, as after a crash: only a scaled-down engine removes it."""
        self._queue.close()
        self._events.close()
        self._server.close()

    # -- state ------------------------------------------------------------------------------------

    def _reconcile(self, _: object) -> float | None:
        deployment = self._deployments.get(DEPLOYMENT, NAMESPACE)
        if deployment is None or dig(deployment, "spec", "replicas", default=1) == 0:
            unregister(self._client)
            self._server.close()
            return None
        if dig(deployment, "metadata", "annotations", CRASHED) == "true":
            self._server.close()
            return None
        self._server.open()
        self._register()
        self._report()
        return None

    def _register(self) -> None:
        body = configuration(
            self._policies.list(),
            self._validating.list(),
            Endpoint(self._server.port, self._certificate),
            self._client.all_resources(),
            self._config.get(CONFIG_NAME, NAMESPACE),
        )
        register(self._client, body)

    def _report(self) -> None:
        """Ready says that a policy was taken in. It stays when the engine goes: it proves nothing later."""
        for policy in self._policies.list():
            status = self._status(policy)
            if _without_times(status) != _without_times(policy.get("status") or {}):
                self._client.patch_status(
                    CLUSTER_POLICIES, policy["metadata"]["name"], status, field_manager="kyverno"
                )
        for policy in self._validating.list():
            wanted = {
                "conditionStatus": {
                    "ready": True,
                    "message": "",
                    "conditions": [
                        {
                            "type": kind,
                            "status": "True",
                            "reason": "Succeeded",
                            "message": "",
                            "lastTransitionTime": now(),
                        }
                        for kind in ("WebhookConfigured", "RBACPermissionsGranted")
                    ],
                },
                "generated": False,
            }
            if _without_times(wanted) != _without_times(policy.get("status") or {}):
                self._client.patch_status(
                    VALIDATING_POLICIES, policy["metadata"]["name"], wanted, field_manager="kyverno"
                )

    def _status(self, policy: Object) -> Object:
        return {
            "autogen": {},
            "conditions": [
                {
                    "lastTransitionTime": now(),
                    "message": "Ready",
                    "reason": "Succeeded",
                    "status": "True",
                    "type": "Ready",
                }
            ],
            "rulecount": {"generate": 0, "mutate": 0, "validate": len(rules_of(policy)), "verifyimages": 0},
            "validatingadmissionpolicy": dig(policy, "status", "validatingadmissionpolicy")
            or {"generated": False, "message": ""},
        }

    # -- admission --------------------------------------------------------------------------------

    def answer(self, path: str, request: Object) -> Object:
        """The AdmissionResponse to one request. Dry runs are judged like any other."""
        which = "Fail" if path.endswith("/fail") else "Ignore"
        world = self._world()
        if path.startswith("/vpol"):
            decision = decide_native(request, self._validating.list(), world.config, which)
        else:
            decision = decide(request, world, which)
        if decision.failures:
            self._pending[request["uid"]] = (request, decision)
            self._events.add(request["uid"])
        if decision.allowed:
            warnings = [f"policy {one.policy}.{one.rule}: {one.message}" for one in decision.failures]
            return {"allowed": True, **({"warnings": warnings} if warnings else {})}
        return {"allowed": False, "status": {"status": "Failure", "message": decision.message}}

    def _world(self) -> World:
        return World(
            policies=tuple(self._policies.list()),
            exceptions=tuple(self._exceptions.list()),
            config=Config.read(self._config.get(CONFIG_NAME, NAMESPACE)),
            roles=lambda user: roles_of(self._client, user),
            namespace_labels=lambda name: dig(self._namespaces.get(name), "metadata", "labels", default={}),
        )

    def _write_events(self, uid: str) -> None:
        request, decision = self._pending.pop(uid)
        for failure in decision.failures:
            policy = self._policies.get(failure.policy) or self._validating.get(failure.policy)
            if policy is None:
                continue
            state = "blocked" if failure.blocked else "error" if failure.is_error else "fail"
            text = f"{resource_name(request)}: [{failure.rule}] fail ({state}); {failure.message}"
            record(self._client, policy, "Warning", "PolicyViolation", text, "kyverno-admission")


def install_engine(client: Client, deployment: Object, config_data: dict[str, str]) -> None:
    """The namespace, ConfigMap and Deployment of a fresh installation."""
    labels = {"kubernetes.io/metadata.name": NAMESPACE}
    for resource, body in (
        (NAMESPACES, {"metadata": {"name": NAMESPACE, "labels": labels}}),
        (CONFIG_MAPS, {"metadata": {"name": CONFIG_NAME, "namespace": NAMESPACE}, "data": config_data}),
        (DEPLOYMENTS, deployment),
    ):
        try:
            client.create(resource, body, field_manager="helm")
        except ApiError as error:
            if not error.already_exists:
                raise


def _without_times(status: object) -> object:
    if isinstance(status, dict):
        return {key: _without_times(value) for key, value in status.items() if key != "lastTransitionTime"}
    return [_without_times(one) for one in status] if isinstance(status, list) else status
