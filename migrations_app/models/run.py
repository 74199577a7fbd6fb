"""One attempt at one step."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from migrations_app import procedure
from migrations_app.models.migration import Migration
from migrations_app.states import StepState


class StepRun(models.Model):
    """One attempt at a step. `memory` is what the step has to know at its next tick, and survives every process."""

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="runs")
    step = models.CharField(max_length=12, choices=procedure.STEP_CHOICES)
    attempt = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=StepState.choices, default=StepState.RUNNING)
    message = models.TextField(blank=True)
    problem = models.JSONField(null=True, blank=True)
    memory = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["migration", "step", "attempt"], name="run_attempt")]

    def __str__(self) -> str:
        return f"{self.step} attempt {self.attempt}: {self.state}"

    @property
    def state_value(self) -> StepState:
        return StepState(self.state)

    @property
    def duration(self) -> timedelta:
        return (self.finished_at or timezone.now()) - self.started_at
