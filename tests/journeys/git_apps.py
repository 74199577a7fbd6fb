"""A small application in a Git repository of its own, applied by Kustomizations of its own, on a sandbox that others share."""

import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dashboard.models import GitRepository
from migrations_app.models import GitMode, Migration
from sandbox.flux.hold import HELD_AT, HOLD
from tests.journeys.apps import App, apply, claim_manifest, deployment, fill, ready
from tests.journeys.driving import Driver
from tests.mover.walker import picture
from tests.support.waiting import until

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
PRUNE = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}


@dataclass
class GitApp(App):
    """`from-…` and `to-…` are namespaces, directories of the repository, and Kustomizations in flux-system."""

    tag: str
    work: Path

    def _wanted(self, changes: dict[str, Any]) -> dict[str, Any]:
        owner = {"namespace": "flux-system", "name": self.destination}
        return super()._wanted({"owner": owner, "git_mode": GitMode.DIRECT, **changes})

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for part in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{part}_NAME": "operator", f"GIT_{part}_EMAIL": "operator@example.com"}
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.work, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def push(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "origin", "HEAD:main")

    def revert_last(self) -> None:
        """Somebody takes the last commit of the branch back."""
        self.git("pull", "-q", "--ff-only", "origin", "main")
        self.git("revert", "--no-edit", "HEAD")
        self.git("push", "-q", "origin", "HEAD:main")

    def merge(self, migration: Migration) -> None:
        """Somebody merges whatever Holdfast has pushed for review."""
        self.git("fetch", "-q", "origin")
        for branch in self.git("branch", "-r", "--list", f"origin/holdfast/{migration.reference}-*").split():
            self.git("pull", "-q", "--ff-only", "origin", "main")
            self.git("merge", "-q", "--no-edit", branch)
            self.git("push", "-q", "origin", "HEAD:main")

    def settle(self) -> None:
        """A whole pass of the source's Kustomization over what Git says now."""
        found = self.driver.adapter.get_kustomization("flux-system", self.source)
        assert found is not None
        token = self.request()

        def handled() -> bool:
            now = self.driver.adapter.get_kustomization("flux-system", self.source)
            done = now is not None and now.handled_token == token and now.ready is not None
            return done and (now.suspended or now.ready.status != "Unknown")  # type: ignore[union-attr]

        until(handled, timeout_s=60, what=f"a pass of {self.source}")

    def annotate(self, name: str, annotation: str, value: str) -> None:
        mark = f"{annotation}={value}" if value else f"{annotation}-"
        self.driver.kubectl("annotate", "--overwrite", "kustomization", "-n", "flux-system", name, mark)

    def hold(self, *points: str) -> None:
        """Stops the source's Kustomization at these points; none lets it go on."""
        self.annotate(self.source, HOLD, ",".join(points))

    def wait_held(self, point: str) -> None:
        def held() -> bool:
            found = self.driver.adapter.get_kustomization("flux-system", self.source)
            return found is not None and found.annotations.get(HELD_AT) == point

        until(held, timeout_s=60, what=f"{self.source} held at {point}")

    def request(self) -> str:
        """Asks Flux to fetch, and both Kustomizations for a pass, now; the token of the request."""
        token = uuid.uuid4().hex
        for kind, name in (
            ("GitRepository", f"fleet-{self.tag}"),
            ("Kustomization", self.source),
            ("Kustomization", self.destination),
        ):
            self.driver.adapter.request_reconcile(kind, "flux-system", name, token)
        return token


def make_git_app(driver: Driver, place: Path, *, more: tuple[dict[str, Any], ...] = ()) -> GitApp:
    """Pushes it, and waits until Flux runs it and its volume holds files. `more` is declared beside it."""
    tag = uuid.uuid4().hex[:6]
    app = GitApp(driver, f"from-{tag}", f"to-{tag}", tag, place / f"work-{tag}")
    bare = place / f"fleet-{tag}.git"
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", str(bare)], check=True)
    app.work.mkdir(parents=True)
    app.git("init", "-q", "--initial-branch=main", ".")
    app.git("remote", "add", "origin", str(bare))
    for name in (app.source, app.destination):
        apply(driver, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    claim = claim_manifest(app.source, "data")
    claim["metadata"]["annotations"] = dict(PRUNE)
    write(app.work / app.source / "claim.yaml", claim)
    write(app.work / app.source / "app.yaml", deployment(app.source, "data"))
    files = ["claim.yaml", "app.yaml", "note.yaml"]
    if more:
        write(app.work / app.source / "more.yaml", *[_in(app.source, item) for item in more])
        files.append("more.yaml")
    write(app.work / app.source / "kustomization.yaml", listing(*files))
    for name in (app.source, app.destination):
        meta = {"name": "note", "namespace": name}
        write(app.work / name / "note.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    write(app.work / app.destination / "kustomization.yaml", listing("note.yaml"))
    app.push("Start")
    apply(driver, flux_source(tag, bare))
    for name in (app.source, app.destination):
        apply(driver, flux_kustomization(tag, name))
    GitRepository.objects.create(
        cluster=driver.cluster,
        name=f"fleet-{tag}",
        url=f"file://{bare}",
        branch="main",
        source_namespace="flux-system",
        source_name=f"fleet-{tag}",
        push_policy="direct",
    )
    until(lambda: ready(driver, app.source), timeout_s=90, what="the application")
    until(lambda: _settled(app), timeout_s=90, what="both Kustomizations to be ready")
    fill(app.directory(), 10)
    return app


def _settled(app: GitApp) -> bool:
    found = [
        app.driver.adapter.get_kustomization("flux-system", name) for name in (app.source, app.destination)
    ]
    return all(one is not None and one.ready is not None and one.ready.status == "True" for one in found)


def _in(namespace: str, item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "metadata": {**item["metadata"], "namespace": namespace}}


def write(path: Path, *items: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(items, sort_keys=False))


def listing(*files: str) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }


def flux_source(tag: str, bare: Path) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": f"fleet-{tag}", "namespace": "flux-system"},
        "spec": {"interval": "1h", "url": f"file://{bare}", "ref": {"branch": "main"}},
    }


def flux_kustomization(tag: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {
            "interval": "1h",
            "retryInterval": "5s",
            "path": f"./{name}",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": f"fleet-{tag}"},
        },
    }


def source_released(app: GitApp, migration: Migration, tree: dict[bytes, object]) -> None:
    """Nothing of the source is left but its volume, kept, with every byte; Flux has forgotten it and goes on."""
    transfer = migration.transfers.get()
    adapter = app.driver.adapter
    assert adapter.get_claim(app.source, "data") is None
    volume = adapter.get_volume(transfer.source_volume)
    assert volume is not None and (volume.phase, volume.reclaim_policy) == ("Released", "Retain")
    assert picture(app.driver.volume_directory(volume.name)) == tree
    owner = adapter.get_kustomization("flux-system", app.source)
    assert owner is not None and not owner.suspended
    assert not owner.holds("PersistentVolumeClaim", app.source, "data")
    assert adapter.get_workload("Deployment", app.source, "app") is None
