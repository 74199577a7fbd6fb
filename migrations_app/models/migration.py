"""One application's move."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from migrations_app import procedure
from migrations_app.states import DRAFTS, FINISHED, HOLDING, NEEDS_A_PERSON, TICKING, Standing, State, Verdict

# Migrations in which nothing goes on before somebody acts. On the way back one waits without leaving its state.
NEEDS_SOMEBODY = models.Q(state__in=NEEDS_A_PERSON) | ~models.Q(waiting_for="")

_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"


def new_reference() -> str:
    """A short, DNS-safe name that people can read out: `m-` and six characters without look-alikes."""
    return "m-" + "".join(secrets.choice(_ALPHABET) for _ in range(6))


class Strategy(models.TextChoices):
    COPY = "copy", "Copy"


class GitMode(models.TextChoices):
    """How a change reaches the Git repository."""

    DIRECT = "direct", "Commit to the branch that the cluster follows"
    BRANCH = "branch", "Push a branch for review, wait for the merge"
    MANUAL = "manual", "Show the patch; a person applies it"
    NONE = "none", "The claims are not in Git"


class ReleasePath(models.TextChoices):
    """How the source claims leave, where a Kustomization applies them from Git (P1, P2 and P3 of domain fact A6)."""

    ORPHAN = "orphan", "Holdfast deletes the claim, after Flux has let go of it"
    COMMITS = "commits", "Flux deletes the claim, by two commits"
    SUSPEND = "suspend", "Flux deletes the claim, resumed on the removal"


class Course(models.TextChoices):
    """Which way the engine is going. A migration that failed goes on the same way when retried."""

    FORWARD = "forward", "Forward"
    ABORT = "abort", "Abort"
    ROLL_BACK = "roll-back", "Roll back"
    UNDO = "undo", "Undo"
    PURGE = "purge", "Purge"


class Migration(models.Model):
    """One application's move: 1..N claims from a source namespace to a destination namespace.

    Up to `started_at` this is the wizard's draft. `version` rises with each change of state and guards
    compare-and-set; `lease_*` belongs to the tick that works on it now.
    """

    reference = models.CharField(max_length=20, unique=True, default=new_reference)
    cluster = models.ForeignKey("dashboard.Cluster", on_delete=models.PROTECT, related_name="migrations")
    application = models.CharField(max_length=253)
    source_namespace = models.CharField(max_length=63)
    destination_namespace = models.CharField(max_length=63, blank=True)
    strategy = models.CharField(max_length=10, choices=Strategy.choices, default=Strategy.COPY)

    # Options of the wizard.
    warm_passes = models.PositiveSmallIntegerField(default=1)
    retention_days = models.PositiveSmallIntegerField(default=7)
    pause_before_quiesce = models.BooleanField(default=False)
    test_note = models.TextField(
        blank=True, help_text="What the team checks before it confirms the test gate."
    )
    limits = models.JSONField(default=dict, blank=True)

    # Git.
    git_mode = models.CharField(max_length=10, choices=GitMode.choices, default=GitMode.NONE)
    release_path = models.CharField(max_length=10, choices=ReleasePath.choices, default=ReleasePath.ORPHAN)
    source_owner = models.JSONField(default=dict, blank=True)
    destination_owner = models.JSONField(default=dict, blank=True)

    # Where it stands.
    state = models.CharField(max_length=15, choices=State.choices, default=State.DRAFT)
    course = models.CharField(max_length=10, choices=Course.choices, default=Course.FORWARD)
    current_step = models.CharField(max_length=12, choices=procedure.STEP_CHOICES, default="inspect")
    version = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True)
    problem = models.JSONField(null=True, blank=True)
    waiting_for = models.TextField(blank=True)
    waiting_permission = models.CharField(max_length=40, blank=True)
    waiting_since = models.DateTimeField(null=True, blank=True)

    # What was reviewed.
    plan = models.JSONField(default=dict, blank=True)
    plan_digest = models.CharField(max_length=80, blank=True)
    started_plan_digest = models.CharField(max_length=80, blank=True)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="requested_migrations"
    )
    # Names are copied: history outlives accounts.
    requested_by_name = models.CharField(max_length=150)
    started_by_name = models.CharField(max_length=150, blank=True)
    test_confirmed_by_name = models.CharField(max_length=150, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    outage_began_at = models.DateTimeField(null=True, blank=True)
    outage_ended_at = models.DateTimeField(null=True, blank=True)
    retain_until = models.DateTimeField(null=True, blank=True)

    # The engine's.
    next_tick_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["state", "next_tick_at"], name="migration_due"),
            models.Index(fields=["source_namespace"], name="migration_source"),
            models.Index(fields=["destination_namespace"], name="migration_destination"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="migration_state_known"),
            models.CheckConstraint(
                condition=models.Q(current_step__in=procedure.KEYS), name="migration_step_known"
            ),
            # Nothing runs that nobody started.
            models.CheckConstraint(
                condition=models.Q(state__in=sorted(DRAFTS | {State.DISCARDED}))
                | models.Q(started_at__isnull=False),
                name="migration_started_before_running",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.application}"

    def get_absolute_url(self) -> str:
        if self.is_draft:
            return reverse("wizard", args=[self.reference])
        return reverse("migration", args=[self.reference])

    @property
    def state_value(self) -> State:
        return State(self.state)

    @property
    def standing(self) -> State | Standing:
        """Where it stands, as pages show it."""
        if self.waiting_for and self.state not in NEEDS_A_PERSON:
            label = f"{self.state_value.label}, needs a person"
            return Standing(self.state_value, label, "attention", "hand")
        if self.state == State.RETAINED and self.problem:
            return Standing(self.state_value, "Done, Undo not certain", "danger", "cross")
        if self.state in {State.UNDONE, State.COMPLETED} and self.problem:
            return Standing(self.state_value, "Closed as it is", "danger", "cross")  # only `close` leaves it
        if self.state == State.READY and self.stopped_by_checks:
            return Standing(self.state_value, "A check says stop", "danger", "cross")
        return self.state_value

    @property
    def step(self) -> procedure.Step:
        return procedure.BY_KEY[self.current_step]

    @property
    def run_key(self) -> str:
        """What the attempts of the present course are filed under: the step, or the course when it is not forward."""
        return self.current_step if self.course == Course.FORWARD else str(self.course)

    @property
    def is_draft(self) -> bool:
        return self.state in DRAFTS

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def is_ticking(self) -> bool:
        return self.state in TICKING

    @property
    def holds_claims(self) -> bool:
        return self.state in HOLDING

    @property
    def stopped_by_checks(self) -> list[str]:
        """Titles of the checks that forbid a start."""
        return [check["title"] for check in self.plan.get("checks", []) if check["verdict"] == Verdict.STOP]

    @property
    def namespaces(self) -> list[str]:
        """Where whoever acts on it needs the role: what goes and what stays. A draft may have no destination yet."""
        return [name for name in dict.fromkeys([self.source_namespace, self.destination_namespace]) if name]

    @property
    def within_namespace(self) -> bool:
        """True when source and destination are one namespace: the destination claim itself is the target."""
        return self.source_namespace == self.destination_namespace

    @property
    def release_text(self) -> str:
        """How the source claims leave, for people. There is a choice only where a Kustomization applies them from Git."""
        kind = self.source_owner.get("kind")
        if kind in {"Helm", "HelmRelease"}:
            return "Holdfast deletes the claim, after Helm has let go of it"
        if kind != "Kustomization" or self.git_mode == GitMode.NONE:
            return "Holdfast deletes the claim"
        return str(self.get_release_path_display())

    @property
    def kept_text(self) -> str:
        """How long the source is kept, and with it Undo: the days are the least, a person ends it."""
        days = self.retention_days
        least = f"{days} day{'' if days == 1 else 's'} after the release" if days else "at once"
        return f"until it is purged, which is possible {least}"

    @property
    def is_down(self) -> bool:
        """True from the first scaling to zero until the application runs again, wherever that is."""
        return self.outage_began_at is not None and self.outage_ended_at is None

    @property
    def outage(self) -> timedelta | None:
        """How long the application was down, so far or in all."""
        if self.outage_began_at is None:
            return None
        return (self.outage_ended_at or timezone.now()) - self.outage_began_at
