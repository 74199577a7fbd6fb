"""ResourceQuota: what a namespace may hold, enforced at the moment of the write, and status.used kept current."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any

from sandbox.apiserver import quantity
from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.errors import forbidden
from sandbox.apiserver.store import Change, Store

Json = dict[str, Any]
Usage = dict[str, Fraction]

_QUOTAS = ("", "resourcequotas")
_PLAIN_COUNTS = frozenset(
    {"pods", "services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"}
)
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
_REQUIRED = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory")


def usage_of(table: tuple[str, str], item: Json) -> Usage:
    """What one object counts for."""
    group, plural = table
    used: Usage = {f"count/{plural}.{group}" if group else f"count/{plural}": Fraction(1)}
    if table == ("", "persistentvolumeclaims"):
        used |= _claim_usage(item)
    elif table == ("", "pods"):
        if (item.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return used
        used |= _pod_usage(item)
    elif not group and plural in _PLAIN_COUNTS:
        used[plural] = Fraction(1)
    return used


def _claim_usage(claim: Json) -> Usage:
    spec = claim.get("spec") or {}
    storage = _number(((spec.get("resources") or {}).get("requests") or {}).get("storage"))
    used = {"persistentvolumeclaims": Fraction(1), "requests.storage": storage}
    if name := spec.get("storageClassName"):
        used[f"{name}{_CLASS_SUFFIX}requests.storage"] = storage
        used[f"{name}{_CLASS_SUFFIX}persistentvolumeclaims"] = Fraction(1)
    return used


def _pod_usage(pod: Json) -> Usage:
    used: Usage = defaultdict(Fraction)
    used["pods"] = Fraction(1)
    for container in (pod.get("spec") or {}).get("containers") or ():
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        for name in _COMPUTE:
            used[f"requests.{name}"] += _number(requests.get(name))
            used[name] += _number(requests.get(name))
            used[f"limits.{name}"] += _number(limits.get(name))
    return dict(used)


def _number(text: Any) -> Fraction:
    try:
        return quantity.parse(text) if text is not None else Fraction(0)
    except ValueError:
        return Fraction(0)


class Quotas:
    """Checks writes against the quotas of their namespace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dirty: set[str] = set()
        self._by_namespace: dict[str, list[Json]] | None = None
        store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.table == _QUOTAS:
            self._by_namespace = None
        if change.after.namespace:
            self._dirty.add(change.after.namespace)

    def _of(self, namespace: str) -> list[Json]:
        if self._by_namespace is None:
            found: dict[str, list[Json]] = defaultdict(list)
            for entry in self._store.entries(_QUOTAS):
                found[entry.namespace].append(entry.decode())
            self._by_namespace = dict(found)
        return self._by_namespace.get(namespace, [])

    def check(self, attributes: Attributes) -> None:
        """StatusError 403 when the write would exceed a quota of its namespace."""
        if attributes.new is None or attributes.subresource or not attributes.namespace:
            return
        quotas = [one for one in self._of(attributes.namespace) if _in_scope(one, attributes.new)]
        if not quotas:
            return
        table = attributes.resource.table
        wanted = usage_of(table, attributes.new)
        before = usage_of(table, attributes.old) if attributes.old else {}
        added = {name: value - before.get(name, Fraction(0)) for name, value in wanted.items()}
        for quota in quotas:
            self._check_one(quota, attributes, {name: value for name, value in added.items() if value > 0})

    def _check_one(self, quota: Json, attributes: Attributes, added: Usage) -> None:
        hard = (quota.get("spec") or {}).get("hard") or {}
        if attributes.operation == "CREATE" and attributes.resource.table == ("", "pods"):
            _require_compute(quota, hard, attributes)
        used = self.used(quota)
        over = [
            name for name in sorted(added) if name in hard and used[name] + added[name] > _number(hard[name])
        ]
        if not over:
            return
        requested = ",".join(f"{name}={quantity.show_sum(added[name], hard[name])}" for name in over)
        counted = ",".join(f"{name}={quantity.show_sum(used[name], hard[name])}" for name in over)
        limited = ",".join(f"{name}={hard[name]}" for name in over)
        why = f"exceeded quota: {quota['metadata']['name']}, requested: {requested}, used: {counted}, limited: {limited}"
        raise forbidden(attributes.resource.group, attributes.resource.plural, attributes.name, why)

    def used(self, quota: Json) -> Usage:
        """What the namespace of a quota uses now of what the quota limits."""
        namespace = quota["metadata"]["namespace"]
        hard = (quota.get("spec") or {}).get("hard") or {}
        total: Usage = {name: Fraction(0) for name in hard}
        for table in {table for name in hard for table in _tables_of(name)}:
            for entry in self._store.entries(table, namespace):
                item = entry.decode()
                if not _in_scope(quota, item):
                    continue
                for name, value in usage_of(table, item).items():
                    if name in total:
                        total[name] += value
        return total

    def stale_status(self) -> list[tuple[Json, Json]]:
        """Quotas whose status no longer says what is used, each with the status that it should have."""
        namespaces, self._dirty = self._dirty, set()
        found = []
        for namespace in namespaces:
            for quota in self._of(namespace):
                hard = (quota.get("spec") or {}).get("hard") or {}
                used = self.used(quota)
                shown = {name: quantity.show_sum(used[name], hard[name]) for name in hard}
                status = {"hard": hard, "used": shown}
                if quota.get("status") != status:
                    found.append((quota, status))
        return found


def _tables_of(name: str) -> list[tuple[str, str]]:
    """Which resources a limit counts."""
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return [(group, plural)]
    if name.endswith(("requests.storage", "persistentvolumeclaims")):
        return [("", "persistentvolumeclaims")]
    if name in _PLAIN_COUNTS and name != "pods":
        return [("", name)]
    return [("", "pods")]


def _in_scope(quota: Json, item: Json) -> bool:
    """Whether a quota with scopes is about this object; scopes are about pods."""
    scopes = (quota.get("spec") or {}).get("scopes") or []
    if not scopes:
        return True
    if item.get("kind") != "Pod":
        return False
    spec = item.get("spec") or {}
    terminating = spec.get("activeDeadlineSeconds") is not None
    effort = not any((one.get("resources") or {}) for one in spec.get("containers") or ())
    answers = {
        "Terminating": terminating,
        "NotTerminating": not terminating,
        "BestEffort": effort,
        "NotBestEffort": not effort,
    }
    return all(answers.get(scope, True) for scope in scopes)


def _require_compute(quota: Json, hard: Json, attributes: Attributes) -> None:
    """A quota on compute makes requests and limits mandatory."""
    missing: dict[str, list[str]] = defaultdict(list)
    for container in ((attributes.new or {}).get("spec") or {}).get("containers") or ():
        resources = container.get("resources") or {}
        for name in (one for one in _REQUIRED if one in hard):
            section, _, compute = name.rpartition(".")
            limits = resources.get("limits") or {}
            given = limits if section == "limits" else {**limits, **(resources.get("requests") or {})}
            if compute not in given:
                missing[name].append(container["name"])
    if missing:
        listed = "; ".join(f"{name} for: {','.join(names)}" for name, names in sorted(missing.items()))
        why = f"failed quota: {quota['metadata']['name']}: must specify {listed}"
        raise forbidden("", "pods", attributes.name, why)
