"""Puts the parts of the API server together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.apiserver.admission import Admission
from sandbox.apiserver.auth import Tokens
from sandbox.apiserver.openapi import OpenApi
from sandbox.apiserver.rbac import Authorizer
from sandbox.apiserver.reads import Reads
from sandbox.apiserver.resources import Registry, of_crd
from sandbox.apiserver.reviews import Reviews
from sandbox.apiserver.schemas import Schemas
from sandbox.apiserver.store import Change, Store
from sandbox.apiserver.writes import Writes

_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")


@dataclass(frozen=True)
class Cluster:
    """Everything that the handlers share."""

    store: Store
    registry: Registry
    tokens: Tokens
    authorizer: Authorizer
    admission: Admission
    reads: Reads
    writes: Writes
    reviews: Reviews
    openapi: OpenApi
    logs: Path


def open_cluster(data: Path, history: int = 4000) -> Cluster:
    """Opens (or creates) the cluster whose state is under a folder."""
    data.mkdir(parents=True, exist_ok=True)
    store = Store(data / "cluster.sqlite3", history)
    registry = Registry()
    _serve_custom_resources(store, registry)
    tokens = Tokens(data)
    authorizer = Authorizer(store)
    admission = Admission(store)
    return Cluster(
        store,
        registry,
        tokens,
        authorizer,
        admission,
        Reads(store),
        Writes(store, admission, Schemas()),
        Reviews(authorizer, tokens, store),
        OpenApi(registry),
        data / "logs",
    )


def _serve_custom_resources(store: Store, registry: Registry) -> None:
    """Serves what the stored definitions say, now and after each change of one."""

    def changed(change: Change) -> None:
        if change.table != _CRDS:
            return
        if not change.deleted:
            registry.set_crd(change.after.name, of_crd(change.after.decode()))
            return
        registry.drop_crd(change.after.name)
        spec = change.after.decode()["spec"]
        table = (spec["group"], spec["names"]["plural"])
        for entry in store.entries(table):
            store.remove(table, entry, entry.decode())

    for entry in store.entries(_CRDS):
        registry.set_crd(entry.name, of_crd(entry.decode()))
    store.listen(changed)
