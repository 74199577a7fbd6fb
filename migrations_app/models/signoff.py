"""The second person's approval, bound to what was seen."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from migrations_app.models.migration import Migration


class SignOffRequest(models.Model):
    """Asks a second person to approve the deletion of the source.

    `covers` is everything that the signature stands for: plan digest, evidence digests, UIDs. When any of it
    changes, the request is void, and says why.
    """

    class State(models.TextChoices):
        OPEN = "open", "Waiting for a decision"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        VOID = "void", "Void"
        USED = "used", "Used"

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="sign_off_requests")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    covers = models.JSONField()
    covers_digest = models.CharField(max_length=80)
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    void_reason = models.TextField(blank=True)
    requested_by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            # One live request a migration: two people can never approve two different things.
            models.UniqueConstraint(
                fields=["migration"],
                condition=models.Q(state__in=["open", "approved"]),
                name="signoff_one_live",
            )
        ]

    def __str__(self) -> str:
        return f"sign-off {self.pk} of {self.migration_id}: {self.state}"

    @property
    def label(self) -> str:
        """Its state in words; what was rejected stays so when it is asked again."""
        rejected = self.state == self.State.VOID and self.decisions.filter(kind="reject").exists()
        return "Rejected" if rejected else self.State(self.state).label

    @property
    def tone(self) -> str:
        return {
            "open": "attention",
            "approved": "good",
            "rejected": "danger",
            "void": "danger",
            "used": "good",
        }[self.state]


class Decision(models.Model):
    """One person's answer to a request. Each person answers a request once, except for questions."""

    class Kind(models.TextChoices):
        APPROVE = "approve", "Approved"
        REJECT = "reject", "Rejected"
        ASK = "ask", "Asked"
        BREAK_GLASS = "break-glass", "Approved alone (break-glass)"

    request = models.ForeignKey(SignOffRequest, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    by_name = models.CharField(max_length=150)
    text = models.TextField(blank=True)
    covers_digest = models.CharField(max_length=80)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["request", "by_name"],
                condition=~models.Q(kind="ask"),
                name="signoff_one_decision_each",
            )
        ]

    def __str__(self) -> str:
        return f"{self.by_name} {self.kind}"
