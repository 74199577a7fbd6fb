"""Words for states, each with its text, colour and group beside it, and nowhere else.

colour: a token of the style sheet (good, warn, bad, quiet, info). group: how pages sort and count states.
"""

from __future__ import annotations

from django.db.models import TextChoices


class Protection(TextChoices):
    """What stands between a claim and one path of deletion."""

    PROTECTED = "protected", "Protected"
    PARTIAL = "partial", "Partly protected"
    UNPROTECTED = "unprotected", "Unprotected"
    UNKNOWN = "unknown", "Unknown"
    NOT_APPLICABLE = "not-applicable", "Does not apply"

    @property
    def colour(self) -> str:
        return {"protected": "good", "partial": "warn", "unprotected": "bad", "unknown": "warn"}.get(
            self.value, "quiet"
        )

    @property
    def group(self) -> str:
        return {"protected": "safe", "not-applicable": "safe"}.get(self.value, "at-risk")

    @property
    def rank(self) -> int:
        """0 for what needs a person first."""
        return ["unprotected", "unknown", "partial", "protected", "not-applicable"].index(self.value)


# A path that nothing, or nothing known, guards.
AT_RISK = (Protection.UNPROTECTED, Protection.UNKNOWN)


class Owner(TextChoices):
    """Who made a claim, and would make or delete it again."""

    KUSTOMIZATION = "kustomization", "Flux Kustomization"
    HELM_RELEASE = "helm-release", "Flux HelmRelease"
    HELM = "helm", "Helm release"
    STATEFUL_SET = "stateful-set", "StatefulSet template"
    OPERATOR = "operator", "Operator"
    ARGO_CD = "argo-cd", "Argo CD application"
    ORPHAN = "orphan", "Orphan of Flux"
    NOBODY = "nobody", "Nobody"

    @property
    def pruning(self) -> str:
        """The name of the path on which the owner itself deletes a claim. What Helm or Argo CD does is not Flux's."""
        helm = "Helm uninstall or upgrade"
        return {"helm": helm, "helm-release": helm, "argo-cd": "Argo CD prune"}.get(self.value, "Flux prune")

    @property
    def colour(self) -> str:
        return {"orphan": "warn", "nobody": "warn"}.get(self.value, "info")

    @property
    def group(self) -> str:
        return {"orphan": "loose", "nobody": "loose"}.get(self.value, "owned")


class Drift(TextChoices):
    """Whether cluster and Git agree on the protecting annotation."""

    NONE = "none", "Git and cluster agree"
    CLUSTER_ONLY = "cluster-only", "Only in the cluster: Git will undo it"
    GIT_ONLY = "git-only", "Only in Git: not applied"
    UNKNOWN = "unknown", "Not compared"

    @property
    def colour(self) -> str:
        return {"cluster-only": "bad", "git-only": "warn", "none": "good"}.get(self.value, "quiet")

    @property
    def group(self) -> str:
        return {"cluster-only": "at-risk", "git-only": "at-risk"}.get(self.value, "safe")


class Connection(TextChoices):
    """How the watcher stands with a cluster."""

    NEW = "new", "Never seen"
    CONNECTED = "connected", "Connected"
    AWAY = "away", "Away"

    @property
    def colour(self) -> str:
        return {"new": "quiet", "connected": "good", "away": "bad"}[self.value]

    @property
    def group(self) -> str:
        return {"connected": "healthy"}.get(self.value, "needs-you")


class Enforcement(TextChoices):
    """What the admission of a cluster does about deleting a protected claim."""

    ENFORCED = "enforced", "Enforced"
    FAILING_OPEN = "failing-open", "Enforced, but open when the engine fails"
    AUDIT_ONLY = "audit-only", "Only audited"
    ENGINE_ABSENT = "engine-absent", "Policy without its engine"
    NO_POLICY = "no-policy", "No policy"
    UNKNOWN = "unknown", "Unknown"

    @property
    def colour(self) -> str:
        return {"enforced": "good", "failing-open": "warn", "unknown": "warn"}.get(self.value, "bad")

    @property
    def group(self) -> str:
        return {"enforced": "safe"}.get(self.value, "at-risk")


class PushPolicy(TextChoices):
    """How a change reaches the Git repository."""

    DIRECT = "direct", "Commit to the branch"
    BRANCH = "branch", "Push a branch for review"
    DOWNLOAD = "download", "Download the patch"

    @property
    def ways(self) -> tuple[PushPolicy, ...]:
        """How Holdfast may push where a repository has this policy, most direct first; none: a person applies the patch."""
        pushing = (PushPolicy.DIRECT, PushPolicy.BRANCH)
        return pushing[pushing.index(self) :] if self in pushing else ()


class CredentialsKind(TextChoices):
    """Where the credentials of a Git repository are; never what they are."""

    NONE = "none", "None"
    FILE = "file", "File"
    ENVIRONMENT = "environment", "Environment variable"


class RunState(TextChoices):
    """A validation run."""

    REQUESTED = "requested", "Requested"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    FAILED = "failed", "Could not finish"

    @property
    def colour(self) -> str:
        return {"requested": "info", "running": "info", "finished": "good", "failed": "bad"}[self.value]

    @property
    def group(self) -> str:
        return {"requested": "open", "running": "open"}.get(self.value, "closed")


class CheckKind(TextChoices):
    """The pattern's three checks."""

    PROTECTION = "protection", "Protection of every claim"
    POLICY = "policy", "Deletion policy"
    PROBE = "probe", "Deletion probe"


class Answer(TextChoices):
    """The answer of one check about one subject."""

    PASS = "pass", "Pass"
    WARN = "warn", "Warning"
    FAIL = "fail", "Fail"
    UNKNOWN = "unknown", "Cannot tell"

    @property
    def colour(self) -> str:
        return {"pass": "good", "warn": "warn", "fail": "bad", "unknown": "warn"}[self.value]

    @property
    def group(self) -> str:
        return {"pass": "safe"}.get(self.value, "at-risk")

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return ["fail", "unknown", "warn", "pass"].index(self.value)
