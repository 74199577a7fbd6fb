"""Events, so that `kubectl describe` tells what a controller did."""

from __future__ import annotations

import logging
import uuid

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.flux.values import now
from sandbox.kinds import EVENTS

log = logging.getLogger(__name__)


def record(client: Client, item: Object, kind: str, reason: str, message: str, source: str) -> None:
    """Writes an event about an object; `kind` is Normal or Warning. A refused event is logged, never raised."""
    meta = item["metadata"]
    namespace = meta.get("namespace") or "default"
    time = now()
    body = {
        "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "name": meta["name"],
            "namespace": namespace,
            "uid": meta.get("uid", ""),
        },
        "type": kind,
        "reason": reason,
        "message": message[:1000],
        "source": {"component": source},
        "reportingComponent": source,
        "reportingInstance": source,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
    try:
        client.create(EVENTS, body, namespace, field_manager=source)
    except ApiError as error:
        log.info("event %s of %s not written: %s", reason, meta["name"], error)
