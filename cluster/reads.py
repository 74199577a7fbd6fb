"""Reads of core, workload, storage and snapshot objects. `fresh=False` allows a cached, cheaper, perhaps stale answer:
fine for pages, never for a gate."""

from __future__ import annotations

from datetime import datetime

from cluster.transport import Transport
from cluster.values import (
    Autoscaler,
    Claim,
    DisruptionBudget,
    Event,
    JobStatus,
    LimitRange,
    Manifest,
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


class Reads(Transport):
    def get_claim(self, namespace: str, name: str) -> Claim | None:
        raise NotImplementedError

    def list_claims(
        self, namespace: str | None = None, label_selector: str = "", *, fresh: bool = True
    ) -> list[Claim]:
        raise NotImplementedError

    def get_volume(self, name: str) -> Volume | None:
        raise NotImplementedError

    def list_volumes(self, *, fresh: bool = True) -> list[Volume]:
        raise NotImplementedError

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        raise NotImplementedError

    def list_pods(
        self, namespace: str | None = None, label_selector: str = "", *, fresh: bool = True
    ) -> list[Pod]:
        raise NotImplementedError

    def get_workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """kind: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob."""
        raise NotImplementedError

    def list_workloads(
        self, kind: str, namespace: str | None = None, label_selector: str = "", *, fresh: bool = True
    ) -> list[Workload]:
        raise NotImplementedError

    def get_job(self, namespace: str, name: str) -> JobStatus | None:
        raise NotImplementedError

    def list_jobs(self, namespace: str | None = None, label_selector: str = "") -> list[JobStatus]:
        raise NotImplementedError

    def pods_of_job(self, job: JobStatus) -> list[Pod]:
        """Its pods by label batch.kubernetes.io/controller-uid, newest first."""
        raise NotImplementedError

    def get_namespace(self, name: str) -> Namespace | None:
        raise NotImplementedError

    def list_namespaces(self, *, fresh: bool = True) -> list[Namespace]:
        raise NotImplementedError

    def get_storage_class(self, name: str) -> StorageClass | None:
        raise NotImplementedError

    def list_storage_classes(self) -> list[StorageClass]:
        raise NotImplementedError

    def list_volume_attachments(self, volume_name: str = "") -> list[VolumeAttachment]:
        raise NotImplementedError

    def get_snapshot(self, namespace: str, name: str) -> Snapshot | None:
        raise NotImplementedError

    def list_snapshots(self, namespace: str | None = None, *, fresh: bool = True) -> list[Snapshot]:
        """Empty where snapshots are not served."""
        raise NotImplementedError

    def get_snapshot_content(self, name: str) -> SnapshotContent | None:
        raise NotImplementedError

    def list_snapshot_contents(self) -> list[SnapshotContent]:
        raise NotImplementedError

    def list_snapshot_classes(self) -> list[SnapshotClass]:
        raise NotImplementedError

    def list_quotas(self, namespace: str) -> list[Quota]:
        raise NotImplementedError

    def list_limit_ranges(self, namespace: str) -> list[LimitRange]:
        raise NotImplementedError

    def list_autoscalers(self, namespace: str | None = None) -> list[Autoscaler]:
        """HorizontalPodAutoscalers, and KEDA ScaledObjects where served."""
        raise NotImplementedError

    def list_disruption_budgets(self, namespace: str | None = None) -> list[DisruptionBudget]:
        raise NotImplementedError

    def events_of(self, uid: str, namespace: str) -> list[Event]:
        """Events about the object with that UID, oldest first."""
        raise NotImplementedError

    def pod_logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        since: datetime | None = None,
        limit_bytes: int = 262144,
    ) -> list[tuple[datetime, str]]:
        """Lines as (time, text); empty when the container has not started. Lines at `since` may come again."""
        raise NotImplementedError

    def get_object(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """Any object as it is, without managedFields; for records (persist before you delete) and for comparing."""
        raise NotImplementedError
