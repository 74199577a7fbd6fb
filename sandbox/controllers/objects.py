"""Small readers and writers of Kubernetes objects, which are plain dicts here."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Object = dict[str, Any]

_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$")
_FACTORS = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def meta(item: Object) -> Object:
    found: Object = item["metadata"]
    return found


def name_of(item: Object) -> str:
    return str(item["metadata"]["name"])


def namespace_of(item: Object) -> str:
    return str(item["metadata"].get("namespace") or "")


def uid_of(item: Object) -> str:
    return str(item["metadata"]["uid"])


def spec_of(item: Object) -> Object:
    found: Object = item.get("spec") or {}
    return found


def status_of(item: Object) -> Object:
    found: Object = item.get("status") or {}
    return found


def phase_of(item: Object) -> str:
    return str(status_of(item).get("phase") or "")


def labels_of(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def annotations_of(item: Object) -> dict[str, str]:
    return item["metadata"].get("annotations") or {}


def is_deleting(item: Object) -> bool:
    return bool(item["metadata"].get("deletionTimestamp"))


def finalizers_of(item: Object) -> list[str]:
    return item["metadata"].get("finalizers") or []


def copied(item: Object) -> Object:
    return copy.deepcopy(item)


def annotate(item: Object, key: str, value: str) -> bool:
    """Sets an annotation; True when that changed something."""
    annotations = item["metadata"].setdefault("annotations", {}) or {}
    item["metadata"]["annotations"] = annotations
    if annotations.get(key) == value:
        return False
    annotations[key] = value
    return True


def without_finalizer(item: Object, finalizer: str) -> Object:
    """A copy that lacks the finalizer."""
    fresh = copied(item)
    fresh["metadata"]["finalizers"] = [entry for entry in finalizers_of(item) if entry != finalizer]
    return fresh


def with_finalizer(item: Object, finalizer: str) -> Object:
    fresh = copied(item)
    fresh["metadata"]["finalizers"] = [*finalizers_of(item), finalizer]
    return fresh


def controller_of(item: Object) -> Object | None:
    """The owner reference that says controller: true."""
    for owner in item["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return dict(owner)
    return None


def is_controlled_by(item: Object, owner: Object) -> bool:
    found = controller_of(item)
    return bool(found and found.get("uid") == owner["metadata"]["uid"])


def owner_reference(owner: Object, api_version: str, kind: str) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


# -- time ------------------------------------------------------------------------------------------


def now() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime | None = None) -> str:
    """RFC 3339, whole seconds, as in metadata."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed_time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def age_s(text: str | None) -> float:
    """Seconds since an RFC 3339 time; 0 when there is none."""
    return (now() - parsed_time(text)).total_seconds() if text else 0.0


# -- quantities ------------------------------------------------------------------------------------


def quantity(text: object) -> Decimal:
    """`10Gi`, `500m`, `1e3` or a number, as a number. 0 for nothing."""
    if text is None or text == "":
        return Decimal(0)
    found = _QUANTITY.match(str(text).strip())
    if not found or found[2] not in _FACTORS:
        raise ValueError(f"not a quantity: {text!r}")
    return Decimal(found[1]) * _FACTORS[found[2]]


def quantity_text(value: Decimal) -> str:
    """The shortest usual spelling: binary units where they divide evenly."""
    if value != value.to_integral_value():
        return f"{int(value * 1000)}m"
    number = int(value)
    for unit, factor in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


# -- selectors -------------------------------------------------------------------------------------


def matches_expression(labels: Mapping[str, str], expression: Object) -> bool:
    """One matchExpressions entry of a label selector or of a node selector."""
    key, operator = expression["key"], expression["operator"]
    values = expression.get("values") or []
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    if operator in ("Gt", "Lt") and key in labels:
        left, right = int(labels[key]), int(values[0])
        return left > right if operator == "Gt" else left < right
    return False


def selector_matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector. None matches nothing, an empty one everything."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(matches_expression(labels, entry) for entry in selector.get("matchExpressions") or [])


# -- conditions ------------------------------------------------------------------------------------


def condition_of(item: Object, kind: str) -> Object | None:
    for entry in status_of(item).get("conditions") or []:
        if entry.get("type") == kind:
            return dict(entry)
    return None


def has_condition(item: Object, kind: str) -> bool:
    found = condition_of(item, kind)
    return bool(found and found.get("status") == "True")


def set_condition(
    conditions: list[Object], kind: str, status: str, reason: str = "", message: str = "", **extra: Any
) -> bool:
    """Adds or changes one condition in place; the transition time moves only with the status."""
    fresh = {"type": kind, "status": status, "reason": reason, "message": message, **extra}
    fresh = {key: value for key, value in fresh.items() if value not in ("", None)}
    for entry in conditions:
        if entry.get("type") != kind:
            continue
        known = {key: value for key, value in entry.items() if not key.startswith("last")}
        if known == fresh:
            return False
        moved = entry.get("status") != status
        since = timestamp() if moved else entry.get("lastTransitionTime", timestamp())
        entry.clear()
        entry.update(fresh, lastTransitionTime=since)
        return True
    conditions.append({**fresh, "lastTransitionTime": timestamp()})
    return True


def drop_conditions(conditions: Sequence[Object], kinds: Iterable[str]) -> list[Object]:
    gone = set(kinds)
    return [entry for entry in conditions if entry.get("type") not in gone]


# -- pods ------------------------------------------------------------------------------------------


def is_finished(pod: Object) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    return has_condition(pod, "Ready")


def claim_names(pod: Object) -> dict[str, str]:
    """Volume name -> name of the claim, for claims and generic ephemeral volumes."""
    found = {}
    for volume in spec_of(pod).get("volumes") or []:
        if "persistentVolumeClaim" in volume:
            found[volume["name"]] = str(volume["persistentVolumeClaim"]["claimName"])
        elif "ephemeral" in volume:
            found[volume["name"]] = f"{name_of(pod)}-{volume['name']}"
    return found
