"""The append-only trail. Only `audit.trail.record` writes it; PostgreSQL refuses to change or delete its rows."""

from datetime import datetime

from django.db import models

from audit.canonical import Fields


class Event(models.Model):
    """One thing that happened. No foreign keys: an event outlives whatever it speaks of.

    `sequence` counts from 1 without gaps. `hash` is the SHA-256 over the canonical form (audit/canonical.py) of all
    other fields, `previous_hash` that of the event before. All times are UTC with microseconds.
    """

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.TextField()
    role = models.TextField(default="", blank=True)
    address = models.TextField(default="", blank=True)
    request_id = models.TextField(default="", blank=True)
    verb = models.TextField()
    kind = models.TextField()
    key = models.TextField()
    namespace = models.TextField(default="", blank=True)
    cluster = models.TextField(default="", blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    note = models.TextField(default="", blank=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["actor", "sequence"], name="audit_by_actor"),
            models.Index(fields=["verb", "sequence"], name="audit_by_verb"),
            models.Index(fields=["kind", "key", "sequence"], name="audit_by_object"),
            models.Index(fields=["namespace", "sequence"], name="audit_by_namespace"),
            models.Index(fields=["request_id"], name="audit_by_request", condition=~models.Q(request_id="")),
            models.Index(fields=["at", "sequence"], name="audit_by_clock"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.verb} {self.kind} {self.key} by {self.actor}"

    def fields(self) -> Fields:
        """Everything that the hash covers."""
        at: datetime = self.at
        return Fields(
            sequence=self.sequence,
            at=at,
            actor=self.actor,
            role=self.role,
            address=self.address,
            request_id=self.request_id,
            verb=self.verb,
            kind=self.kind,
            key=self.key,
            namespace=self.namespace,
            cluster=self.cluster,
            before=self.before,
            after=self.after,
            note=self.note,
            previous_hash=self.previous_hash,
        )
