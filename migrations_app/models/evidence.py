"""What a step observed: facts, not prose; and what the movers said."""

import hashlib
import json
from typing import Any

from django.db import models
from django.utils import timezone

from migrations_app import procedure
from migrations_app.models.migration import Migration
from migrations_app.models.transfer import Transfer


def canonical(data: Any) -> bytes:
    """The one JSON form of `data` that digests are made of: sorted keys, no spaces, UTF-8."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data: Any) -> str:
    """`sha256:` and the hexadecimal digest of the canonical form of `data`."""
    return "sha256:" + hashlib.sha256(canonical(data)).hexdigest()


class Evidence(models.Model):
    """One observation. Written once; `digest` is over `data`."""

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="evidence")
    transfer = models.ForeignKey(
        Transfer, null=True, blank=True, on_delete=models.CASCADE, related_name="evidence"
    )
    step = models.CharField(max_length=12, choices=procedure.STEP_CHOICES)
    attempt = models.PositiveSmallIntegerField(default=1)
    kind = models.CharField(max_length=40)
    data = models.JSONField()
    digest = models.CharField(max_length=80)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["migration", "kind"], name="evidence_kind")]

    def __str__(self) -> str:
        return f"{self.step} {self.kind}"


class LogLine(models.Model):
    """One line that a mover printed. Kept here because logs disappear with their pod."""

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="log_lines")
    transfer = models.ForeignKey(Transfer, null=True, blank=True, on_delete=models.CASCADE)
    step = models.CharField(max_length=12)
    attempt = models.PositiveSmallIntegerField(default=1)
    job = models.CharField(max_length=253)
    at = models.DateTimeField()
    text = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text
