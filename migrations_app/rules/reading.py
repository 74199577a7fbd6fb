"""Who may read about which migrations in the audit trail."""

from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from accounts.permissions import visible
from migrations_app.models import Migration


def references(reader: User, permission: str) -> QuerySet[Any]:
    """The references of those whose source and destination are both within the reader's namespaces; a draft may have none yet."""
    found = visible(
        reader,
        Migration.objects.all(),
        "source_namespace",
        permission=permission,
        or_empty=["destination_namespace"],
    )
    return found.order_by().values("reference")
