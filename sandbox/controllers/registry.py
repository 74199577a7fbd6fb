"""The list of all controllers (the kubelet is added where the isolation mode is known)."""

from __future__ import annotations

from sandbox.controllers.cluster.garbage import GarbageCollector
from sandbox.controllers.cluster.namespaces import NamespaceLifecycle
from sandbox.controllers.cluster.serviceaccounts import DefaultServiceAccounts
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.storage.attach import Attacher
from sandbox.controllers.storage.binder import Binder
from sandbox.controllers.storage.ephemeral import EphemeralVolumes
from sandbox.controllers.storage.expansion import Expander
from sandbox.controllers.storage.protection import ClaimProtection, VolumeProtection
from sandbox.controllers.storage.provisioner import Provisioner, Reclaimer
from sandbox.controllers.storage.snapshots import SnapshotBinder, Snapshotter
from sandbox.controllers.workloads.cronjobs import CronJobs
from sandbox.controllers.workloads.daemonsets import DaemonSets
from sandbox.controllers.workloads.deployments import Deployments
from sandbox.controllers.workloads.jobs import JobController
from sandbox.controllers.workloads.replicasets import ReplicaSets
from sandbox.controllers.workloads.scheduler import Scheduler
from sandbox.controllers.workloads.statefulsets import StatefulSets

_ALL: tuple[type[Controller], ...] = (
    Binder,
    Provisioner,
    Reclaimer,
    Attacher,
    ClaimProtection,
    VolumeProtection,
    Expander,
    EphemeralVolumes,
    SnapshotBinder,
    Snapshotter,
    Scheduler,
    JobController,
    ReplicaSets,
    Deployments,
    StatefulSets,
    DaemonSets,
    CronJobs,
    DefaultServiceAccounts,
    NamespaceLifecycle,
)


def build_controllers(context: Context) -> list[Controller]:
    controllers = [build(context) for build in _ALL]
    collector = GarbageCollector(context)
    collector.prepare()
    return [*controllers, collector]
