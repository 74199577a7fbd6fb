"""An application of one test: a directory in the sandbox's fleet repository, a Kustomization that applies it, rows that show it."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounts.models import User
from cluster.client import Cluster as Adapter
from cluster.flux import PRUNE, commit_of, new_token
from cluster.values import Manifest
from dashboard import inventory, models
from dashboard.models import Claim, Cluster, GitRepository, ProtectionChange
from dashboard.protecting_states import ChangeState
from tests.cluster import living
from tests.support.cluster_process import Sandbox
from tests.support.people import person
from tests.support.waiting import until
from worker import declared, protecting
from worker.clusters import adapter
from worker.reading import read_surroundings

CLAIM = """apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {name}
spec:
  accessModes: [ReadWriteOnce]   # one pod
  storageClassName: ceph-block
  resources:
    requests:
      storage: 1Gi
"""


@dataclass
class Work:
    """`name` is the namespace, the directory below apps/ and the Kustomization in one."""

    sandbox: Sandbox
    row: Cluster
    repository: GitRepository
    admin: Adapter
    operator: User
    directory: Path
    name: str

    # Git -----------------------------------------------------------------------------------------------------------

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for part in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{part}_NAME": "operator", f"GIT_{part}_EMAIL": "operator@example.com"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.directory,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def push(self, files: dict[str, str | None], message: str = "Change an application") -> str:
        """Writes files of the application's directory (None: removes one) and pushes; the commit."""
        self.git("pull", "-q", "--rebase", "origin", "main")
        for path, text in files.items():
            target = self.directory / "apps" / self.name / path
            if text is None:
                target.unlink()
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD").strip()

    def merge(self, branch: str) -> None:
        """What a reviewer does on the Git server."""
        self.git("pull", "-q", "--rebase", "origin", "main")
        self.git("fetch", "-q", "origin", branch)
        self.git("merge", "-q", "--no-ff", "-m", f"Merge {branch}", "FETCH_HEAD")
        self.git("push", "-q", "origin", "HEAD:main")

    def on_main(self, path: str) -> str:
        self.git("fetch", "-q", "origin", "main")
        return self.git("show", f"FETCH_HEAD:apps/{self.name}/{path}")

    # Flux ----------------------------------------------------------------------------------------------------------

    def kustomization(self, **spec: Any) -> None:
        body = {
            "interval": "1h",
            "retryInterval": "2s",
            "path": f"./apps/{self.name}",
            "prune": True,
            "targetNamespace": self.name,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            **spec,
        }
        meta = {"namespace": "flux-system", "name": self.name}
        self.admin.create(
            Manifest.of(
                {
                    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                    "kind": "Kustomization",
                    "metadata": meta,
                    "spec": body,
                }
            )
        )

    def applied(self, commit: str) -> None:
        """Flux has applied a commit."""
        self.admin.request_reconcile("GitRepository", "flux-system", "fleet", new_token())

        def holds() -> bool:
            source = self.admin.get_git_source("flux-system", "fleet")
            return source is not None and commit_of(source.artifact_revision) == commit

        until(holds, timeout_s=20, what="the artifact")
        self.admin.request_reconcile("Kustomization", "flux-system", self.name, new_token())

        def done() -> bool:
            found = self.admin.get_kustomization("flux-system", self.name)
            return found is not None and commit_of(found.applied_revision) == commit

        until(done, timeout_s=30, what="Flux to apply it")

    def start(self, files: dict[str, str], **spec: Any) -> str:
        """Git, Kustomization, applied, seen."""
        commit = self.push(files)
        self.kustomization(**spec)
        self.applied(commit)
        self.see()
        return commit

    # Holdfast ------------------------------------------------------------------------------------------------------

    def see(self) -> None:
        """What the watcher and the worker do in the background, once: compare with Git, then read the cluster."""
        claims = tuple(self.admin.list_claims())
        inventory.refresh(self.row, read_surroundings(self.admin, claims))
        declared.refresh(self.row, self.admin)
        inventory.refresh(self.row, read_surroundings(self.admin, claims, declared.known(self.row)))

    def claim(self, name: str = "data") -> Claim:
        return models.Claim.objects.present().get(cluster=self.row, namespace=self.name, name=name)

    def live(self, name: str = "data") -> str | None:
        found = self.admin.get_claim(self.name, name)
        return found.annotations.get(PRUNE) if found else None

    def look(self, change: ProtectionChange) -> ProtectionChange:
        """One look of the worker, due or not."""
        models.ProtectionChange.objects.filter(pk=change.pk).update(look_at="2020-01-01T00:00Z")
        protecting.advance(change.pk)
        return models.ProtectionChange.objects.get(pk=change.pk)

    def until(self, change: ProtectionChange, state: ChangeState, timeout_s: float = 40) -> ProtectionChange:
        """Looks until a state is reached; an end that was not meant is an error that says why."""

        def reached() -> ProtectionChange | None:
            found = self.look(change)
            if found.state == state:
                return found
            if not found.is_open:
                raise RuntimeError(f"{found.state}: {found.problem}")
            return None

        found = until(reached, timeout_s=timeout_s, what=f"state {state}", every_s=0.2)
        assert found is not None
        return found


@contextmanager
def working(sandbox: Sandbox, settings: Any, place: Path) -> Iterator[Work]:
    """An application in the sandbox, nothing in it yet."""
    settings.HOLDFAST_KUBECONFIG = str(sandbox.kubeconfig)
    settings.HOLDFAST_WORKER_CONTEXT = "holdfast-worker"
    settings.HOLDFAST_PROBER_CONTEXT = "holdfast-prober"
    settings.HOLDFAST_DATA = place / "holdfast"
    adapter.cache_clear()
    url = f"file://{sandbox.data}/state/git/fleet.git"
    row = Cluster.objects.create(name="c")
    repository = GitRepository.objects.create(
        cluster=row,
        name="fleet",
        url=url,
        source_namespace="flux-system",
        source_name="fleet",
        push_policy="direct",
    )
    admin = living.cluster_as(sandbox)
    name = f"app-{uuid.uuid4().hex[:6]}"
    admin.create(Manifest.of({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    subprocess.run(["git", "clone", "-q", url, str(place / "clone")], check=True, capture_output=True)
    yield Work(sandbox, row, repository, admin, person("operator"), place / "clone", name)
    adapter.cache_clear()
