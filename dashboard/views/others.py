"""What pages of claims show of migrations."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from dashboard.models import Claim
from migrations_app.models import Migration, Transfer
from migrations_app.states import HOLDING, State


def live_transfers() -> QuerySet[Transfer]:
    """Transfers of migrations that hold their claims."""
    return Transfer.objects.filter(migration__state__in=HOLDING)


@dataclass(frozen=True)
class Place:
    """What a claim is to the migration that holds it."""

    reference: str
    word: str


def held_by_page(claims: Iterable[Claim]) -> dict[str, Place]:
    """`namespace/name` of a claim → the migration that holds it, and what the claim is to it."""
    names = [claim.name for claim in claims]
    named = Q(source_name__in=names) | Q(destination_name__in=names) | Q(staging_name__in=names)
    found = {}
    for row in live_transfers().filter(named).select_related("migration"):
        move = row.migration
        if row.staging_name:
            found[f"{move.source_namespace}/{row.staging_name}"] = Place(move.reference, "staging of a move")
        found[f"{move.source_namespace}/{row.source_name}"] = Place(move.reference, "moving")
        found[f"{move.destination_namespace}/{row.destination_name}"] = Place(
            move.reference, "moved in" if move.state == State.RETAINED else "moving in"
        )
    return found


def migrations_of(claim: Claim) -> QuerySet[Migration]:
    """Every migration that had to do with the claim's name, newest first."""
    as_source = Q(source_namespace=claim.namespace, transfers__source_name=claim.name)
    as_destination = Q(destination_namespace=claim.namespace, transfers__destination_name=claim.name)
    return (
        Migration.objects.filter(as_source | as_destination, cluster=claim.cluster).distinct().order_by("-id")
    )
