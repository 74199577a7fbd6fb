"""HelmReleases, as far as suspension, ownership and inventory need them.

A release whose values list manifests makes them (`charts`). Of others nothing is rendered: what carries the release's owner
labels is its inventory.
"""

from __future__ import annotations

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux import charts, conditions, inventory
from sandbox.flux.charts import MANAGER, NAME_LABEL, NAMESPACE_LABEL
from sandbox.flux.metadata import REQUESTED_AT
from sandbox.flux.values import dig, seconds
from sandbox.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HELM_RELEASES,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)

_KINDS = (CONFIG_MAPS, SECRETS, SERVICES, PERSISTENT_VOLUME_CLAIMS, DEPLOYMENTS, STATEFUL_SETS)


class HelmReconciler:
    """One pass over one HelmRelease: its inventory, its conditions, its handled request."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def reconcile(self, key: tuple[str, str]) -> float | None:
        """Seconds until the next pass, or None when there will be none by itself."""
        item = self._client.find(HELM_RELEASES, key[1], key[0])
        if item is None:
            return None
        if item["metadata"].get("deletionTimestamp"):
            charts.uninstall(self._client, item)
            return None
        status = dict(item.get("status") or {})
        suspended = bool(dig(item, "spec", "suspend"))
        if not suspended:
            self._observe(item, status)
        if token := dig(item, "metadata", "annotations", REQUESTED_AT):
            status["lastHandledReconcileAt"] = token
        self._save(item, status)
        return None if suspended else seconds(dig(item, "spec", "interval"), 60.0)

    def _observe(self, item: Object, status: Object) -> None:
        generation = item["metadata"].get("generation", 1)
        if charts.renders(item):
            charts.add_finalizer(self._client, item)
            status["inventory"] = inventory.dump(charts.upgrade(self._client, item))
        else:
            status["inventory"] = inventory.dump(self._owned(item))
        status["observedGeneration"] = generation
        chart = dig(item, "spec", "chart", "spec", default={})
        name = f"{chart.get('chart', 'chart')}@{chart.get('version', '1.0.0')}"
        release = dig(item, "spec", "releaseName") or item["metadata"]["name"]
        target = dig(item, "spec", "targetNamespace") or item["metadata"]["namespace"]
        message = f"Helm install succeeded for release {target}/{release}.v1 with chart {name}"
        conditions.mark(status, "Released", "True", "InstallSucceeded", message, generation)
        conditions.mark(status, conditions.READY, "True", "InstallSucceeded", message, generation)
        status["storageNamespace"] = target

    def _owned(self, item: Object) -> list[inventory.Reference]:
        meta = item["metadata"]
        target = dig(item, "spec", "targetNamespace") or meta["namespace"]
        selector = f"{NAME_LABEL}={meta['name']},{NAMESPACE_LABEL}={meta['namespace']}"
        return [
            inventory.reference_of(owned)
            for resource in _KINDS
            for owned in self._client.list(resource, target, label_selector=selector)
        ]

    def _save(self, item: Object, status: Object) -> None:
        if status == item.get("status"):
            return
        meta = item["metadata"]
        try:
            self._client.patch_status(
                HELM_RELEASES, meta["name"], status, meta["namespace"], field_manager=MANAGER
            )
        except ApiError as error:
            if not error.not_found:
                raise
