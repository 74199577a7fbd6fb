"""Garbage collection: what left Git is deleted, unless something says no. The rules are facts A1 and their source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux import metadata
from sandbox.flux.inventory import Reference
from sandbox.flux.metadata import any_in_metadata, full_name, owner_labels
from sandbox.flux.order import deletion_order


@dataclass
class Outcome:
    """`survivors` were to be deleted and the API refused; `skipped` are protected or belong to somebody else."""

    deleted: list[Reference] = field(default_factory=list)
    skipped: list[Reference] = field(default_factory=list)
    survivors: list[Reference] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def delete_all(
    client: Client,
    references: Iterable[Reference],
    owner: tuple[str, str],
    at: Callable[[str], None] = lambda point: None,
) -> Outcome:
    """Deletes what is the owner's (name, namespace) and not protected; goes on after a refusal and reports it."""
    outcome = Outcome()
    labels = owner_labels(*owner)
    for reference in deletion_order(references):
        try:
            _delete(client, reference, labels, outcome, at)
        except ApiError as error:
            outcome.survivors.append(reference)
            outcome.errors.append(f"{full_name(reference.stub())} delete failed: {error.message}")
    return outcome


def _delete(
    client: Client,
    reference: Reference,
    labels: dict[str, str],
    outcome: Outcome,
    at: Callable[[str], None],
) -> None:
    existing = _live(client, reference)
    if existing is None:
        outcome.deleted.append(reference)
        return
    if not _is_owned(existing, labels) or any_in_metadata(existing, metadata.NOT_DELETED):
        outcome.skipped.append(reference)
        return
    at("delete")
    # As Flux does it: no UID precondition, dependents in the background.
    resource = client.mapping(reference.api_version, reference.kind)
    client.delete(resource, reference.name, reference.namespace, propagation="Background")
    outcome.deleted.append(reference)


def _is_owned(existing: Object, labels: dict[str, str]) -> bool:
    live = existing["metadata"].get("labels") or {}
    return all(live.get(key) == value for key, value in labels.items())


def _live(client: Client, reference: Reference) -> Object | None:
    try:
        resource = client.mapping(reference.api_version, reference.kind)
    except ApiError as error:
        if error.not_found:
            return None  # the kind itself is gone, and its objects with it
        raise
    return client.find(resource, reference.name, reference.namespace)
