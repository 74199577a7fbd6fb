"""Why a path of release cannot work for a migration. Each is found before anything starts."""

from dataclasses import dataclass

from migrations_app.models import ReleasePath
from worker.context import Context

TAKE = "Choose “Holdfast deletes” on the Options page."


@dataclass(frozen=True)
class Misfit:
    """`text` says what stands in the way, `next` what to do about it."""

    text: str
    next: str = TAKE


def needs_flux(context: Context) -> list[Misfit]:
    """Of a path on which Flux deletes the claims: it must prune, and know each of them."""
    migration = context.migration
    owner = migration.source_owner
    found = []
    what = f"Kustomization {owner['namespace']}/{owner['name']}"
    kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    if kustomization is not None and not kustomization.prune:
        found.append(
            Misfit(f"{what} does not prune (spec.prune is false): Flux would never delete the claims.")
        )
    for transfer in context.transfers:
        held = kustomization is not None and kustomization.holds(
            "PersistentVolumeClaim", migration.source_namespace, transfer.source_name
        )
        if not held:
            found.append(
                Misfit(
                    f"{what} does not have {transfer.source_name} in its inventory: Flux would not delete it."
                )
            )
    return found


def needs_kustomization(context: Context) -> list[Misfit]:
    """Of a choice that means nothing without a Kustomization that applies the source from Git."""
    if context.migration.release_path == ReleasePath.ORPHAN:
        return []
    return [
        Misfit(
            f"“{context.migration.get_release_path_display()}” needs a Kustomization that applies the claims from Git."
        )
    ]
