"""Server-side apply of a whole Kustomization, as kustomize-controller does it.

Every object of a stage is first tried with a dry run; only if all of them pass is the first one written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux import metadata
from sandbox.flux.drift import has_drifted, keep_ignored
from sandbox.flux.inventory import Reference, reference_of
from sandbox.flux.managers import CONTROLLER, cleanup_patch
from sandbox.flux.metadata import any_in_metadata, full_name
from sandbox.flux.order import stages_of

_GONE_TIMEOUT_S = 60.0
_IMMUTABLE = ("immutable", "forbidden", "may not change")


class ApplyFailed(Exception):
    """An object was refused. Nothing is pruned and the inventory stays as it was."""


@dataclass(frozen=True)
class Change:
    """What happened to one object: created, configured, unchanged or skipped."""

    reference: Reference
    action: str

    def __str__(self) -> str:
        return f"{full_name(self.reference.stub())} {self.action}"


@dataclass(frozen=True)
class Options:
    """`force`: spec.force. `ignore`: spec.ignore. `at` is called with the name of a point that tests can hold."""

    force: bool = False
    ignore: tuple[Object, ...] = ()
    at: Callable[[str], None] = lambda point: None


def apply_all(client: Client, objects: Iterable[Object], options: Options) -> list[Change]:
    """Applies all objects in stages: definitions and namespaces, classes, the rest. ApplyFailed on the first refusal."""
    changes: list[Change] = []
    for stage in stages_of(objects):
        changes += _apply_stage(client, stage, options)
    return changes


def _apply_stage(client: Client, stage: list[Object], options: Options) -> list[Change]:
    planned = [_plan(client, item, options) for item in stage]
    options.at("write")
    for item, change in planned:
        if change.action in ("created", "configured"):
            _write(client, item)
    return [change for _, change in planned]


def _plan(client: Client, declared: Object, options: Options) -> tuple[Object, Change]:
    existing = _existing(client, declared)
    if _is_skipped(declared, existing):
        return declared, Change(reference_of(declared), "skipped")
    item = keep_ignored(declared, existing, options.ignore)
    result = _dry_run(client, item, existing, options)
    if existing is None or "resourceVersion" not in (result.get("metadata") or {}):
        return item, Change(reference_of(item), "created")
    cleaned = _clean(client, item, existing)
    drifted = cleaned or existing["metadata"]["uid"] != result["metadata"].get("uid")
    if drifted or has_drifted(existing, result):
        return item, Change(reference_of(item), "configured")
    return item, Change(reference_of(item), "unchanged")


def _is_skipped(declared: Object, existing: Object | None) -> bool:
    if any_in_metadata(declared, metadata.NOT_APPLIED) or any_in_metadata(existing, metadata.NOT_APPLIED):
        return True
    return existing is not None and any_in_metadata(declared, {metadata.SSA: "IfNotPresent"})


def _existing(client: Client, declared: Object) -> Object | None:
    meta = declared["metadata"]
    try:
        resource = client.mapping(declared["apiVersion"], declared["kind"])
        return client.find(resource, meta["name"], meta.get("namespace", ""))
    except ApiError as error:
        if error.not_found:
            return None  # the kind is unknown: the dry run says so with Flux's words
        raise ApplyFailed(f"{full_name(declared)} query failed: {error.message}") from error


def _dry_run(client: Client, item: Object, existing: Object | None, options: Options) -> Object:
    try:
        return _apply(client, item, dry_run=True)
    except ApiError as error:
        if existing is not None and _may_recreate(item, existing, options, error):
            _recreate(client, existing)
            return {}
        raise ApplyFailed(_dry_run_message(item, error)) from error


def _may_recreate(item: Object, existing: Object, options: Options, error: ApiError) -> bool:
    forced = options.force or any(
        any_in_metadata(one, {metadata.FORCE: "enabled"}) for one in (item, existing)
    )
    immutable = error.status == 422 and any(word in error.message for word in _IMMUTABLE)
    return forced and immutable


def _recreate(client: Client, existing: Object) -> None:
    """Deletes an object whose immutable field is to change: with spec.force Flux does that to claims, too."""
    resource = client.mapping(existing["apiVersion"], existing["kind"])
    meta = existing["metadata"]
    client.delete(resource, meta["name"], meta.get("namespace", ""), propagation="Background")
    deadline = time.monotonic() + _GONE_TIMEOUT_S
    while client.find(resource, meta["name"], meta.get("namespace", "")) is not None:
        if time.monotonic() > deadline:
            raise ApplyFailed(
                f"{full_name(existing)} immutable field detected, failed to delete object: timeout"
            )
        time.sleep(0.05)


def _dry_run_message(item: Object, error: ApiError) -> str:
    name = full_name(item)
    if error.not_found and not item["metadata"].get("namespace"):
        return f"{name} namespace not specified: {error.message}"
    if error.not_found:
        return f"{name} not found: {error.message}"
    reason = f" ({error.reason})" if error.reason else ""
    return f"{name} dry-run failed{reason}: {error.message}"


def _clean(client: Client, item: Object, existing: Object) -> bool:
    """Takes kubectl's fields over. True when something was patched, so that the apply must follow."""
    merge = {metadata.SSA: "Merge"}
    if any_in_metadata(item, merge) or any_in_metadata(existing, merge):
        return False
    patch = cleanup_patch(existing)
    if not patch:
        return False
    meta = existing["metadata"]
    resource = client.mapping(existing["apiVersion"], existing["kind"])
    try:
        client.patch(
            resource, meta["name"], patch, meta.get("namespace", ""), type="json", field_manager=CONTROLLER
        )
    except ApiError as error:
        message = f"{full_name(existing)} metadata.managedFields cleanup failed: {error.message}"
        raise ApplyFailed(message) from error
    return True


def _write(client: Client, item: Object) -> None:
    try:
        _apply(client, item, dry_run=False)
    except ApiError as error:
        raise ApplyFailed(f"{full_name(item)} apply failed: {error.message}") from error


def _apply(client: Client, item: Object, *, dry_run: bool) -> Object:
    resource = client.mapping(item["apiVersion"], item["kind"])
    body = item
    if not resource.namespaced and item["metadata"].get("namespace"):
        # kustomize stamps a namespace on kinds that it does not know; the API ignores it for cluster-wide kinds.
        body = {
            **item,
            "metadata": {key: value for key, value in item["metadata"].items() if key != "namespace"},
        }
    elif resource.namespaced and not item["metadata"].get("namespace"):
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return client.apply(resource, body, field_manager=CONTROLLER, force=True, dry_run=dry_run)
