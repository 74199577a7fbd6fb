"""Creating what is not there, and waiting for what others do."""

from __future__ import annotations

import time
from collections.abc import Callable

from sandbox.answers import ApiError, Object
from sandbox.client import Client

_POLL_S = 0.05


def ensure(client: Client, body: Object, *, manager: str = "sandbox-scenario") -> Object:
    """Creates an object, or returns the one that is there as it is."""
    resource = client.mapping(body["apiVersion"], body["kind"])
    meta = body["metadata"]
    found = client.find(resource, meta["name"], meta.get("namespace", ""))
    if found is not None:
        return found
    try:
        return client.create(resource, body, meta.get("namespace", ""), field_manager=manager)
    except ApiError as error:
        if error.already_exists:
            return client.get(resource, meta["name"], meta.get("namespace", ""))
        raise


def wait_until(what: str, test: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Polls until the test is true. TimeoutError with what the test returned last, if it is a text."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = test()
        if result and not isinstance(result, str):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {timeout_s:.0f} s: {result}")
        time.sleep(_POLL_S)
