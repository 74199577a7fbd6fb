"""A namespace of one test, and short ways to make claims, Jobs and pods in it and to wait for them."""

import os
import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.kinds import (
    EVENTS,
    JOBS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
    VOLUME_SNAPSHOT_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
    Resource,
)
from tests.support.waiting import until

PATIENCE_S = 30.0
BLOCK = os.environ.get("HOLDFAST_TEST_STORAGE_CLASS", "ceph-block")
SHELL_IMAGE = "alpine"


@dataclass
class Place:
    client: Client
    namespace: str
    others: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    # -- making -----------------------------------------------------------------------------------

    def another(self) -> "Place":
        """A second namespace, removed with this one."""
        made = new_place(self.client)
        self.others.append(made.namespace)
        return made

    def create(self, resource: Resource, name: str, **body: Any) -> Object:
        meta = {"name": name, **body.pop("metadata", {})}
        return self.client.create(
            resource, {"metadata": meta, **body}, self.namespace if resource.namespaced else ""
        )

    def claim(self, name: str = "data", *, size: str = "1Gi", **spec: Any) -> Object:
        wanted = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": BLOCK,
            "resources": {"requests": {"storage": size}},
            **spec,
        }
        return self.create(PERSISTENT_VOLUME_CLAIMS, name, spec=wanted)

    def bound_claim(self, name: str = "data", **spec: Any) -> tuple[Object, Object]:
        """A claim and its volume, bound."""
        self.claim(name, **spec)
        return self.wait_bound(name)

    def pod_spec(self, script: str, claims: dict[str, str] | None = None, **changes: Any) -> Object:
        """A pod that runs a shell script; claims: mount path -> claim."""
        container = {
            "name": "main",
            "image": SHELL_IMAGE,
            "command": ["/bin/sh", "-c", script],
            "volumeMounts": [
                {"name": f"v{number}", "mountPath": path} for number, path in enumerate(claims or {})
            ],
            **changes.pop("container", {}),
        }
        return {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "containers": [container],
            "volumes": [
                {"name": f"v{number}", "persistentVolumeClaim": {"claimName": name}}
                for number, name in enumerate((claims or {}).values())
            ],
            **changes,
        }

    def job(
        self, name: str, script: str, claims: dict[str, str] | None = None, *, pod: Any = None, **spec: Any
    ) -> Object:
        template = {"spec": self.pod_spec(script, claims, **(pod or {}))}
        return self.create(JOBS, name, spec={"backoffLimit": 0, "template": template, **spec})

    def run(self, script: str, claims: dict[str, str] | None = None, *, keep: bool = False) -> str:
        """Runs a script in a Job to its success; what it printed. The Job and its pod go afterwards."""
        name = f"run-{secrets.token_hex(3)}"
        self.job(name, script, claims)
        job = self.wait_finished(name)
        pod = self.pods_of(name)[0]
        text = self.client.logs(pod["metadata"]["name"], self.namespace)
        assert condition(job, "Complete"), f"{job['status']} {text}"
        if not keep:
            self.delete_job(name)
        return text

    def snapshot(self, name: str, claim: str) -> Object:
        """A snapshot of a claim, ready to use."""
        driver = self.client.get(STORAGE_CLASSES, BLOCK)["provisioner"]
        classes = [item for item in self.client.list(VOLUME_SNAPSHOT_CLASSES) if item["driver"] == driver]
        if not classes:
            pytest.skip(f"no snapshot class for {driver}")
        source = {"persistentVolumeClaimName": claim}
        class_name = classes[0]["metadata"]["name"]
        self.create(VOLUME_SNAPSHOTS, name, spec={"volumeSnapshotClassName": class_name, "source": source})
        return self.wait(VOLUME_SNAPSHOTS, name, lambda item: item.get("status", {}).get("readyToUse"))

    # -- waiting ----------------------------------------------------------------------------------

    def get(self, resource: Resource, name: str) -> Object | None:
        return self.client.find(resource, name, self.namespace if resource.namespaced else "")

    def wait(self, resource: Resource, name: str, holds: Any, timeout_s: float = PATIENCE_S) -> Object:
        """The object once `holds(object)` is true of it."""

        def ask() -> Object | None:
            item = self.get(resource, name)
            assert item is not None and holds(item), (item or {}).get("status", "not there")
            return item

        found = until(ask, timeout_s=timeout_s, what=f"{resource.kind} {name}")
        assert found is not None
        return found

    def wait_gone(self, resource: Resource, name: str) -> None:
        until(lambda: self.get(resource, name) is None, timeout_s=PATIENCE_S, what=f"{name} gone")

    def wait_phase(self, resource: Resource, name: str, phase: str) -> Object:
        return self.wait(resource, name, lambda item: item.get("status", {}).get("phase") == phase)

    def wait_bound(self, name: str) -> tuple[Object, Object]:
        claim = self.wait_phase(PERSISTENT_VOLUME_CLAIMS, name, "Bound")
        volume = self.wait_phase(PERSISTENT_VOLUMES, claim["spec"]["volumeName"], "Bound")
        self.volumes.append(volume["metadata"]["name"])
        return claim, volume

    def wait_finished(self, name: str, timeout_s: float = PATIENCE_S) -> Object:
        def over(job: Object) -> bool:
            return condition(job, "Complete") or condition(job, "Failed")

        return self.wait(JOBS, name, over, timeout_s)

    def pods_of(self, job: str) -> list[Object]:
        return self.client.list(PODS, self.namespace, label_selector=f"batch.kubernetes.io/job-name={job}")

    def wait_events(self, name: str, reason: str) -> list[Object]:
        def ask() -> list[Object]:
            selector = f"involvedObject.name={name},reason={reason}"
            return self.client.list(EVENTS, self.namespace, field_selector=selector)

        return until(ask, timeout_s=PATIENCE_S, what=f"event {reason} of {name}")

    # -- removing ---------------------------------------------------------------------------------

    def delete_job(self, name: str) -> None:
        self.client.delete(JOBS, name, self.namespace, propagation="Background")
        until(lambda: not self.pods_of(name), timeout_s=PATIENCE_S, what=f"pods of {name} gone")

    def remove_namespace(self) -> None:
        self.client.delete(NAMESPACES, self.namespace)

    def remove(self) -> None:
        for name in (self.namespace, *self.others):
            self.client.delete(NAMESPACES, name)
        for name in self.volumes:
            try:
                self.client.patch(
                    PERSISTENT_VOLUMES, name, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
                )
            except ApiError as error:
                if not error.not_found:  # it may have gone with its claim
                    raise
        for content in self._contents():
            self.client.delete(VOLUME_SNAPSHOT_CONTENTS, content["metadata"]["name"])

    def _contents(self) -> list[Object]:
        names = {self.namespace, *self.others}
        return [
            item
            for item in self.client.list(VOLUME_SNAPSHOT_CONTENTS)
            if item["spec"].get("volumeSnapshotRef", {}).get("namespace") in names
        ]


def new_place(client: Client) -> Place:
    name = f"contract-{secrets.token_hex(4)}"
    client.create(NAMESPACES, {"metadata": {"name": name}})
    return Place(client, name)


def condition(item: Object, kind: str) -> Object | None:
    """A condition that is True."""
    for entry in item.get("status", {}).get("conditions") or []:
        if entry["type"] == kind and entry["status"] == "True":
            return dict(entry)
    return None
