"""Renders every object that a migration creates. Pure: the same migration gives the same objects, so plans have a digest."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from cluster.values import Manifest
from migrations_app.models import Migration, Transfer
from worker.context import LABEL
from worker.quantities import quantity
from worker.workload_list import all_workloads

PROTECT = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}
# A faithful copy keeps owners, modes, device nodes and file capabilities; baseline Pod Security admits these.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"]
# Far above what any pass takes; what counts as stuck is shown on the page long before.
JOB_DEADLINE_S = 7 * 24 * 3600


def labels(migration: Migration, transfer: Transfer, role: str, **more: str) -> dict[str, str]:
    """The labels by which an object of ours is known again and adopted."""
    found = {
        "app.kubernetes.io/managed-by": "holdfast",
        LABEL: migration.reference,
        "holdfast.dev/transfer": str(transfer.number),
        "holdfast.dev/role": role,
    }
    return found | {f"holdfast.dev/{key}": value for key, value in more.items()}


def staging_name(migration: Migration, transfer: Transfer) -> str:
    """The name of the claim that receives the copy."""
    if migration.within_namespace:
        return transfer.destination_name
    return f"hf-{migration.reference}-{transfer.number}-staging"


def target_claim(migration: Migration, transfer: Transfer) -> Manifest:
    """The claim that the mover fills: staging, or within one namespace the destination itself, protected at once."""
    if migration.within_namespace:
        return destination_claim(migration, transfer, volume_name="")
    return _claim(
        name=staging_name(migration, transfer),
        namespace=migration.source_namespace,
        labels=labels(migration, transfer, "staging"),
        annotations={"holdfast.dev/source-uid": transfer.source_uid},
        transfer=transfer,
    )


def destination_claim(migration: Migration, transfer: Transfer, *, volume_name: str) -> Manifest:
    """The claim that the application will use. Its labels and annotations are the source's, plus protection and ours."""
    claim = transfer.facts.get("claim", {})
    return _claim(
        name=transfer.destination_name,
        namespace=migration.destination_namespace,
        labels={**claim.get("labels", {}), **labels(migration, transfer, "destination")},
        annotations={**claim.get("annotations", {}), **PROTECT},
        transfer=transfer,
        volume_name=volume_name,
    )


def source_claim_again(migration: Migration, transfer: Transfer) -> Manifest:
    """The source claim as it was, on its kept volume, protected: for Undo."""
    claim = transfer.facts["claim"]
    return Manifest.of(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": transfer.source_name,
                "namespace": migration.source_namespace,
                "labels": {**claim["labels"], LABEL: migration.reference},
                "annotations": {**claim["annotations"], **PROTECT},
            },
            "spec": {
                "accessModes": claim["access_modes"],
                "storageClassName": claim["class"],
                "volumeMode": claim["volume_mode"],
                "volumeName": transfer.source_volume,
                "resources": {"requests": {"storage": quantity(claim["requested_bytes"])}},
            },
        }
    )


def _claim(
    *,
    name: str,
    namespace: str,
    labels: dict[str, str],
    annotations: dict[str, str],
    transfer: Transfer,
    volume_name: str = "",
) -> Manifest:
    spec: dict[str, Any] = {
        "accessModes": transfer.access_modes,
        "storageClassName": transfer.destination_class,
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": quantity(transfer.destination_bytes)}},
    }
    if volume_name:
        spec["volumeName"] = volume_name
    return Manifest.of(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
            "spec": spec,
        }
    )


def job_name(migration: Migration, transfer: Transfer, purpose: str, attempt: int, sequence: int = 1) -> str:
    """Derived from what it is for, so that a Job that was created and not recorded is found again, never doubled."""
    tail = f"-{sequence}" if sequence > 1 else ""
    return f"hf-{migration.reference}-{purpose}-{transfer.number}-{attempt}{tail}"


def mover_job(
    migration: Migration,
    transfer: Transfer,
    *,
    purpose: str,
    attempt: int,
    sequence: int = 1,
    final: bool = True,
    place: Mapping[str, str] | None = None,
    adopt: bool = False,
) -> Manifest:
    """A Job for `purpose`: warm, copy, verify or digest. The source is read-only, at the volume and at the mount.

    `place`: the node of the pod that uses the source, and what that pod tolerates (`worker.beside`). `adopt`: an earlier verify may have proven the staging volume, which takes the mover's mark away.
    """
    role_labels = labels(migration, transfer, "mover", step=purpose, attempt=str(attempt))
    name = job_name(migration, transfer, purpose, attempt, sequence)
    # A mover that got a sidecar from a service mesh would never end.
    pod_labels = {**role_labels, "sidecar.istio.io/inject": "false"}
    return Manifest.of(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": migration.source_namespace, "labels": role_labels},
            "spec": {
                "parallelism": 1,
                "completions": 1,
                "backoffLimit": 2,
                "activeDeadlineSeconds": JOB_DEADLINE_S,
                # Two movers must never overlap: the next pod starts when the last one has ended.
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": {
                    "rules": [
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                        # Differences, bad usage and I/O errors do not get better by themselves.
                        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2, 3]}},
                    ]
                },
                "template": {
                    "metadata": {"labels": pod_labels, "annotations": {"linkerd.io/inject": "disabled"}},
                    "spec": _pod_spec(migration, transfer, purpose, final=final, place=place, adopt=adopt),
                },
            },
        }
    )


def pod_of(job: Manifest) -> Manifest:
    """The pod that the Job would make, for a dry run: admission of pods says nothing about Jobs."""
    data = job.data
    template = data["spec"]["template"]
    metadata = {**template["metadata"], "name": f"{job.name}-probe", "namespace": job.namespace}
    return Manifest.of({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})


def _pod_spec(
    migration: Migration,
    transfer: Transfer,
    purpose: str,
    *,
    final: bool,
    place: Mapping[str, str] | None,
    adopt: bool,
) -> dict[str, Any]:
    mounts = [
        {"name": "source", "mountPath": "/source", "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a path in the pod
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "source", "persistentVolumeClaim": {"claimName": transfer.source_name, "readOnly": True}},
        {"name": "scratch", "emptyDir": {}},
    ]
    if purpose != "digest":
        mounts.append({"name": "destination", "mountPath": "/destination"})
        volumes.append(
            {"name": "destination", "persistentVolumeClaim": {"claimName": staging_name(migration, transfer)}}
        )
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        # No fsGroup: it would change owners and modes of the source when it is mounted.
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "mover",
                "image": settings.HOLDFAST_MOVER_IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": _command(migration, transfer, purpose, final=final, adopt=adopt),
                "resources": {
                    "requests": {"cpu": "250m", "memory": "256Mi"},
                    "limits": {"cpu": "4", "memory": "768Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"], "add": CAPABILITIES},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
        **_placement(transfer, place or {}),
    }


def _command(
    migration: Migration, transfer: Transfer, purpose: str, *, final: bool, adopt: bool
) -> list[str]:
    base = ["python", "-m", "mover"]
    if purpose == "digest":
        command = [*base, "digest", "--tree", "/source"]
    elif purpose == "verify":
        command = [*base, "verify", "--source", "/source", "--destination", "/destination"]
    else:
        command = [*base, "copy", "--source", "/source", "--destination", "/destination"]
        command += ["--pass", "final" if final else "warm", "--staging-mark", mark(migration, transfer)]
        command += ["--adopt"] if adopt else []
    for option, value in sorted(migration.limits.items()):
        if option in {"bandwidth", "iops"} and value and purpose in {"warm", "copy"}:
            command += [f"--{option}", str(value)]
    return [*command, "--result", "/dev/termination-log"]


def mark(migration: Migration, transfer: Transfer) -> str:
    """What the mover writes into an empty staging volume, and must find there before it removes anything."""
    return f"{migration.reference}/{transfer.number}/{transfer.source_uid}"


def _placement(transfer: Transfer, place: Mapping[str, str]) -> dict[str, Any]:
    """Beside the application while it runs; otherwise where the application may run, since the Job fixes the volume's zone."""
    if node := place.get("node"):
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
        affinity = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
        tolerations = place.get("tolerations")
        return {"affinity": affinity, **({"tolerations": json.loads(tolerations)} if tolerations else {})}
    found: dict[str, Any] = {}
    for workload in all_workloads([transfer])[:1]:
        for key, field in (("node_selector", "nodeSelector"), ("tolerations", "tolerations")):
            if workload[key]:
                found[field] = json.loads(workload[key])
        if workload["affinity"]:
            # The application's own affinity to nodes; not to pods, which may all be gone by then.
            node_affinity = json.loads(workload["affinity"]).get("nodeAffinity")
            if node_affinity:
                found["affinity"] = {"nodeAffinity": node_affinity}
    return {key: value for key, value in found.items() if value}
