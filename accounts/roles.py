"""The one table of roles and permissions."""

from django.db import models


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Admin"


# What each permission lets a person do, in the words that pages and refusals use.
PERMISSIONS: dict[str, str] = {
    "claims.view": "see claims and their protection",
    "migrations.view": "see migrations",
    "migrations.edit": "draft, start, retry, pause, abort and roll back migrations",
    "signoff.give": "approve or reject a sign-off",
    "cleanup.purge": "purge a retained volume",
    "validation.run": "run validations",
    "protection.edit": "change the protection of claims",
    "audit.view": "read the audit trail",
    "audit.export": "export the audit trail",
    "settings.edit": "change settings",
    "users.edit": "grant and revoke roles",
    "breakglass.use": "use break-glass",
}

# These reach past any namespace: only a grant for all namespaces gives them.
UNLIMITED_ONLY = frozenset({"settings.edit", "users.edit"})

_VIEW = frozenset({"claims.view", "migrations.view"})

ROLES: dict[Role, frozenset[str]] = {
    Role.VIEWER: _VIEW,
    Role.OPERATOR: _VIEW | {"migrations.edit", "cleanup.purge", "validation.run", "protection.edit"},
    Role.APPROVER: _VIEW | {"signoff.give"},
    Role.AUDITOR: _VIEW | {"audit.view", "audit.export"},
    Role.ADMIN: _VIEW | {"audit.view", "settings.edit", "users.edit", "breakglass.use"},
}

ROLE_MEANINGS: dict[Role, str] = {
    Role.VIEWER: "sees claims and migrations",
    Role.OPERATOR: "drives migrations, validations and protection; cannot sign off",
    Role.APPROVER: "gives or refuses sign-offs; cannot drive",
    Role.AUDITOR: "reads and exports the audit trail; changes nothing",
    Role.ADMIN: "grants roles, changes settings, may use break-glass; neither drives nor signs off",
}


def roles_with(permission: str) -> list[Role]:
    """The roles that hold `permission`, in the order of the table."""
    return [role for role, held in ROLES.items() if permission in held]
