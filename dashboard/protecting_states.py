"""Words for changes that protect a claim, each with its text, colour and group beside it, and nowhere else."""

from __future__ import annotations

from django.db.models import TextChoices


class How(TextChoices):
    """Where the protection is written."""

    AUTO = "auto", "Where it fits best"
    DOCUMENT = "document", "Into the claim's own document"
    PATCH = "patch", "As a patch of its kustomization"
    TRANSFORMER = "transformer", "For every claim of the path, now and later"
    RELEASE = "release", "As a post-renderer of the HelmRelease"
    LIVE = "live", "On the live claim alone, as a stopgap"


IN_GIT = (How.AUTO, How.DOCUMENT, How.PATCH, How.TRANSFORMER)


class ChangeState(TextChoices):
    """How far a change has come. Requested, approved and merged are the worker's; ready and pushed wait for a person."""

    REQUESTED = "requested", "Being made"
    READY = "ready", "To be reviewed"
    APPROVED = "approved", "Being pushed"
    PUSHED = "pushed", "Waits for the merge"
    MERGED = "merged", "In Git, waits for Flux"
    APPLIED = "applied", "Applied"
    REFUSED = "refused", "Cannot be made"
    FAILED = "failed", "Failed"
    WITHDRAWN = "withdrawn", "Withdrawn"

    @property
    def tone(self) -> str:
        return {
            "ready": "attention",
            "pushed": "attention",
            "applied": "good",
            "refused": "danger",
            "failed": "danger",
            "withdrawn": "neutral",
        }.get(self.value, "busy")

    @property
    def colour(self) -> str:
        return {"attention": "warn", "good": "good", "danger": "bad", "neutral": "quiet"}.get(
            self.tone, "info"
        )

    @property
    def group(self) -> str:
        return "open" if self in OPEN else "closed"


OPEN = frozenset(
    {
        ChangeState.REQUESTED,
        ChangeState.READY,
        ChangeState.APPROVED,
        ChangeState.PUSHED,
        ChangeState.MERGED,
    }
)
# What a person may still take back: nothing of it was seen in the branch that the cluster follows.
WITHDRAWABLE = frozenset({ChangeState.REQUESTED, ChangeState.READY, ChangeState.PUSHED})
