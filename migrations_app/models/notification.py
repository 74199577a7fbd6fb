"""What has to reach people who are not looking at the pages."""

from django.db import models
from django.utils import timezone

from migrations_app.models.migration import Migration


class Notification(models.Model):
    """One message to the address in HOLDFAST_NOTIFY_URL. Written with the change that it is about, sent by the worker."""

    class Kind(models.TextChoices):
        NEEDS_A_PERSON = "needs-a-person", "Needs a person"
        FAILED = "failed", "Stopped by a problem"
        BREAK_GLASS = "break-glass", "Break-glass was used"
        ENDED = "ended", "Ended"

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    next_try_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["sent_at", "next_try_at"], name="notification_due")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"
