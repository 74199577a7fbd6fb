"""How a migration may change its repository: at most as an admin allows under Settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.models import Claim, GitOpsFact, GitRepository
from dashboard.states import Owner, PushPolicy
from migrations_app.models import GitMode, Migration

_PUSHES = (GitMode.DIRECT, GitMode.BRANCH)


def row_of(cluster_id: int, source: Mapping[str, Any]) -> GitRepository | None:
    """The repository that Flux reads by the source that a Kustomization names."""
    rows = GitRepository.objects.filter(cluster_id=cluster_id)
    key = {part: source.get(part, "") for part in ("source_namespace", "source_name")}
    return rows.filter(**key).first()


def repositories(migration: Migration) -> list[GitRepository]:
    """Those that declare the chosen claims, as the watcher saw them last: a draft learns its owner at the checks only."""
    claims = Claim.objects.present().filter(
        cluster=migration.cluster_id,
        namespace=migration.source_namespace,
        name__in=migration.transfers.values("source_name"),
        owner_kind=Owner.KUSTOMIZATION,
    )
    facts = GitOpsFact.objects.filter(
        cluster=migration.cluster_id, gone_at__isnull=True, kind="Kustomization"
    )
    found: dict[int, GitRepository] = {}
    for namespace, name in set(claims.values_list("owner_namespace", "owner_name")):
        for fact in facts.filter(namespace=namespace, name=name):
            source = {
                "source_namespace": fact.source_namespace or fact.namespace,
                "source_name": fact.source_name,
            }
            if (row := row_of(migration.cluster_id, source)) is not None:
                found[row.pk] = row
    return list(found.values())


def modes(rows: Sequence[GitRepository]) -> list[GitMode]:
    """The choices that every one of the repositories allows, most direct first."""
    return [mode for mode in GitMode if not any(too_much(row, mode) for row in rows)]


def too_much(row: GitRepository, mode: str) -> str:
    """Why Holdfast may not push this way; empty when it may."""
    policy = PushPolicy(row.push_policy)
    if mode not in _PUSHES or PushPolicy(mode) in policy.ways:
        return ""
    return f"Repository {row.name} does not allow Holdfast to change it this way. At most: {policy.label.lower()}."
