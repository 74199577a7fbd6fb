"""Keeps the status of ResourceQuotas: what of the limits is used."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    is_finished,
    name_of,
    namespace_of,
    quantity,
    quantity_text,
    spec_of,
    status_of,
)
from sandbox.controllers.storage.names import class_of, requested_bytes
from sandbox.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    DEPLOYMENTS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    STATEFUL_SETS,
    Resource,
)

_COUNTED: dict[str, Resource] = {
    "count/jobs.batch": JOBS,
    "count/cronjobs.batch": CRON_JOBS,
    "count/deployments.apps": DEPLOYMENTS,
    "count/statefulsets.apps": STATEFUL_SETS,
    "count/persistentvolumeclaims": PERSISTENT_VOLUME_CLAIMS,
    "count/configmaps": CONFIG_MAPS,
    "count/secrets": SECRETS,
    "configmaps": CONFIG_MAPS,
    "secrets": SECRETS,
}
_COMPUTE = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory")


class QuotaStatus(Controller):
    name = "quota"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.quotas = self.watch(RESOURCE_QUOTAS)
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._of_namespace)
        self.pods = self.watch(PODS, self._of_namespace)
        self.caches = {
            resource: self.watch(resource, self._of_namespace) for resource in set(_COUNTED.values())
        }

    def _of_namespace(self, item: Object) -> Iterator[tuple[str, str]]:
        for quota in self.quotas.list(namespace_of(item)):
            yield namespace_of(quota), name_of(quota)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        quota = self.quotas.get(key[1], key[0])
        if quota is None:
            return None
        hard = spec_of(quota).get("hard") or {}
        used = {}
        for name in hard:
            amount = self._used(quota, name)
            if amount is not None:
                used[name] = quantity_text(amount)
        fresh = copied(quota)
        fresh["status"] = {"hard": hard, "used": used}
        if status_of(quota) != fresh["status"]:
            self.context.replace_status(RESOURCE_QUOTAS, fresh)
        return None

    def _used(self, quota: Object, name: str) -> Decimal | None:
        namespace = namespace_of(quota)
        claims = self.claims.list(namespace)
        prefix, _, tail = name.partition(".storageclass.storage.k8s.io/")
        if tail:
            claims = [claim for claim in claims if class_of(claim) == prefix]
            name = tail
        if name == "requests.storage":
            return Decimal(sum(requested_bytes(claim) for claim in claims))
        if name == "persistentvolumeclaims":
            return Decimal(len(claims))
        if name in ("pods", "count/pods") or name in _COMPUTE:
            return self._pods_used(quota, name)
        resource = _COUNTED.get(name)
        return Decimal(len(self.caches[resource].list(namespace))) if resource else None

    def _pods_used(self, quota: Object, name: str) -> Decimal:
        pods = [pod for pod in self.pods.list(namespace_of(quota)) if _in_scope(quota, pod)]
        if name == "count/pods":
            return Decimal(len(pods))
        pods = [pod for pod in pods if not is_finished(pod)]
        if name == "pods":
            return Decimal(len(pods))
        kind, _, unit = name.rpartition(".")
        total = Decimal(0)
        for pod in pods:
            for container in spec_of(pod).get("containers") or []:
                total += quantity(
                    ((container.get("resources") or {}).get(kind or "requests") or {}).get(unit)
                )
        return total


def _in_scope(quota: Object, pod: Object) -> bool:
    scopes = spec_of(quota).get("scopes") or []
    ends = spec_of(pod).get("activeDeadlineSeconds") is not None
    return not (("Terminating" in scopes and not ends) or ("NotTerminating" in scopes and ends))
