"""Each change to the cluster or to Git, written down before it is made."""

from django.db import models
from django.utils import timezone

from migrations_app import procedure
from migrations_app.models.migration import Migration
from migrations_app.states import IntentState


class Intent(models.Model):
    """A mutating call: recorded as intended, then made with preconditions, then recorded as done.

    `before` holds what Roll back needs to restore exactly. `key` is unique in the migration: the same act is
    never recorded twice, so that a tick that died between the call and the answer finds its own intent again.
    """

    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="intents")
    step = models.CharField(max_length=12, choices=procedure.STEP_CHOICES)
    key = models.CharField(max_length=300)
    verb = models.CharField(max_length=30)
    kind = models.CharField(max_length=60)
    namespace = models.CharField(max_length=63, blank=True)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=64, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=IntentState.choices, default=IntentState.INTENDED)
    error = models.TextField(blank=True)
    intended_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["migration", "key"], name="intent_once")]

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.namespace}/{self.name}"

    @property
    def state_value(self) -> IntentState:
        return IntentState(self.state)
