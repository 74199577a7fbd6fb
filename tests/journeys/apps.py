"""A small application outside of Git, in namespaces of its own: many tests share one sandbox this way."""

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrations_app.models import GitMode, Migration
from tests.journeys.driving import Driver
from tests.support.waiting import until


@dataclass
class App:
    """Deployment `app` with claim `data`, and an empty destination namespace beside it."""

    driver: Driver
    source: str
    destination: str

    def draft(self, **changes: Any) -> Migration:
        return self.driver.draft(**self._wanted(changes))

    def checked(self, **changes: Any) -> Migration:
        return self.driver.checked(**self._wanted(changes))

    def started(self, **changes: Any) -> Migration:
        return self.driver.started(**self._wanted(changes))

    def _wanted(self, changes: dict[str, Any]) -> dict[str, Any]:
        return {
            "namespace": self.source,
            "destination": self.destination,
            "application": "app",
            "claims": ["data"],
            "owner": {},
            "git_mode": GitMode.NONE,
            "warm_passes": 0,
            **changes,
        }

    def directory(self, claim: str = "data", namespace: str = "") -> Path:
        found = self.driver.adapter.get_claim(namespace or self.source, claim)
        assert found is not None and found.volume_name
        return self.driver.volume_directory(found.volume_name)

    def deploy_in_destination(self, claim: str = "data") -> None:
        apply(self.driver, deployment(self.destination, claim))


def make_app(driver: Driver, *, storage_class: str = "ceph-block", files: int = 20) -> App:
    """Creates it and waits until its pod runs and its volume holds files."""
    tag = uuid.uuid4().hex[:6]
    source, destination = f"from-{tag}", f"to-{tag}"
    for name in (source, destination):
        apply(driver, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    apply(driver, claim_manifest(source, "data", storage_class=storage_class))
    apply(driver, deployment(source, "data"))
    app = App(driver, source, destination)
    until(lambda: ready(driver, source), timeout_s=60, what="the application")
    fill(app.directory(), files)
    return app


def make_claim(driver: Driver) -> App:
    """Two namespaces and a bound claim `data` that nothing uses: enough for checks."""
    tag = uuid.uuid4().hex[:6]
    app = App(driver, f"from-{tag}", f"to-{tag}")
    for name in (app.source, app.destination):
        apply(driver, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    apply(driver, claim_manifest(app.source, "data"))

    def bound() -> bool:
        claim = driver.adapter.get_claim(app.source, "data")
        return claim is not None and claim.phase == "Bound"

    until(bound, timeout_s=60, what="the claim to be bound")
    return app


def ready(driver: Driver, namespace: str) -> bool:
    return any(pod.ready for pod in driver.adapter.list_pods(namespace))


def fill(directory: Path, files: int) -> None:
    """Some of everything that a copy likes to lose."""
    (directory / "deep" / ".hidden").mkdir(parents=True)
    (directory / "empty").mkdir()
    for number in range(files):
        path = directory / "deep" / f"file {number}\n.bin"
        path.write_bytes(os.urandom(100 + number * 37))
        path.chmod(0o640 if number % 2 else 0o4755)
    (directory / ".dot").write_text("kept\n")
    os.link(directory / ".dot", directory / "deep" / "same")
    (directory / "dangling").symlink_to("/nowhere/at/all")
    with (directory / "sparse").open("wb") as sparse:
        sparse.truncate(2_000_000)
        sparse.seek(1_000_000)
        sparse.write(b"island")


def claim_manifest(
    namespace: str, name: str, *, storage_class: str = "ceph-block", size: str = "1Gi"
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
        },
    }


def deployment(namespace: str, claim: str, *, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": "app"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": "app:1",
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        }
                    ],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
                },
            },
        },
    }


def apply(driver: Driver, manifest: dict[str, Any]) -> None:
    command = [
        "kubectl",
        "--kubeconfig",
        str(driver.sandbox.kubeconfig),
        "apply",
        "--validate=false",
        "-f",
        "-",
    ]
    subprocess.run(command, input=json.dumps(manifest).encode(), check=True, capture_output=True, timeout=60)
