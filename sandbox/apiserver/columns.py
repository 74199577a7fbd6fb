"""The columns that `kubectl get` shows for each kind, as the real server prints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver.cells import (
    UNSET,
    attachment_cells,
    autoscaler_cells,
    claim_cells,
    created,
    cron_job_cells,
    daemon_set_cells,
    deployment_cells,
    dig,
    disruption_budget_cells,
    event_cells,
    job_cells,
    namespace_cells,
    node_cells,
    pod_cells,
    policy_cells,
    quota_cells,
    replica_set_cells,
    service_cells,
    stateful_set_cells,
    storage_class_cells,
    volume_cells,
)

Json = dict[str, Any]
Cells = Callable[[Json], list[Any]]


@dataclass(frozen=True)
class Columns:
    """Names (a leading ~ means: only with -o wide) and the function that fills them, without the name."""

    names: tuple[str, ...]
    cells: Cells


_TEMPLATE = ("~Containers", "~Images")
COLUMNS: dict[tuple[str, str], Columns] = {
    ("", "persistentvolumeclaims"): Columns(
        (
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "~VolumeMode",
        ),
        claim_cells,
    ),
    ("", "persistentvolumes"): Columns(
        (
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "~VolumeMode",
        ),
        volume_cells,
    ),
    ("", "pods"): Columns(
        ("Ready", "Status", "Restarts", "Age", "~IP", "~Node", "~Nominated Node", "~Readiness Gates"),
        pod_cells,
    ),
    ("", "namespaces"): Columns(("Status", "Age"), namespace_cells),
    ("", "nodes"): Columns(
        (
            "Status",
            "Roles",
            "Age",
            "Version",
            "~Internal-IP",
            "~External-IP",
            "~OS-Image",
            "~Kernel-Version",
            "~Container-Runtime",
        ),
        node_cells,
    ),
    ("", "events"): Columns(
        (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "~Subobject",
            "~Source",
            "Message",
            "~First Seen",
            "~Count",
            "~Name",
        ),
        event_cells,
    ),
    ("", "configmaps"): Columns(
        ("Data", "Age"),
        lambda item: [len(item.get("data") or ()) + len(item.get("binaryData") or ()), created(item)],
    ),
    ("", "secrets"): Columns(
        ("Type", "Data", "Age"),
        lambda item: [item.get("type", ""), len(item.get("data") or ()), created(item)],
    ),
    ("", "serviceaccounts"): Columns(
        ("Secrets", "Age"), lambda item: [len(item.get("secrets") or ()), created(item)]
    ),
    ("", "services"): Columns(
        ("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "~Selector"), service_cells
    ),
    ("", "resourcequotas"): Columns(("Request", "Limit", "Age"), quota_cells),
    ("", "limitranges"): Columns(("Created At",), lambda item: [item["metadata"].get("creationTimestamp")]),
    ("apps", "deployments"): Columns(
        ("Ready", "Up-to-date", "Available", "Age", *_TEMPLATE, "~Selector"), deployment_cells
    ),
    ("apps", "statefulsets"): Columns(("Ready", "Age", *_TEMPLATE), stateful_set_cells),
    ("apps", "replicasets"): Columns(
        ("Desired", "Current", "Ready", "Age", *_TEMPLATE, "~Selector"), replica_set_cells
    ),
    ("apps", "daemonsets"): Columns(
        (
            "Desired",
            "Current",
            "Ready",
            "Up-to-date",
            "Available",
            "Node Selector",
            "Age",
            *_TEMPLATE,
            "~Selector",
        ),
        daemon_set_cells,
    ),
    ("batch", "jobs"): Columns(
        ("Status", "Completions", "Duration", "Age", *_TEMPLATE, "~Selector"), job_cells
    ),
    ("batch", "cronjobs"): Columns(
        ("Schedule", "Timezone", "Suspend", "Active", "Last Schedule", "Age", *_TEMPLATE, "~Selector"),
        cron_job_cells,
    ),
    ("autoscaling", "horizontalpodautoscalers"): Columns(
        ("Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"), autoscaler_cells
    ),
    ("policy", "poddisruptionbudgets"): Columns(
        ("Min Available", "Max Unavailable", "Allowed Disruptions", "Age"), disruption_budget_cells
    ),
    ("storage.k8s.io", "storageclasses"): Columns(
        ("Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
        storage_class_cells,
    ),
    ("storage.k8s.io", "volumeattachments"): Columns(
        ("Attacher", "PV", "Node", "Attached", "Age"), attachment_cells
    ),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): Columns(
        ("Webhooks", "Age"), lambda item: [len(item.get("webhooks") or ()), created(item)]
    ),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): Columns(
        ("Webhooks", "Age"), lambda item: [len(item.get("webhooks") or ()), created(item)]
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): Columns(
        ("Validations", "ParamKind", "Age"), policy_cells
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): Columns(
        ("PolicyName", "ParamRef", "Age"),
        lambda item: [dig(item, "spec.policyName", ""), UNSET, created(item)],
    ),
    ("coordination.k8s.io", "leases"): Columns(
        ("Holder", "Age"), lambda item: [dig(item, "spec.holderIdentity", ""), created(item)]
    ),
    ("rbac.authorization.k8s.io", "rolebindings"): Columns(
        ("Role", "Age"),
        lambda item: [f"{dig(item, 'roleRef.kind')}/{dig(item, 'roleRef.name')}", created(item)],
    ),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): Columns(
        ("Role", "Age"),
        lambda item: [f"{dig(item, 'roleRef.kind')}/{dig(item, 'roleRef.name')}", created(item)],
    ),
}
DEFAULT = Columns(("Age",), lambda item: [created(item)])
CREATED_AT = Columns(("Created At",), lambda item: [item["metadata"].get("creationTimestamp")])
EVENTS = ("", "events")
