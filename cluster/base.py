"""What every value of the cluster is made of: names, manifests, metadata, conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


def canonical(value: object) -> str:
    """`value` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Ref:
    """Names one object; `uid` is empty when it is not known, `namespace` when the object is cluster-scoped."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


@dataclass(frozen=True)
class Manifest:
    """An object that we render. `body` is its canonical JSON, so equal manifests have equal text and digest."""

    api_version: str
    kind: str
    namespace: str
    name: str
    body: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Manifest:
        """From a dictionary with apiVersion, kind and metadata.name; `ValueError` when one is missing."""
        metadata = data.get("metadata") or {}
        missing = [key for key in ("apiVersion", "kind") if not data.get(key)]
        missing += [] if metadata.get("name") else ["metadata.name"]
        if missing:
            raise ValueError(f"Not a manifest: {', '.join(missing)} missing.")
        return cls(
            api_version=data["apiVersion"],
            kind=data["kind"],
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
            body=canonical(data),
        )

    @property
    def data(self) -> dict[str, Any]:
        """A fresh dictionary of the object: changing it changes nothing here."""
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded

    @property
    def ref(self) -> Ref:
        """What it names, without a UID."""
        return Ref(self.api_version, self.kind, self.namespace, self.name)

    def yaml(self) -> str:
        """The object as block-style YAML, apiVersion, kind and metadata first."""
        from cluster.yamltext import dump

        return dump(self.data)


@dataclass(frozen=True)
class OwnerReference:
    """One entry of metadata.ownerReferences."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


@dataclass(frozen=True)
class Condition:
    """One entry of status.conditions; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    changed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Object:
    """What every object has."""

    ref: Ref
    resource_version: str = ""
    generation: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    created_at: datetime | None = None
    deleting_at: datetime | None = None

    @property
    def uid(self) -> str:
        return self.ref.uid

    @property
    def namespace(self) -> str:
        return self.ref.namespace

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def kind(self) -> str:
        return self.ref.kind

    @property
    def deleting(self) -> bool:
        """A deletion was accepted and cannot be taken back; only finalizers hold the object."""
        return self.deleting_at is not None

    @property
    def controller(self) -> OwnerReference | None:
        return next((owner for owner in self.owner_references if owner.controller), None)
