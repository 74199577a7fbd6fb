"""A Kustomization that is deleted: whether it takes what it applied with it."""

from __future__ import annotations

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux import inventory
from sandbox.flux.events import record
from sandbox.flux.prune import delete_all
from sandbox.kinds import KUSTOMIZATIONS

FINALIZER = "finalizers.fluxcd.io"
_RETRY_S = 2.0


def finalize(client: Client, item: Object) -> float | None:
    """Deletes as deletionPolicy says, then lets the object go. Seconds until the next try, None when done."""
    meta = item["metadata"]
    if _deletes(item):
        references = inventory.load(item.get("status") or {})
        outcome = delete_all(client, references, (meta["name"], meta["namespace"]))
        if outcome.errors:
            message = "pruning for deleted resource failed: " + "; ".join(outcome.errors)
            record(client, item, "Warning", "PruneFailed", message, "kustomize-controller")
            return _RETRY_S
        if item["spec"].get("deletionPolicy") == "WaitForTermination" and _remaining(client, outcome.deleted):
            return _RETRY_S
    finalizers = [one for one in meta.get("finalizers") or [] if one != FINALIZER]
    body = {"metadata": {"finalizers": finalizers}}
    client.patch(
        KUSTOMIZATIONS, meta["name"], body, meta["namespace"], field_manager="gotk-kustomize-controller"
    )
    return None


def _deletes(item: Object) -> bool:
    spec = item["spec"]
    if spec.get("suspend"):
        return False
    policy = spec.get("deletionPolicy") or "MirrorPrune"
    return policy in ("Delete", "WaitForTermination") or (policy == "MirrorPrune" and bool(spec.get("prune")))


def _remaining(client: Client, references: list[inventory.Reference]) -> bool:
    return any(
        client.find(client.mapping(one.api_version, one.kind), one.name, one.namespace) is not None
        for one in references
    )
