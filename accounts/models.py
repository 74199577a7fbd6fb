"""People who sign in, and what they may do where."""

import unicodedata

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.roles import Role

UNKNOWN = "(unknown account)"  # stands in the trail for a name that was typed and is no account's


class User(AbstractUser):
    """A person who signs in. Roles are granted by `Grant`, never by Django's own permissions."""

    # When the account was last stopped. Sessions and approvals from before do not come back with it.
    deactivated_at = models.DateTimeField(null=True, blank=True)


def everywhere() -> list[str]:
    """The namespace patterns of a grant without a limit."""
    return ["*"]


def is_reserved(username: str) -> bool:
    """Whether the name would read in the trail as Holdfast itself, or as nobody: no account may have it."""
    read = unicodedata.normalize("NFKC", username).strip().casefold()
    return read.startswith("system:") or read in {"anonymous", UNKNOWN}


class Grant(models.Model):
    """One role of one person, in the namespaces that match any of `namespaces`.

    A pattern is a namespace name in which `*` stands for any text and `?` for one character.
    """

    class Source(models.TextChoices):
        LOCAL = "local", "granted here"
        OIDC = "oidc", "from the identity provider"
        PROXY = "proxy", "from the trusted proxy"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=20, choices=Role.choices)
    namespaces = ArrayField(models.CharField(max_length=253), default=everywhere)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.LOCAL)
    # Since when all of it holds without a gap: a grant that was revoked is made anew, one that lost a pattern, and got none that covers it, begins anew.
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "source"], name="one_grant_a_role_and_source"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="grant_role_is_known"),
            models.CheckConstraint(condition=models.Q(namespaces__len__gt=0), name="grant_names_a_namespace"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} in {', '.join(self.namespaces)}"


class Identity(models.Model):
    """Who an account is to an outside authority: never by a name alone, since names are given anew."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    issuer = models.TextField()
    subject = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="one_account_an_identity")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
