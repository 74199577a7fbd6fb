"""status.inventory: which objects a Kustomization has applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.answers import Object


@dataclass(frozen=True)
class Reference:
    """One object of an inventory. `version` is the API version without the group."""

    namespace: str
    name: str
    group: str
    kind: str
    version: str

    @property
    def id(self) -> str:
        """<namespace>_<name>_<group>_<kind>, a colon in a name (RBAC) as two underscores."""
        return f"{self.namespace}_{self.name.replace(':', '__')}_{self.group}_{self.kind}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def stub(self) -> Object:
        """The object with nothing but its identity."""
        metadata = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


def reference_of(item: Object) -> Reference:
    """The reference to an object."""
    group, _, version = str(item["apiVersion"]).rpartition("/")
    metadata = item["metadata"]
    return Reference(metadata.get("namespace") or "", metadata["name"], group, item["kind"], version)


def parse(id: str, version: str) -> Reference:
    """The reference behind an entry's id and v. ValueError when the id has not four parts."""
    namespace, first, rest = id.partition("_")
    name, second, kind = rest.rpartition("_")
    name, third, group = name.rpartition("_")
    if not (first and second and third):
        raise ValueError(f"not an inventory id: {id!r}")
    return Reference(namespace, name.replace("__", ":"), group, kind, version)


def load(status: Object) -> list[Reference]:
    """The references in a status, in order."""
    entries = (status.get("inventory") or {}).get("entries") or []
    return [parse(entry["id"], entry["v"]) for entry in entries]


def dump(references: Iterable[Reference]) -> Object:
    """A status.inventory, without repetitions."""
    seen = {reference.id: reference for reference in references}
    return {"entries": [{"id": id, "v": reference.version} for id, reference in seen.items()]}


def difference(old: Iterable[Reference], new: Iterable[Reference]) -> list[Reference]:
    """What is in the old inventory and, whatever its version, not in the new one."""
    kept = {reference.id for reference in new}
    return [reference for reference in old if reference.id not in kept]
