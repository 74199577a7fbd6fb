"""What Git says of claims, and the changes by which people protect them."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from dashboard.protecting_states import OPEN, ChangeState, How
from dashboard.states import PushPolicy

_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"
_OPEN = sorted(state.value for state in OPEN)


def new_reference() -> str:
    """`protect-` and six characters: no two installations on one repository take each other's commits for their own."""
    return "protect-" + "".join(secrets.choice(_ALPHABET) for _ in range(6))


class GitDeclaration(models.Model):
    """What Git says of one claim of a Kustomization, as the worker last compared it.

    `found` False: `why` says what stands in the way. `where`: the file. `once`: Flux made the claim once and corrects nothing of it
    (`ssa: IfNotPresent`). `basis`: what was compared, so that the same is not compared again; `compared_at`: when Git was last looked at.
    """

    cluster = models.ForeignKey("dashboard.Cluster", on_delete=models.CASCADE, related_name="declarations")
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    owner = models.CharField(max_length=510, blank=True, default="")  # Kustomization as namespace/name
    found = models.BooleanField(default=False)
    protected = models.BooleanField(default=False)
    once = models.BooleanField(default=False)
    where = models.TextField(blank=True, default="")
    why = models.TextField(blank=True, default="")
    commit = models.CharField(max_length=64, blank=True, default="")
    basis = models.CharField(max_length=64, blank=True, default="")
    compared_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["namespace", "name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "namespace", "name"], name="declaration_once_a_claim")
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ProtectionChange(models.Model):
    """One change that protects a claim: asked for by a person, made and watched by the worker.

    `effect`: digest of the lines that were reviewed; nothing else is pushed. `commit`: in state merged and after, the commit of the
    branch that says so. `problem`: {happened, safe, next, command}. `probe`: {answer, title, detail, next} of the deletion probe
    after it was applied. `look_at`: when the worker looks next; while it works, when another one may take over.
    """

    reference = models.CharField(max_length=20, unique=True, default=new_reference, editable=False)
    cluster = models.ForeignKey(
        "dashboard.Cluster", on_delete=models.CASCADE, related_name="protection_changes"
    )
    claim = models.ForeignKey(
        "dashboard.Claim", null=True, blank=True, on_delete=models.SET_NULL, related_name="protection_changes"
    )
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=64)
    how = models.CharField(max_length=16, choices=How.choices, default=How.AUTO)
    state = models.CharField(max_length=16, choices=ChangeState.choices, default=ChangeState.REQUESTED)
    way = models.CharField(max_length=16, choices=PushPolicy.choices, blank=True, default="")
    repository_name = models.CharField(max_length=100, blank=True, default="")
    summary = models.TextField(blank=True, default="")
    diff = models.TextField(blank=True, default="")
    notes = models.JSONField(default=list, blank=True)
    effect = models.CharField(max_length=64, blank=True, default="")
    base_commit = models.CharField(max_length=64, blank=True, default="")
    commit = models.CharField(max_length=64, blank=True, default="")
    branch = models.CharField(max_length=300, blank=True, default="")
    message = models.TextField(blank=True, default="")
    problem = models.JSONField(default=dict, blank=True)
    probe = models.JSONField(default=dict, blank=True)
    memory = models.JSONField(default=dict, blank=True)
    by_name = models.CharField(max_length=150)
    approved_by_name = models.CharField(max_length=150, blank=True, default="")
    requested_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)
    look_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "namespace", "name"],
                condition=Q(state__in=_OPEN) & ~Q(how=How.LIVE),
                name="protection_one_git_change_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["cluster", "namespace", "name"],
                condition=Q(state__in=_OPEN, how=How.LIVE),
                name="protection_one_stopgap_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["look_at"], condition=Q(state__in=_OPEN), name="protection_due"),
            models.Index(fields=["cluster", "namespace", "name"], name="protection_by_claim"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.namespace}/{self.name}"

    def get_absolute_url(self) -> str:
        return reverse("protection", args=[self.reference])

    @property
    def key(self) -> str:
        """`namespace/name` of the claim."""
        return f"{self.namespace}/{self.name}"

    @property
    def state_value(self) -> ChangeState:
        return ChangeState(self.state)

    @property
    def is_open(self) -> bool:
        return self.state_value in OPEN

    @property
    def live(self) -> bool:
        """A stopgap on the live claim: nothing of it is in Git."""
        return self.how == How.LIVE
