"""Runs the reconcilers: what starts a pass, and how many run at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux.artifact import Artifacts
from sandbox.flux.build import Builder
from sandbox.flux.helm import HelmReconciler
from sandbox.flux.hold import MANUAL, Holds
from sandbox.flux.kustomization import KustomizationReconciler
from sandbox.flux.metadata import REQUESTED_AT
from sandbox.flux.source import SourceReconciler
from sandbox.flux.values import dig
from sandbox.informer import Informer, WorkQueue, key_of, run_workers
from sandbox.kinds import GIT_REPOSITORIES, HELM_RELEASES, KUSTOMIZATIONS, Resource

_RETRY_CAP_S = 5.0


class Controllers:
    """The three controllers of one cluster, with their state in DIR/flux. start() returns once they follow the API."""

    def __init__(self, client: Client, data: Path, *, builder: Builder | None = None) -> None:
        self._client = client
        self._holds = Holds(client)
        artifacts = Artifacts(data)
        self._sources = Informer(client, GIT_REPOSITORIES)
        self._kustomizations = Informer(client, KUSTOMIZATIONS)
        self._releases = Informer(client, HELM_RELEASES)
        self._queues = {
            kind: WorkQueue(cap_s=_RETRY_CAP_S) for kind in ("source", "kustomization", "release")
        }
        self._source = SourceReconciler(client, artifacts, self._holds)
        self._kustomization = KustomizationReconciler(client, artifacts, builder, self._holds)
        self._release = HelmReconciler(client)

    def start(self) -> Controllers:
        """Starts all of it on daemon threads."""
        self._sources.on_change(self._on_source)
        self._kustomizations.on_change(self._enqueue("kustomization"))
        self._releases.on_change(self._enqueue("release"))
        for informer in (self._sources, self._kustomizations, self._releases):
            informer.start()
        for informer in (self._sources, self._kustomizations, self._releases):
            informer.wait_synced()
        self._run("source", self._source.reconcile, self._sources, workers=2)
        self._run("kustomization", self._kustomization.reconcile, self._kustomizations, workers=4)
        self._run("release", self._release.reconcile, self._releases, workers=1)
        return self

    def stop(self) -> None:
        """Stops taking new work, and lets go what is held."""
        self._holds.stop()
        for queue in self._queues.values():
            queue.close()

    def _run(
        self,
        kind: str,
        reconcile: Callable[[tuple[str, str]], float | None],
        informer: Informer,
        *,
        workers: int,
    ) -> None:
        def unless_manual(key: tuple[str, str]) -> float | None:
            again_s = reconcile(key)
            # A finalizer was just added: that is not the interval, and a manual object needs it, too.
            return again_s if not again_s or not _is_manual(informer.get(key[1], key[0])) else None

        run_workers(self._queues[kind], unless_manual, workers=workers, name=kind)

    def _enqueue(self, kind: str) -> Callable[[str, Object | None, Object | None], None]:
        def handler(event: str, old: Object | None, new: Object | None) -> None:
            if new is not None and _starts_pass(old, new):
                self._queues[kind].add(key_of(new))

        return handler

    def _on_source(self, event: str, old: Object | None, new: Object | None) -> None:
        self._enqueue("source")(event, old, new)
        if new is None or _revision(old) == _revision(new):
            return
        for item in self._kustomizations.list():
            if _uses(item, new) and not _is_manual(item):
                self._queues["kustomization"].add(key_of(item))


def _starts_pass(old: Object | None, new: Object) -> bool:
    """A new object, a new generation, a deletion or a request; a manual one only by the last two."""
    deleted = bool(new["metadata"].get("deletionTimestamp"))
    if old is None:
        return not _is_manual(new) or deleted or bool(_request(new))
    if deleted or _request(old) != _request(new):
        return True
    changed = old["metadata"].get("generation") != new["metadata"].get("generation")
    return (changed or _is_manual(old)) and not _is_manual(new)


def _is_manual(item: Object | None) -> bool:
    return bool(dig(item, "metadata", "annotations", MANUAL) == "true")


def _request(item: Object) -> str | None:
    token: str | None = dig(item, "metadata", "annotations", REQUESTED_AT)
    return token


def _revision(item: Object | None) -> str | None:
    revision: str | None = dig(item, "status", "artifact", "revision")
    return revision


def _uses(item: Object, source: Object) -> bool:
    reference = item["spec"]["sourceRef"]
    namespace = reference.get("namespace") or item["metadata"]["namespace"]
    return (reference["kind"], namespace, reference["name"]) == ("GitRepository", *key_of(source))


RESOURCES: tuple[Resource, ...] = (GIT_REPOSITORIES, KUSTOMIZATIONS, HELM_RELEASES)
