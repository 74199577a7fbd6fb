"""A Git repository, a source and Kustomizations of one test. Flux does nothing by itself here: each pass is asked for."""

import itertools
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.answers import Object
from sandbox.kinds import CONFIG_MAPS, GIT_REPOSITORIES, KUSTOMIZATIONS, PERSISTENT_VOLUME_CLAIMS
from tests.contract.place import BLOCK, Place
from tests.support.waiting import until

PRUNE = "kustomize.toolkit.fluxcd.io/prune"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
MANUAL = "sandbox.holdfast.dev/manual"
HOLD = "sandbox.holdfast.dev/hold"
HELD_AT = "sandbox.holdfast.dev/held-at"
_TOKENS = itertools.count(1)


@dataclass
class Fleet:
    """`work` is a clone; push() sends what is in it. Objects are named by their file."""

    place: Place
    work: Path
    bare: Path
    names: list[str] = field(default_factory=list)

    # -- Git --------------------------------------------------------------------------------------

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for part in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{part}_NAME": "operator", f"GIT_{part}_EMAIL": "operator@example.com"}
        done = subprocess.run(
            ["git", *arguments], cwd=self.work, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str, *items: Object) -> None:
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump_all(items, sort_keys=False))

    def push(self, message: str = "Change") -> str:
        """Commits all there is, and sends it. The commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    # -- manifests --------------------------------------------------------------------------------

    def claim(
        self, name: str = "data", size: str = "1Gi", storage_class: str = BLOCK, **metadata: Any
    ) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.place.namespace, **metadata},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": size}},
            },
        }

    def config(self, name: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.place.namespace, **metadata},
            "data": data or {"key": "value"},
        }

    # -- Flux -------------------------------------------------------------------------------------

    def kustomization(self, name: str = "apps", path: str = "./apps", **spec: Any) -> None:
        self.names.append(name)
        body = {
            "interval": "1h",
            "retryInterval": "1h",
            "timeout": "3s",
            "path": path,
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            **spec,
        }
        self.place.create(KUSTOMIZATIONS, name, metadata={"annotations": {MANUAL: "true"}}, spec=body)

    def refresh(self) -> None:
        """Has the source controller fetch, and waits for the branch's head."""
        head = self.git("rev-parse", "HEAD")
        self._request(GIT_REPOSITORIES, "fleet")

        def fetched(item: Object) -> bool:
            return item.get("status", {}).get("artifact", {}).get("revision", "").endswith(head)

        self.place.wait(GIT_REPOSITORIES, "fleet", fetched)

    def request(self, name: str = "apps") -> str:
        """Asks for a pass; its token."""
        return self._request(KUSTOMIZATIONS, name)

    def finished(self, token: str, name: str = "apps") -> Object:
        """The Kustomization after the pass with this token."""

        def over(item: Object) -> bool:
            return item.get("status", {}).get("lastHandledReconcileAt") == token

        return self.place.wait(KUSTOMIZATIONS, name, over)

    def reconcile(self, name: str = "apps") -> Object:
        """Fetches, has one pass made, and waits for its end."""
        self.refresh()
        return self.finished(self.request(name), name)

    def apply(self, *items: Object, path: str = "apps/all.yaml", name: str = "apps") -> Object:
        """Writes one file, pushes, reconciles."""
        self.write(path, *items)
        self.push()
        return self.reconcile(name)

    def _request(self, resource: Any, name: str) -> str:
        token = f"token-{next(_TOKENS)}"
        body = {"metadata": {"annotations": {REQUESTED_AT: token}}}
        self.place.client.patch(resource, name, body, self.place.namespace, field_manager="flux")
        return token

    # -- holding ----------------------------------------------------------------------------------

    def hold(self, *points: str, name: str = "apps") -> None:
        """Stops the next passes at these points; no points lets them go on."""
        body = {"metadata": {"annotations": {HOLD: ",".join(points) or None}}}
        self.place.client.patch(KUSTOMIZATIONS, name, body, self.place.namespace, field_manager="test")

    def wait_held(self, point: str, name: str = "apps") -> None:
        def at_point(item: Object) -> bool:
            return item["metadata"].get("annotations", {}).get(HELD_AT) == point

        self.place.wait(KUSTOMIZATIONS, name, at_point)

    # -- live objects -----------------------------------------------------------------------------

    def live(self, name: str = "data") -> Object | None:
        """The live claim of that name, None when it is gone or on its way."""
        found = self.place.get(PERSISTENT_VOLUME_CLAIMS, name)
        return None if found is None or found["metadata"].get("deletionTimestamp") else found

    def live_config(self, name: str) -> Object | None:
        return self.place.get(CONFIG_MAPS, name)

    def edit(
        self, resource: Any, name: str, metadata: dict[str, Any], *, manager: str = "kubectl-annotate"
    ) -> Object:
        """A live edit of metadata, as somebody (`manager`) makes it."""
        return self.place.client.patch(
            resource, name, {"metadata": metadata}, self.place.namespace, field_manager=manager
        )

    def annotate(self, value: str | None, name: str = "data", *, manager: str = "kubectl-annotate") -> Object:
        return self.edit(PERSISTENT_VOLUME_CLAIMS, name, {"annotations": {PRUNE: value}}, manager=manager)

    def remove(self) -> None:
        """Takes the Kustomizations away before the namespace goes: their finalizers need the controllers."""
        for name in self.names:
            self.place.client.delete(KUSTOMIZATIONS, name, self.place.namespace)
        self.place.client.delete(GIT_REPOSITORIES, "fleet", self.place.namespace)
        until(
            lambda: not self.place.client.list(KUSTOMIZATIONS, self.place.namespace),
            timeout_s=20,
            what="the Kustomizations gone",
        )


def new_fleet(place: Place, directory: Path) -> Fleet:
    """A bare repository with an empty apps directory, cloned, and a GitRepository that fetches it."""
    bare, work = directory / "fleet.git", directory / "work"
    fleet = Fleet(place, work, bare)
    work.mkdir(parents=True)
    fleet.git("init", "-q", "--initial-branch=main", ".")
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", str(bare)], check=True)
    fleet.git("remote", "add", "origin", str(bare))
    fleet.write("apps/readme.yaml")
    fleet.push("Start")
    spec = {"interval": "1h", "url": f"file://{bare}", "ref": {"branch": "main"}}
    place.create(GIT_REPOSITORIES, "fleet", metadata={"annotations": {MANUAL: "true"}}, spec=spec)
    return fleet


def inventory(item: Object) -> set[str]:
    """The ids in a Kustomization's inventory."""
    return {entry["id"] for entry in item["status"].get("inventory", {}).get("entries", [])}


def condition_of(item: Object, kind: str = "Ready") -> Object:
    """A condition whatever its status; empty when it is not there."""
    return next((one for one in item["status"].get("conditions", []) if one["type"] == kind), {})
