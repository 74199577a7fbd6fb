"""The Kustomization controller: build, apply, prune, check, report, in the order of kustomize-controller 1.9."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux import conditions, inventory
from sandbox.flux.apply import ApplyFailed, Change, Options, apply_all
from sandbox.flux.artifact import Artifacts
from sandbox.flux.build import Builder, BuildFailed, PathNotFound, variables_of
from sandbox.flux.events import record
from sandbox.flux.finalize import FINALIZER, finalize
from sandbox.flux.metadata import REQUESTED_AT, add_metadata, owner_labels
from sandbox.flux.prune import delete_all
from sandbox.flux.sources import NotReady, check_dependencies, source_of, variable_source
from sandbox.flux.values import dig, duration, now, seconds
from sandbox.flux.wait import HealthFailed, check_health
from sandbox.kinds import KUSTOMIZATIONS

log = logging.getLogger(__name__)

MANAGER = "gotk-kustomize-controller"
_RETRY_DEPENDENCY_S = 0.3
_HISTORY = 5

At = Callable[[str, str, tuple[str, str]], None]


class _Failed(Exception):
    """A step failed: the reason of the Ready condition and its message."""

    def __init__(self, reason: str, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_s = retry_s


@dataclass
class _Pass:
    """One pass over one Kustomization. `status` is written back at its end, whatever happens."""

    item: Object
    status: Object
    key: tuple[str, str]
    started: float
    saved: Object
    digest: str = ""

    @property
    def spec(self) -> Object:
        spec: Object = self.item["spec"]
        return spec

    @property
    def generation(self) -> int:
        return int(self.item["metadata"].get("generation", 1))

    @property
    def interval_s(self) -> float:
        return seconds(self.spec.get("interval"), 60.0)

    @property
    def retry_s(self) -> float:
        return seconds(self.spec.get("retryInterval"), self.interval_s)

    @property
    def timeout_s(self) -> float:
        return seconds(self.spec.get("timeout"), self.interval_s)


class KustomizationReconciler:
    """Reconciles one Kustomization a call. Tests may call it by themselves and act in `at(point, kind, key)`."""

    def __init__(
        self,
        client: Client,
        artifacts: Artifacts,
        builder: Builder | None = None,
        at: At = lambda point, kind, key: None,
    ) -> None:
        self._client = client
        self._artifacts = artifacts
        self._builder = builder or Builder()
        self._at = at

    def reconcile(self, key: tuple[str, str]) -> float | None:
        """Seconds until the next pass, or None when there will be none by itself."""
        item = self._client.find(KUSTOMIZATIONS, key[1], key[0])
        if item is None:
            return None
        status = item.get("status") or {}
        run = _Pass(item, dict(status), key, time.monotonic(), dict(status))
        if item["metadata"].get("deletionTimestamp"):
            return finalize(self._client, item)
        if FINALIZER not in (item["metadata"].get("finalizers") or []):
            self._add_finalizer(item)
            return 0.0
        try:
            if run.spec.get("suspend"):
                return None
            return self._reconcile(run)
        finally:
            self._report(run)

    # -- one pass ---------------------------------------------------------------------------------

    def _reconcile(self, run: _Pass) -> float:
        try:
            artifact = self._artifact(run)
            self._steps(run, artifact)
        except _Failed as failure:
            before = conditions.find(run.item.get("status") or {}, conditions.READY) or {}
            conditions.mark(
                run.status, conditions.READY, "False", failure.reason, str(failure), run.generation
            )
            if failure.reason not in ("DependencyNotReady", "ArtifactFailed"):
                self._remember(run, failure.reason)
            if before.get("message") != str(failure):
                record(
                    self._client, run.item, "Warning", failure.reason, str(failure), "kustomize-controller"
                )
            return failure.retry_s if failure.retry_s is not None else run.retry_s
        return run.interval_s

    def _artifact(self, run: _Pass) -> Object:
        try:
            source = source_of(self._client, run.item)
            check_dependencies(self._client, run.item, source)
        except NotReady as error:
            raise _Failed(error.reason, str(error), _RETRY_DEPENDENCY_S) from error
        artifact: Object = source["status"]["artifact"]
        return {**artifact, "namespace": source["metadata"]["namespace"], "name": source["metadata"]["name"]}

    def _steps(self, run: _Pass, artifact: Object) -> None:
        revision = artifact["revision"]
        old = inventory.load(run.status)
        self._progress(
            run, f"Fetching manifests for revision {revision} with a timeout of {self._timeout(run)}"
        )
        self._at("build", "Kustomization", run.key)
        objects = self._build(run, artifact)
        self._at("apply", "Kustomization", run.key)
        changes = self._apply(run, objects)
        new = [change.reference for change in changes]
        run.status["inventory"] = inventory.dump(new)
        self._at("prune", "Kustomization", run.key)
        self._prune(run, old, new)
        self._at("health", "Kustomization", run.key)
        self._check(run, new, is_new=run.status.get("lastAppliedRevision") != revision)
        run.status["lastAppliedRevision"] = revision
        message = f"Applied revision: {revision}"
        conditions.mark(
            run.status, conditions.READY, "True", "ReconciliationSucceeded", message, run.generation
        )
        self._remember(run, "ReconciliationSucceeded")

    def _build(self, run: _Pass, artifact: Object) -> list[Object]:
        revision = artifact["revision"]
        tree = self._artifacts.tree(artifact["namespace"], artifact["name"], revision.rpartition(":")[2])
        if not tree.is_dir():
            raise _Failed("ArtifactFailed", f"artifact not found: {artifact['path']}", _RETRY_DEPENDENCY_S)
        run.status["lastAttemptedRevision"] = revision
        try:
            variables = variables_of(run.spec, variable_source(self._client, run.key[0]))
            objects = self._builder.build(tree, run.spec, variables)
        except PathNotFound as error:
            raise _Failed("ArtifactFailed", str(error)) from error
        except (BuildFailed, NotReady) as error:
            raise _Failed("BuildFailed", str(error)) from error
        text = json.dumps(objects, sort_keys=True, default=str)
        run.digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        for item in objects:
            add_metadata(item, "labels", owner_labels(run.key[1], run.key[0]))
        return objects

    def _apply(self, run: _Pass, objects: list[Object]) -> list[Change]:
        options = Options(
            force=bool(run.spec.get("force")),
            ignore=tuple(run.spec.get("ignore") or ()),
            at=lambda point: self._at(point, "Kustomization", run.key),
        )
        try:
            changes = apply_all(self._client, objects, options)
        except ApplyFailed as error:
            raise _Failed("ReconciliationFailed", str(error)) from error
        changed = [str(change) for change in changes if change.action in ("created", "configured")]
        if changed:
            record(
                self._client, run.item, "Normal", "Progressing", "\n".join(changed), "kustomize-controller"
            )
        return changes

    def _prune(self, run: _Pass, old: list[inventory.Reference], new: list[inventory.Reference]) -> None:
        if not run.spec.get("prune"):
            return
        stale = inventory.difference(old, new)
        if not stale:
            return
        outcome = delete_all(
            self._client,
            stale,
            (run.key[1], run.key[0]),
            lambda point: self._at(point, "Kustomization", run.key),
        )
        deleted = [f"{inventory_name(one)} deleted" for one in outcome.deleted]
        if deleted:
            record(
                self._client, run.item, "Normal", "Progressing", "\n".join(deleted), "kustomize-controller"
            )
        if outcome.errors:
            # Since 1.9.0: what refused to go stays known, and is tried again.
            run.status["inventory"] = inventory.dump([*new, *outcome.survivors])
            raise _Failed("PruneFailed", "; ".join(outcome.errors))

    def _check(self, run: _Pass, applied: list[inventory.Reference], *, is_new: bool) -> None:
        try:
            checked = check_health(self._client, run.item, applied, run.timeout_s, is_new=is_new)
        except HealthFailed as error:
            conditions.mark(
                run.status, conditions.HEALTHY, "False", "HealthCheckFailed", str(error), run.generation
            )
            raise _Failed("HealthCheckFailed", str(error)) from error
        if checked is None:
            conditions.drop(run.status, conditions.HEALTHY)
        else:
            conditions.mark(run.status, conditions.HEALTHY, "True", "Succeeded", checked, run.generation)

    # -- status -----------------------------------------------------------------------------------

    def _timeout(self, run: _Pass) -> str:
        return duration(run.timeout_s)

    def _progress(self, run: _Pass, message: str) -> None:
        text = "Reconciliation in progress"
        conditions.mark(run.status, conditions.READY, "Unknown", "Progressing", text, run.generation)
        conditions.mark(run.status, conditions.RECONCILING, "True", "Progressing", message, run.generation)
        self._save(run)

    def _remember(self, run: _Pass, result: str) -> None:
        """status.history: the last attempts, the newest first; the same content and result is one entry."""
        history = [dict(entry) for entry in run.status.get("history") or []]
        took = duration(round(time.monotonic() - run.started, 3))
        at = now()
        for entry in history:
            if entry["digest"] == run.digest and entry["lastReconciledStatus"] == result:
                entry.update(
                    lastReconciled=at,
                    lastReconciledDuration=took,
                    totalReconciliations=entry["totalReconciliations"] + 1,
                )
                history.sort(key=lambda one: one is not entry)
                break
        else:
            fresh: dict[str, Any] = {
                "digest": run.digest,
                "firstReconciled": at,
                "lastReconciled": at,
                "lastReconciledDuration": took,
                "lastReconciledStatus": result,
                "totalReconciliations": 1,
                "metadata": {"revision": run.status.get("lastAttemptedRevision", "")},
            }
            history.insert(0, fresh)
        run.status["history"] = history[:_HISTORY]

    def _report(self, run: _Pass) -> None:
        """The end of every pass, a suspended one included: that is why lastHandledReconcileAt proves little."""
        self._at("status", "Kustomization", run.key)
        if token := dig(run.item, "metadata", "annotations", REQUESTED_AT):
            run.status["lastHandledReconcileAt"] = token
        ready = conditions.find(run.status, conditions.READY)
        if ready and ready["status"] == "True":
            conditions.drop(run.status, conditions.RECONCILING)
            run.status["observedGeneration"] = run.generation
        elif ready and ready["status"] == "False":
            progress = conditions.find(run.status, conditions.RECONCILING)
            if progress:
                message = progress["message"]
                conditions.mark(
                    run.status,
                    conditions.RECONCILING,
                    "True",
                    "ProgressingWithRetry",
                    message,
                    run.generation,
                )
        self._save(run)

    def _save(self, run: _Pass) -> None:
        if run.status == run.saved:
            return
        run.saved = dict(run.status)
        try:
            self._client.patch_status(
                KUSTOMIZATIONS, run.key[1], run.status, run.key[0], field_manager=MANAGER
            )
        except ApiError as error:
            if not error.not_found:
                raise

    def _add_finalizer(self, item: Object) -> None:
        meta = item["metadata"]
        body = {"metadata": {"finalizers": [*(meta.get("finalizers") or []), FINALIZER]}}
        self._client.patch(KUSTOMIZATIONS, meta["name"], body, meta["namespace"], field_manager=MANAGER)


def inventory_name(reference: inventory.Reference) -> str:
    """Kind/namespace/name of a reference."""
    return "/".join(part for part in (reference.kind, reference.namespace, reference.name) if part)
