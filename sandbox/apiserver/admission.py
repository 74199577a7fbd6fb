"""Admission: what the cluster's rules add to a write, and whether they allow it."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver import errors, limitranges, podsecurity
from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.call import Call
from sandbox.apiserver.policies import Policies
from sandbox.apiserver.quota import Quotas
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.store import Store
from sandbox.apiserver.webhooks import Webhooks

Json = dict[str, Any]

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class Admission:
    """Runs all admission, in the order of the real server: additions, webhooks, policies, quota last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._webhooks = Webhooks(store)
        self._policies = Policies(store)
        self.quotas = Quotas(store)

    def namespace_open(self, resource: ResourceType, namespace: str, name: str) -> None:
        """StatusError 404 when the namespace does not exist, 403 when it is being deleted."""
        if not resource.namespaced:
            return
        entry = self._store.get(("", "namespaces"), "", namespace)
        if entry is None:
            raise errors.not_found("", "namespaces", namespace)
        if entry.decode()["metadata"].get("deletionTimestamp"):
            cause = errors.Cause(
                "NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"
            )
            raise errors.forbidden(
                resource.group,
                resource.plural,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
                [cause],
            )

    def mutate(self, call: Call, resource: ResourceType, item: Json) -> None:
        """What built-in admission adds to a new object."""
        if resource.table == ("", "persistentvolumeclaims"):
            _add_finalizer(item, "kubernetes.io/pvc-protection")
            self._set_default_class(item)
        elif resource.table == ("", "pods"):
            account = item["spec"].setdefault("serviceAccountName", "default")
            # Its old name as well, or no later update of the spec would be equal to what is stored.
            item["spec"]["serviceAccount"] = account
            limitranges.add_defaults(self._store, resource, item)
        elif resource.table == ("", "persistentvolumes"):
            _add_finalizer(item, "kubernetes.io/pv-protection")

    def _set_default_class(self, claim: Json) -> None:
        annotated = "volume.beta.kubernetes.io/storage-class" in (claim["metadata"].get("annotations") or {})
        spec = claim.get("spec") or {}
        if annotated or spec.get("storageClassName") is not None:
            return
        classes = [
            entry.decode()["metadata"] for entry in self._store.entries(("storage.k8s.io", "storageclasses"))
        ]
        defaults = [one for one in classes if (one.get("annotations") or {}).get(_DEFAULT_CLASS) == "true"]
        if defaults:
            newest = max(defaults, key=lambda one: (one["creationTimestamp"], one["name"]))
            spec["storageClassName"] = newest["name"]

    async def mutate_by_webhooks(self, call: Call, attributes: Attributes) -> None:
        """MutatingWebhookConfigurations."""
        await self._webhooks.mutate(call, attributes)

    async def validate(self, call: Call, attributes: Attributes) -> None:
        """Everything that may refuse. StatusError when it does."""
        if (
            attributes.operation == "DELETE"
            and attributes.resource.table == ("", "namespaces")
            and attributes.name in _IMMORTAL
        ):
            raise errors.forbidden("", "namespaces", attributes.name, "this namespace may not be deleted")
        podsecurity.check(self._store, call, attributes)
        limitranges.check(self._store, attributes)
        self._check_resize(attributes)
        self._policies.validate(call, attributes)
        await self._webhooks.validate(call, attributes)

    def last_check(self, call: Call, attributes: Attributes) -> None:
        """What must hold at the moment of the write: quota."""
        self.quotas.check(attributes)

    def _check_resize(self, attributes: Attributes) -> None:
        """A claim grows only where its class allows it."""
        new, old = attributes.new, attributes.old
        if attributes.resource.table != ("", "persistentvolumeclaims") or not new or not old:
            return
        if attributes.subresource or _requested(new) == _requested(old):
            return
        entry = self._store.get(
            ("storage.k8s.io", "storageclasses"), "", new["spec"].get("storageClassName") or ""
        )
        if entry is None or not entry.decode().get("allowVolumeExpansion"):
            raise errors.forbidden(
                "",
                "persistentvolumeclaims",
                attributes.name,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must"
                " support resize",
            )


def _requested(claim: Json) -> Any:
    return ((claim.get("spec") or {}).get("resources") or {}).get("requests")


def _add_finalizer(item: Json, name: str) -> None:
    finalizers = item["metadata"].setdefault("finalizers", [])
    if name not in finalizers:
        finalizers.append(name)
