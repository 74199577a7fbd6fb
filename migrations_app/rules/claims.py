"""A claim belongs to one migration at a time."""

from collections.abc import Iterable

from django.db.models import Q

from migrations_app.models import Migration, Transfer
from migrations_app.states import HOLDING


def holders(migration: Migration) -> list[tuple[str, str]]:
    """Claims of this migration that another one holds: (namespace/claim, the other's reference)."""
    others = Transfer.objects.filter(
        migration__cluster_id=migration.cluster_id, migration__state__in=HOLDING
    ).exclude(migration=migration)
    found: list[tuple[str, str]] = []
    for transfer in migration.transfers.all():
        mine = Q(
            migration__source_namespace=migration.source_namespace, source_name=transfer.source_name
        ) | Q(
            migration__destination_namespace=migration.source_namespace, destination_name=transfer.source_name
        )
        theirs = Q(
            migration__destination_namespace=migration.destination_namespace,
            destination_name=transfer.destination_name,
        ) | Q(
            migration__source_namespace=migration.destination_namespace, source_name=transfer.destination_name
        )
        found += [
            (f"{migration.source_namespace}/{transfer.source_name}", other)
            for other in others.filter(mine | theirs)
            .values_list("migration__reference", flat=True)
            .distinct()
        ]
    return found


def held(cluster_id: int, namespace: str, names: Iterable[str]) -> dict[str, str]:
    """Which of the claims a migration holds: name to reference. For pages."""
    wanted = set(names)
    rows = Transfer.objects.filter(migration__cluster_id=cluster_id, migration__state__in=HOLDING).filter(
        Q(migration__source_namespace=namespace, source_name__in=wanted)
        | Q(migration__destination_namespace=namespace, destination_name__in=wanted)
    )
    # Within one namespace a migration holds both.
    both = (
        ("migration__source_namespace", "source_name"),
        ("migration__destination_namespace", "destination_name"),
    )
    return {
        name: reference
        for where, claim in both
        for there, name, reference in rows.values_list(where, claim, "migration__reference")
        if there == namespace and name in wanted
    }
