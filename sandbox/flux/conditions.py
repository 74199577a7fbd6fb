"""status.conditions as Flux keeps them."""

from __future__ import annotations

from typing import Any

from sandbox.answers import Object
from sandbox.flux.values import now

READY = "Ready"
RECONCILING = "Reconciling"
HEALTHY = "Healthy"


def find(status: Object, kind: str) -> Object | None:
    """The condition of a type, or None."""
    return next((entry for entry in status.get("conditions") or [] if entry["type"] == kind), None)


def mark(status: Object, kind: str, value: str, reason: str, message: str, generation: int) -> None:
    """Sets a condition; its lastTransitionTime moves only when its status changes."""
    old = find(status, kind)
    moved = old is None or old["status"] != value
    fresh: dict[str, Any] = {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": now() if old is None or moved else old["lastTransitionTime"],
    }
    others = [entry for entry in status.get("conditions") or [] if entry["type"] != kind]
    # Ready comes first, as Flux sorts it.
    status["conditions"] = [fresh, *others] if kind == READY else [*others, fresh]


def drop(status: Object, kind: str) -> None:
    """Removes a condition, if it is there."""
    status["conditions"] = [entry for entry in status.get("conditions") or [] if entry["type"] != kind]


def is_true(item: Object, kind: str = READY) -> bool:
    """Whether an object's condition is True."""
    found = find(item.get("status") or {}, kind)
    return found is not None and found["status"] == "True"
