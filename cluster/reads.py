"""Reads of core, workload, storage and snapshot objects.

`get_*` asks the server anew and gives None where there is nothing. `fresh=False` allows a cached, cheaper, perhaps stale list: fine for
pages, never for a gate. Lists of kinds that the cluster does not serve are empty.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from cluster import decode, decode_workloads, wire, wire_workloads
from cluster.answers import Asked
from cluster.base import Manifest, Ref
from cluster.errors import Forbidden, Invalid, NotFound, Unsupported
from cluster.listing import Collections, Noun
from cluster.values import (
    Autoscaler,
    Claim,
    DisruptionBudget,
    Event,
    JobStatus,
    LimitRange,
    Namespace,
    Pod,
    Quota,
    Snapshot,
    SnapshotClass,
    SnapshotContent,
    StorageClass,
    Volume,
    VolumeAttachment,
    Workload,
)

CLAIM = Noun("PersistentVolumeClaim", wire.ClaimW, decode.claim)
VOLUME = Noun("PersistentVolume", wire.VolumeW, decode.volume)
POD = Noun("Pod", wire_workloads.PodW, decode_workloads.pod)
WORKLOAD = Noun("", wire_workloads.WorkloadW, decode_workloads.workload)
JOB = Noun("Job", wire_workloads.WorkloadW, decode_workloads.job)
NAMESPACE = Noun("Namespace", wire.NamespaceW, decode.namespace)
STORAGE_CLASS = Noun("StorageClass", wire.StorageClassW, decode.storage_class)
ATTACHMENT = Noun("VolumeAttachment", wire.AttachmentW, decode.attachment)
SNAPSHOT = Noun("VolumeSnapshot", wire.SnapshotW, decode.snapshot)
SNAPSHOT_CONTENT = Noun("VolumeSnapshotContent", wire.SnapshotContentW, decode.snapshot_content)
SNAPSHOT_CLASS = Noun("VolumeSnapshotClass", wire.SnapshotClassW, decode.snapshot_class)
QUOTA = Noun("ResourceQuota", wire.QuotaW, decode.quota)
LIMIT_RANGE = Noun("LimitRange", wire.LimitRangeW, decode.limit_range)
EVENT = Noun("Event", wire.EventW, decode.event)
AUTOSCALER = Noun("HorizontalPodAutoscaler", wire_workloads.AutoscalerW, decode_workloads.autoscaler)
BUDGET = Noun("PodDisruptionBudget", wire_workloads.BudgetW, decode_workloads.budget)
WORKLOAD_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
NOISE = ("managedFields", "selfLink")


class Reads(Collections):
    """Nouns of the core, apps, batch, storage, snapshot, autoscaling and policy groups."""

    def get_claim(self, namespace: str, name: str) -> Claim | None:
        return self._get(CLAIM, namespace, name)

    def list_claims(
        self, namespace: str | None = None, label_selector: str = "", *, fresh: bool = True
    ) -> list[Claim]:
        return self._list(CLAIM, namespace, label_selector, fresh=fresh)

    def get_volume(self, name: str) -> Volume | None:
        return self._get(VOLUME, "", name)

    def list_volumes(self, *, fresh: bool = True) -> list[Volume]:
        return self._list(VOLUME, fresh=fresh)

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        return self._get(POD, namespace, name)

    def list_pods(
        self, namespace: str | None = None, label_selector: str = "", *, fresh: bool = True
    ) -> list[Pod]:
        return self._list(POD, namespace, label_selector, fresh=fresh)

    def get_workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """kind: one of `WORKLOAD_KINDS`, or a custom kind that is served and has replicas."""
        return self._get(WORKLOAD, namespace, name, kind=kind)

    def list_workloads(
        self, kind: str, namespace: str | None = None, label_selector: str = "", *, fresh: bool = True
    ) -> list[Workload]:
        return self._list(WORKLOAD, namespace, label_selector, fresh=fresh, kind=kind)

    def get_job(self, namespace: str, name: str) -> JobStatus | None:
        return self._get(JOB, namespace, name)

    def list_jobs(self, namespace: str | None = None, label_selector: str = "") -> list[JobStatus]:
        return self._list(JOB, namespace, label_selector)

    def pods_of_job(self, job: JobStatus) -> list[Pod]:
        """Its pods by label batch.kubernetes.io/controller-uid, newest first; not those that only carry the label."""
        found = self.list_pods(job.namespace, f"batch.kubernetes.io/controller-uid={job.uid}")
        pods = [pod for pod in found if pod.controller is not None and pod.controller.uid == job.uid]
        return sorted(
            pods, key=lambda pod: (pod.created_at or datetime.min.replace(tzinfo=UTC), pod.name), reverse=True
        )

    def get_namespace(self, name: str) -> Namespace | None:
        return self._get(NAMESPACE, "", name)

    def list_namespaces(self, *, fresh: bool = True) -> list[Namespace]:
        return self._list(NAMESPACE, fresh=fresh)

    def get_storage_class(self, name: str) -> StorageClass | None:
        return self._get(STORAGE_CLASS, "", name)

    def list_storage_classes(self) -> list[StorageClass]:
        return self._list(STORAGE_CLASS)

    def list_volume_attachments(self, volume_name: str = "") -> list[VolumeAttachment]:
        """All, or those of one volume."""
        return [a for a in self._list(ATTACHMENT) if volume_name in ("", a.volume_name)]

    def get_snapshot(self, namespace: str, name: str) -> Snapshot | None:
        return self._get(SNAPSHOT, namespace, name)

    def list_snapshots(self, namespace: str | None = None, *, fresh: bool = True) -> list[Snapshot]:
        return self._list(SNAPSHOT, namespace, fresh=fresh)

    def get_snapshot_content(self, name: str) -> SnapshotContent | None:
        return self._get(SNAPSHOT_CONTENT, "", name)

    def list_snapshot_contents(self) -> list[SnapshotContent]:
        return self._list(SNAPSHOT_CONTENT)

    def list_snapshot_classes(self) -> list[SnapshotClass]:
        return self._list(SNAPSHOT_CLASS)

    def list_quotas(self, namespace: str) -> list[Quota]:
        return self._list(QUOTA, namespace)

    def list_limit_ranges(self, namespace: str) -> list[LimitRange]:
        return self._list(LIMIT_RANGE, namespace)

    def list_autoscalers(self, namespace: str | None = None) -> list[Autoscaler]:
        """HorizontalPodAutoscalers, and KEDA ScaledObjects where served."""
        return self._list(AUTOSCALER, namespace) + self._list(AUTOSCALER, namespace, kind="ScaledObject")

    def list_disruption_budgets(self, namespace: str | None = None) -> list[DisruptionBudget]:
        """Empty where we may not list them: they are shown, nothing is decided by them."""
        try:
            return self._list(BUDGET, namespace)
        except Forbidden:
            return []

    def events_of(self, uid: str, namespace: str = "") -> list[Event]:
        """Events about the object with that UID, oldest first."""
        events = self._list(EVENT, namespace, field_selector=f"involvedObject.uid={uid}")
        return sorted(events, key=lambda e: e.last_at or e.created_at or datetime.min.replace(tzinfo=UTC))

    def list_claim_events(self) -> list[Event]:
        """Events about claims of all namespaces, oldest first; from the server's cache."""
        events = self._list(
            EVENT, None, field_selector="involvedObject.kind=PersistentVolumeClaim", fresh=False
        )
        return sorted(events, key=lambda e: e.last_at or e.created_at or datetime.min.replace(tzinfo=UTC))

    def pod_logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        since: datetime | None = None,
        limit_bytes: int = 262144,
    ) -> list[tuple[datetime, str]]:
        """Lines as (time, text), those of the second of `since` again; empty when the container has not started or is gone."""
        query = {"container": container, "timestamps": "true", "limitBytes": str(limit_bytes)}
        if since is not None:
            query["sinceTime"] = since.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")
        resource = self.resource("Pod")
        asked = Asked("get", Ref("v1", "Pod", namespace, pod))
        try:
            answer = self._send("GET", resource.path(namespace, pod, "log"), query, asked=asked)
        except (NotFound, Unsupported, Invalid):  # gone, or "is waiting to start"
            return []
        return [line for line in map(_log_line, answer.body.decode(errors="replace").splitlines()) if line]

    def get_object(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """Any object as it is, without managedFields; for records (persist before you delete) and for comparing."""
        ref = Ref(api_version, kind, namespace, name)
        try:
            resource = self._resource_of(ref)
            data: dict[str, Any] = self._read(resource.path(namespace, name), {}, dict, Asked("get", ref))
        except (NotFound, Unsupported):
            return None
        data = {"apiVersion": resource.api_version, "kind": kind, **data}
        data["metadata"] = {k: v for k, v in data["metadata"].items() if k not in NOISE}
        return Manifest.of(data)


def _log_line(line: str) -> tuple[datetime, str] | None:
    """`2026-11-23T01:14:12.123456789Z text`; None for a line that a rotation cut."""
    stamp, _, text = line.partition(" ")
    head, dot, fraction = stamp.rstrip("Z").partition(".")
    try:
        at = msgspec.convert(f"{head}.{fraction[:6]}Z" if dot else f"{head}Z", datetime)
    except msgspec.ValidationError:
        return None
    return at, text
