"""Whether what Holdfast reads and pushes to is what Flux applies."""

from collections.abc import Mapping
from typing import Any

from cluster.client import Cluster
from cluster.flux import GitSource, Kustomization
from dashboard.models import GitRepository

Key = tuple[str, str]  # namespace, name
NOT_COMPARED = "Not compared: "


def repository_problem(
    kustomization: Kustomization,
    rows: Mapping[Key, GitRepository],
    sources: Mapping[Key, GitSource],
) -> str:
    """Why the files behind a Kustomization cannot be read; empty when they can."""
    key = (kustomization.source_namespace, kustomization.source_name)
    name = f"{kustomization.source_kind} {key[0]}/{key[1]}"
    if kustomization.source_kind != "GitRepository":
        return f"{NOT_COMPARED}Kustomization {kustomization.namespace}/{kustomization.name} applies {name}, which is not a Git repository."
    if key not in rows:
        return (
            f"{NOT_COMPARED}No Git repository is connected for {name}. An admin adds it under Repositories."
        )
    source, row = sources.get(key), rows[key]
    if source is not None and source.branch and source.branch != row.branch:
        return f"{NOT_COMPARED}{name} follows the branch {source.branch}, Holdfast reads {row.branch}."
    if source is not None and source.reference:
        return f"{NOT_COMPARED}{name} follows {source.reference} and no branch."
    return ""


def not_followed(cluster: Cluster, owner: Mapping[str, Any], row: GitRepository | None) -> str:
    """Why the repository is not what Flux applies: another branch, a tag, no Git repository. Empty when it is."""
    kustomization = cluster.get_kustomization(owner["namespace"], owner["name"])
    if kustomization is None or (row is None and owner["source_kind"] == "GitRepository"):
        return ""  # said by other checks
    key = owner["source_namespace"], owner["source_name"]
    source = cluster.get_git_source(*key, owner["source_kind"])
    why = repository_problem(kustomization, {key: row} if row else {}, {key: source} if source else {})
    return why.removeprefix(NOT_COMPARED)
