"""The GitRepository controller: fetches with git and publishes status.artifact."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux import conditions
from sandbox.flux.artifact import Artifacts
from sandbox.flux.events import record
from sandbox.flux.git import GitFailed, git
from sandbox.flux.metadata import REQUESTED_AT
from sandbox.flux.values import dig, now, seconds
from sandbox.kinds import GIT_REPOSITORIES

FINALIZER = "finalizers.fluxcd.io"
MANAGER = "source-controller"
_DEFAULT_INTERVAL_S = 60.0


class SourceReconciler:
    """One pass over one GitRepository. `at(point, kind, key)` is told before the fetch and before the status."""

    def __init__(
        self,
        client: Client,
        artifacts: Artifacts,
        at: Callable[[str, str, tuple[str, str]], None] = lambda point, kind, key: None,
    ) -> None:
        self._client = client
        self._artifacts = artifacts
        self._at = at

    def reconcile(self, key: tuple[str, str]) -> float | None:
        """Seconds until the next pass, or None when there will be none by itself."""
        namespace, name = key
        item = self._client.find(GIT_REPOSITORIES, name, namespace)
        if item is None:
            return None
        if item["metadata"].get("deletionTimestamp"):
            self._finalize(item)
            return None
        self._ensure_finalizer(item)
        status = dict(item.get("status") or {})
        interval_s = seconds(dig(item, "spec", "interval"), _DEFAULT_INTERVAL_S)
        suspended = bool(dig(item, "spec", "suspend"))
        if not suspended:
            self._at("fetch", "GitRepository", key)
            self._fetch(item, status)
        self._at("status", "GitRepository", key)
        self._save(item, status)
        return None if suspended else interval_s

    def _fetch(self, item: Object, status: Object) -> None:
        generation = item["metadata"].get("generation", 1)
        try:
            label, commit = self._resolve(item["spec"])
            revision = f"{label}@sha1:{commit}" if label else f"sha1:{commit}"
            self._store(item, status, revision, commit)
        except GitFailed as error:
            message = f"failed to checkout and determine revision: {error}"
            conditions.mark(status, "FetchFailed", "True", "GitOperationFailed", message, generation)
            conditions.mark(status, conditions.READY, "False", "GitOperationFailed", message, generation)
            return
        message = f"stored artifact for revision '{revision}'"
        conditions.drop(status, "FetchFailed")
        conditions.mark(status, "ArtifactInStorage", "True", "Succeeded", message, generation)
        conditions.mark(status, conditions.READY, "True", "Succeeded", message, generation)
        status["observedGeneration"] = generation

    def _resolve(self, spec: Object) -> tuple[str, str]:
        """What the revision is called (branch, tag, or nothing for a bare commit) and its commit."""
        reference = spec.get("ref") or {}
        if commit := reference.get("commit"):
            return str(reference.get("branch") or ""), str(commit)
        kind, short = (
            ("tags", reference["tag"]) if reference.get("tag") else ("heads", reference.get("branch"))
        )
        full = str(reference.get("name") or f"refs/{kind}/{short or 'master'}")
        found = git("ls-remote", "--", spec["url"], full, f"{full}^{{}}")
        if not found:
            raise GitFailed(
                f"unable to find '{full}' in '{spec['url']}': couldn't find remote ref \"{full}\""
            )
        # An annotated tag has a second line with the commit that it points to.
        return full.removeprefix(f"refs/{kind}/"), found.splitlines()[-1].split()[0]

    def _store(self, item: Object, status: Object, revision: str, commit: str) -> None:
        meta = item["metadata"]
        tree = self._artifacts.tree(meta["namespace"], meta["name"], commit)
        if dig(status, "artifact", "revision") == revision and tree.exists():
            return
        mirror = self._artifacts.mirror(meta["namespace"], meta["name"])
        if not mirror.exists():
            git("init", "-q", "--bare", str(mirror))
        url = item["spec"]["url"]
        # All branches: a bare commit may be on any of them, and the repositories of a sandbox are small.
        git(
            "--git-dir",
            str(mirror),
            "fetch",
            "-q",
            "--force",
            "--tags",
            "--",
            url,
            "+refs/heads/*:refs/heads/*",
        )
        self._artifacts.export(meta["namespace"], meta["name"], commit)
        path = f"gitrepository/{meta['namespace']}/{meta['name']}/{commit}.tar.gz"
        status["artifact"] = {
            "digest": f"sha256:{hashlib.sha256(commit.encode()).hexdigest()}",
            "lastUpdateTime": now(),
            "path": path,
            "revision": revision,
            "url": f"http://source-controller.flux-system.svc.cluster.local./{path}",
        }
        self._event(item, f"stored artifact for commit '{self._subject(mirror, commit)}'")

    def _subject(self, mirror: Path, commit: str) -> str:
        return git("--git-dir", str(mirror), "log", "-1", "--format=%s", commit)

    def _event(self, item: Object, message: str) -> None:
        record(self._client, item, "Normal", "NewArtifact", message, MANAGER)

    def _save(self, item: Object, status: Object) -> None:
        if token := dig(item, "metadata", "annotations", REQUESTED_AT):
            status["lastHandledReconcileAt"] = token
        if status == item.get("status"):
            return
        meta = item["metadata"]
        try:
            self._client.patch_status(
                GIT_REPOSITORIES, meta["name"], status, meta["namespace"], field_manager=MANAGER
            )
        except ApiError as error:
            if not error.not_found:
                raise

    def _ensure_finalizer(self, item: Object) -> None:
        meta = item["metadata"]
        finalizers = meta.get("finalizers") or []
        if FINALIZER not in finalizers:
            body = {"metadata": {"finalizers": [*finalizers, FINALIZER]}}
            self._client.patch(GIT_REPOSITORIES, meta["name"], body, meta["namespace"], field_manager=MANAGER)

    def _finalize(self, item: Object) -> None:
        meta = item["metadata"]
        self._artifacts.remove(meta["namespace"], meta["name"])
        finalizers = [one for one in meta.get("finalizers") or [] if one != FINALIZER]
        self._client.patch(
            GIT_REPOSITORIES,
            meta["name"],
            {"metadata": {"finalizers": finalizers}},
            meta["namespace"],
            field_manager=MANAGER,
        )
