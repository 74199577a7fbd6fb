"""spec.wait and spec.healthChecks: waiting until what was applied is healthy."""

from __future__ import annotations

import time

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux import health
from sandbox.flux.inventory import Reference, reference_of
from sandbox.flux.values import duration

_POLL_S = 0.25


class HealthFailed(Exception):
    """Not everything became healthy in time."""


def check_health(
    client: Client, item: Object, applied: list[Reference], timeout_s: float, *, is_new: bool
) -> str | None:
    """The message of the Healthy condition, None without checks. HealthFailed after the timeout or a failure."""
    wanted = applied if item["spec"].get("wait") else _listed(item)
    if not wanted:
        return None
    started = time.monotonic()
    while True:
        states = {reference: _state(client, reference) for reference in wanted}
        waiting = {one: state for one, state in states.items() if state != health.CURRENT}
        took = duration(round(time.monotonic() - started, 3))
        if not waiting:
            return f"Health check passed in {took}"
        failed = {one: state for one, state in waiting.items() if state == health.FAILED}
        if failed:
            text = f"failed early due to stalled resources: [{_listing(failed)}]"
            raise HealthFailed(f"health check failed after {took}: {text}")
        if time.monotonic() - started > timeout_s:
            text = f"timeout waiting for: [{_listing(waiting)}]"
            raise HealthFailed(f"health check failed after {took}: {text}")
        time.sleep(_POLL_S)


def _listed(item: Object) -> list[Reference]:
    return [
        reference_of(
            {
                "apiVersion": check["apiVersion"],
                "kind": check["kind"],
                "metadata": {"name": check["name"], "namespace": check.get("namespace") or ""},
            }
        )
        for check in item["spec"].get("healthChecks") or []
    ]


def _state(client: Client, reference: Reference) -> str:
    try:
        resource = client.mapping(reference.api_version, reference.kind)
        return health.status_of(client.find(resource, reference.name, reference.namespace))
    except ApiError as error:
        if error.not_found:
            return health.NOT_FOUND
        raise


def _listing(states: dict[Reference, str]) -> str:
    return ", ".join(
        f"{one.kind}/{one.namespace + '/' if one.namespace else ''}{one.name} status: '{state}'"
        for one, state in states.items()
    )
