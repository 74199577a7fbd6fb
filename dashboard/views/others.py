"""What pages of claims show of migrations."""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from dashboard.models import Claim
from migrations_app.models import Migration, Transfer
from migrations_app.states import HOLDING


def live_transfers() -> QuerySet[Transfer]:
    """Transfers of migrations that hold their claims."""
    return Transfer.objects.filter(migration__state__in=HOLDING)


def held_by_page(claims: Iterable[Claim]) -> dict[str, str]:
    """`namespace/name` of a claim → reference of the migration that holds it."""
    names = [claim.name for claim in claims]
    rows = (
        live_transfers()
        .filter(Q(source_name__in=names) | Q(destination_name__in=names))
        .select_related("migration")
    )
    found = {}
    for row in rows:
        found[f"{row.migration.source_namespace}/{row.source_name}"] = row.migration.reference
        found[f"{row.migration.destination_namespace}/{row.destination_name}"] = row.migration.reference
    return found


def migrations_of(claim: Claim) -> QuerySet[Migration]:
    """Every migration that had to do with the claim's name, newest first."""
    as_source = Q(source_namespace=claim.namespace, transfers__source_name=claim.name)
    as_destination = Q(destination_namespace=claim.namespace, transfers__destination_name=claim.name)
    return (
        Migration.objects.filter(as_source | as_destination, cluster=claim.cluster).distinct().order_by("-id")
    )
