"""What the audit trail shows of migrations to those who may not read all of it."""

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Concat

from accounts.models import User
from accounts.permissions import visible
from audit.models import Event
from migrations_app.models import Migration

NOWHERE = Value("", output_field=TextField())


def without_hidden(found: QuerySet[Event], reader: User, permission: str) -> QuerySet[Event]:
    """Without events of migrations whose source or destination is not the reader's; a draft may have no destination yet.

    These, and what the worker does to volumes and in Git, stand under the source's namespace and name the destination. Its
    acts on an object of a namespace stand under that, and show.
    """
    shown = visible(
        reader,
        Migration.objects.all(),
        "source_namespace",
        permission=permission,
        or_empty=["destination_namespace"],
    )
    references = shown.order_by().values("reference")
    # A draft may have been meant for another destination once.
    found = found.alias(
        meant=Coalesce(KT("before__destination"), NOWHERE),
        means=Coalesce(KT("after__destination"), NOWHERE),
    )
    found = visible(reader, found, "namespace", permission=permission, or_empty=["meant", "means"])
    of_its_namespace = Q(key__startswith=Concat(F("namespace"), Value("/")))
    return found.alias(acted_for=KT("after__migration")).filter(
        ~Q(kind="migration") | Q(key__in=references),
        Q(acted_for__isnull=True) | of_its_namespace | Q(acted_for__in=references),
    )
