"""What Flux reads and writes in an object's metadata."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.answers import Object

GROUP = "kustomize.toolkit.fluxcd.io"
NAME_LABEL = f"{GROUP}/name"
NAMESPACE_LABEL = f"{GROUP}/namespace"
PRUNE = f"{GROUP}/prune"
RECONCILE = f"{GROUP}/reconcile"
SSA = f"{GROUP}/ssa"
FORCE = f"{GROUP}/force"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"

# Of kustomize-controller: an object with one of these is not applied, or not deleted.
NOT_APPLIED = {RECONCILE: "disabled", SSA: "Ignore"}
NOT_DELETED = {PRUNE: "disabled", RECONCILE: "disabled", SSA: "Ignore"}


def any_in_metadata(item: Object | None, wanted: Mapping[str, str]) -> bool:
    """Whether a label or an annotation has one of the pairs: keys exactly, values in any letter case."""
    if item is None:
        return False
    metadata = item.get("metadata") or {}
    for place in ("labels", "annotations"):
        values = metadata.get(place) or {}
        for key, value in wanted.items():
            if key in values and value and str(values[key]).casefold() == value.casefold():
                return True
    return False


def owner_labels(name: str, namespace: str) -> dict[str, str]:
    """The labels by which a Kustomization marks what it applies."""
    return {NAME_LABEL: name, NAMESPACE_LABEL: namespace}


def add_metadata(item: Object, place: str, values: Mapping[str, str]) -> None:
    """Adds labels or annotations (`place`) to an object, over what is there."""
    metadata = item.setdefault("metadata", {})
    metadata[place] = {**(metadata.get(place) or {}), **values}


def full_name(item: Object) -> str:
    """Kind/namespace/name as Flux prints it in messages."""
    metadata = item["metadata"]
    parts = (item["kind"], metadata.get("namespace"), metadata["name"])
    return "/".join(part for part in parts if part)
