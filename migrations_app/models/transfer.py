"""One claim's part of a migration."""

from django.db import models

from migrations_app.models.migration import Migration


class Transfer(models.Model):
    """Source claim, staging claim, destination claim; UIDs as they were observed, sizes in bytes."""

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="transfers")
    number = models.PositiveSmallIntegerField()

    source_name = models.CharField(max_length=253)
    source_uid = models.CharField(max_length=64, blank=True)
    source_volume = models.CharField(max_length=253, blank=True)
    source_volume_uid = models.CharField(max_length=64, blank=True)
    source_reclaim_policy = models.CharField(max_length=10, blank=True)
    source_class = models.CharField(max_length=253, blank=True)
    source_bytes = models.BigIntegerField(default=0)
    access_modes = models.JSONField(default=list, blank=True)
    declared_in_git = models.BooleanField(default=False)
    # Facts that inspect recorded: claim manifest without server fields, consumers, protection.
    facts = models.JSONField(default=dict, blank=True)

    staging_name = models.CharField(max_length=253, blank=True)
    staging_uid = models.CharField(max_length=64, blank=True)
    staging_volume = models.CharField(max_length=253, blank=True)
    staging_volume_uid = models.CharField(max_length=64, blank=True)

    destination_name = models.CharField(max_length=253)
    destination_class = models.CharField(max_length=253, blank=True)
    destination_bytes = models.BigIntegerField(default=0)
    destination_uid = models.CharField(max_length=64, blank=True)

    # The last thing that the mover said: phase, bytes, files, totals, rate, path, at. Replaced at each tick.
    progress = models.JSONField(default=dict, blank=True)
    content_digest = models.CharField(max_length=100, blank=True)
    metadata_digest = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["migration", "number"], name="transfer_number"),
            models.UniqueConstraint(fields=["migration", "source_name"], name="transfer_source"),
            models.UniqueConstraint(fields=["migration", "destination_name"], name="transfer_destination"),
        ]

    def __str__(self) -> str:
        return f"{self.source_name} to {self.destination_name}"
