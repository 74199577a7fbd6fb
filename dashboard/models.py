"""What the watcher knows of clusters, kept so that pages never ask a cluster. Rows here are copies; the cluster is right."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone

from dashboard.models_protecting import GitDeclaration, ProtectionChange
from dashboard.states import (
    AT_RISK,
    Answer,
    CheckKind,
    Connection,
    CredentialsKind,
    Drift,
    Enforcement,
    Owner,
    Protection,
    PushPolicy,
    RunState,
)

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "DELETION_PATHS",
    "Claim",
    "ClaimQuerySet",
    "Cluster",
    "GitDeclaration",
    "GitOpsFact",
    "GitRepository",
    "NamespaceFact",
    "ProtectionChange",
    "ValidationResult",
    "ValidationRun",
]


# The watcher notes every 15 seconds that the cluster answered. Longer than this without, and it is not at work.
UNSEEN = timedelta(seconds=60)


class Cluster(models.Model):
    """A cluster that the watcher follows, named in the settings.

    `seen_at`: last successful answer. `away_since`: first failure since then, null while connected. A watcher that ended writes
    neither: pages ask `lost_since`. `listed_at`: last full list.
    `facts`: short JSON for pages: {"policy": {...}, "identities": {...}}.
    """

    name = models.CharField(max_length=100, unique=True)
    state = models.CharField(max_length=16, choices=Connection.choices, default=Connection.NEW)
    seen_at = models.DateTimeField(null=True, blank=True)
    away_since = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")
    server_version = models.CharField(max_length=60, blank=True, default="")
    enforcement = models.CharField(max_length=16, choices=Enforcement.choices, default=Enforcement.UNKNOWN)
    enforcement_fact = models.TextField(blank=True, default="")
    facts = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def lost_since(self) -> datetime | None:
        """Since when nothing is known of it: it does not answer the watcher, or the watcher itself says nothing. None while it is seen."""
        if self.away_since or self.seen_at is None:
            return self.away_since
        return self.seen_at if timezone.now() - self.seen_at > UNSEEN else None

    @property
    def why_lost(self) -> str:
        """The sentence for `lost_since`."""
        if self.away_since:
            return f"The cluster does not answer. {self.error}".strip()
        return "The watcher does not report: whether the cluster is well is not known. Look at the watcher's log, and start it again."

    @property
    def connection(self) -> Connection:
        return Connection.AWAY if self.lost_since else Connection(self.state)

    @property
    def deletion_policy(self) -> Enforcement:
        """What admission does about deleting a protected claim; a policy whose engine is absent is red, not green."""
        return Enforcement(self.enforcement)

    @property
    def as_of(self) -> datetime | None:
        """How old the rows may be: the last full list or watched change."""
        return self.seen_at


class ClaimQuerySet(models.QuerySet["Claim"]):
    def present(self) -> ClaimQuerySet:
        """Claims that were there when the watcher last looked."""
        return self.filter(gone_at__isnull=True)

    def at_risk(self) -> ClaimQuerySet:
        """Present claims with a path of deletion that nothing, or nothing known, guards."""
        return self.present().filter(weakest__in=AT_RISK)


class Claim(models.Model):
    """One PersistentVolumeClaim, by UID: a claim that was deleted and made again is another row.

    Each path of deletion has a state (`Protection`) and the fact behind it as a sentence. `weakest` is the worst of the paths that
    delete the claim; a volume on Retain raises it to partial, since the data outlives the claim then.
    `consumers`: list of {"kind", "name", "replicas", "ready", "pods"}. `facts`: {"layers": [{path, state, fact, covers, beyond}],
    "owner_chain": [...], "access_modes": [...], "conditions": [...], "snapshots": [...]}.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="claims")
    uid = models.CharField(max_length=64)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    phase = models.CharField(max_length=20, default="Pending")
    deleting = models.BooleanField(default=False)
    size_bytes = models.BigIntegerField(default=0)
    storage_class = models.CharField(max_length=253, blank=True, default="")
    access_modes = models.CharField(max_length=100, blank=True, default="")
    volume_name = models.CharField(max_length=253, blank=True, default="")
    reclaim_policy = models.CharField(max_length=16, blank=True, default="")
    owner_kind = models.CharField(max_length=20, choices=Owner.choices, default=Owner.NOBODY)
    owner_name = models.CharField(max_length=253, blank=True, default="")
    owner_namespace = models.CharField(max_length=253, blank=True, default="")
    owner_detail = models.TextField(blank=True, default="")

    flux_prune = models.CharField(max_length=16, choices=Protection.choices, default=Protection.UNKNOWN)
    flux_prune_fact = models.TextField(blank=True, default="")
    kubectl_delete = models.CharField(max_length=16, choices=Protection.choices, default=Protection.UNKNOWN)
    kubectl_delete_fact = models.TextField(blank=True, default="")
    namespace_delete = models.CharField(max_length=16, choices=Protection.choices, default=Protection.UNKNOWN)
    namespace_delete_fact = models.TextField(blank=True, default="")
    volume_reclaim = models.CharField(max_length=16, choices=Protection.choices, default=Protection.UNKNOWN)
    volume_reclaim_fact = models.TextField(blank=True, default="")
    weakest = models.CharField(max_length=16, choices=Protection.choices, default=Protection.UNKNOWN)
    drift = models.CharField(max_length=16, choices=Drift.choices, default=Drift.UNKNOWN)
    drift_fact = models.TextField(blank=True, default="")

    consumers = models.JSONField(default=list, blank=True)
    consumer_count = models.IntegerField(default=0)
    snapshot_at = models.DateTimeField(null=True, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    annotations = models.JSONField(default=dict, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    resource_version = models.CharField(max_length=40, blank=True, default="")
    created_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True)

    objects = ClaimQuerySet.as_manager()

    class Meta:
        ordering = ["namespace", "name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "uid"], name="claim_once_by_uid"),
            models.UniqueConstraint(
                fields=["cluster", "namespace", "name"],
                condition=Q(gone_at__isnull=True),
                name="claim_once_present",
            ),
        ]
        indexes = [
            models.Index(fields=["cluster", "weakest", "namespace", "name"], name="claim_by_weakest"),
            models.Index(fields=["namespace"], name="claim_by_namespace"),
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def owner(self) -> Owner:
        return Owner(self.owner_kind)

    def protection(self) -> list[tuple[str, str, Protection, str]]:
        """(path, title, state, fact) a path of deletion, in the order of the pages; the first named by who deletes on it."""
        named = {"flux_prune": self.owner.pruning}
        return [
            (path, named.get(path, title), Protection(getattr(self, path)), getattr(self, f"{path}_fact"))
            for path, title in DELETION_PATHS
        ]


DELETION_PATHS = [
    ("flux_prune", "Flux prune"),
    ("kubectl_delete", "kubectl delete"),
    ("namespace_delete", "Namespace delete"),
    ("volume_reclaim", "Volume reclaim"),
]


class NamespaceFact(models.Model):
    """A namespace as the watcher saw it."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="namespaces")
    uid = models.CharField(max_length=64)
    name = models.CharField(max_length=253)
    phase = models.CharField(max_length=20, default="Active")
    pod_security = models.CharField(max_length=20, default="privileged")
    owner_name = models.CharField(
        max_length=253, blank=True, default=""
    )  # Kustomization that holds it, as namespace/name
    labels = models.JSONField(default=dict, blank=True)
    annotations = models.JSONField(default=dict, blank=True)
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "uid"], name="namespace_once_by_uid")]

    def __str__(self) -> str:
        return self.name


class GitOpsFact(models.Model):
    """A Kustomization, HelmRelease or GitRepository as the watcher saw it."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="gitops")
    kind = models.CharField(max_length=40)
    uid = models.CharField(max_length=64)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    ready = models.CharField(max_length=10, default="Unknown")  # True, False, Unknown
    reason = models.CharField(max_length=100, blank=True, default="")
    message = models.TextField(blank=True, default="")
    ready_since = models.DateTimeField(null=True, blank=True)
    suspended = models.BooleanField(default=False)
    prune = models.BooleanField(default=False)
    path = models.CharField(max_length=500, blank=True, default="")
    source_kind = models.CharField(max_length=40, blank=True, default="")
    source_namespace = models.CharField(max_length=253, blank=True, default="")
    source_name = models.CharField(max_length=253, blank=True, default="")
    applied_revision = models.CharField(max_length=300, blank=True, default="")
    source_revision = models.CharField(max_length=300, blank=True, default="")
    url = models.CharField(max_length=500, blank=True, default="")
    branch = models.CharField(max_length=300, blank=True, default="")
    inventory_size = models.IntegerField(default=0)
    facts = models.JSONField(default=dict, blank=True)
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["kind", "namespace", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "uid"], name="gitops_once_by_uid")]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def behind(self) -> bool:
        """The source holds another revision than the one applied."""
        return bool(self.source_revision) and self.applied_revision != self.source_revision

    @property
    def colour(self) -> str:
        if self.suspended:
            return "warn"
        return {"True": "good", "False": "bad"}.get(self.ready, "info")


class GitRepository(models.Model):
    """A Git repository that Holdfast may read and, as `push_policy` says, change.

    Credentials are a reference: `credentials_name` is a file's path or an environment variable's name, never the secret.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="repositories")
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    branch = models.CharField(max_length=300, default="main")
    path = models.CharField(max_length=500, blank=True, default="")
    source_namespace = models.CharField(max_length=253, blank=True, default="")
    source_name = models.CharField(max_length=253, blank=True, default="")
    credentials_kind = models.CharField(
        max_length=16, choices=CredentialsKind.choices, default=CredentialsKind.NONE
    )
    credentials_name = models.CharField(max_length=500, blank=True, default="")
    push_policy = models.CharField(max_length=16, choices=PushPolicy.choices, default=PushPolicy.BRANCH)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="repository_once_a_cluster")]

    def __str__(self) -> str:
        return self.name


class ValidationRun(models.Model):
    """One run of the three checks. `requested_by` is empty for a scheduled run. History: never deleted by the product."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="validations")
    state = models.CharField(max_length=16, choices=RunState.choices, default=RunState.REQUESTED)
    requested_by = models.CharField(max_length=150, blank=True, default="")
    requested_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=16, choices=Answer.choices, default=Answer.UNKNOWN)
    summary = models.TextField(blank=True, default="")
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["cluster"],
                condition=Q(state__in=[RunState.REQUESTED, RunState.RUNNING]),
                name="validation_one_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"Validation {self.pk} of {self.cluster}"


class ValidationResult(models.Model):
    """The answer of one check about one subject: a claim (`namespace/name`), a policy, or the cluster."""

    run = models.ForeignKey(ValidationRun, on_delete=models.CASCADE, related_name="results")
    check_kind = models.CharField(max_length=16, choices=CheckKind.choices)
    answer = models.CharField(max_length=16, choices=Answer.choices)
    subject = models.CharField(max_length=520)
    namespace = models.CharField(max_length=253, blank=True, default="")
    title = models.CharField(max_length=200)
    detail = models.TextField(blank=True, default="")
    next = models.TextField(blank=True, default="")
    command = models.TextField(blank=True, default="")
    facts = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["run", "check_kind", "answer"], name="result_by_check")]

    def __str__(self) -> str:
        return f"{self.check_kind}: {self.subject}"
