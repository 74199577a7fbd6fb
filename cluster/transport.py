"""HTTP to one cluster: authentication and TLS by the official client, bytes in and out, a timeout on every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cluster.config import ClusterConfig
from cluster.values import Ref


@dataclass(frozen=True)
class Call:
    """One mutating call, as told to the hook twice: before it goes out, and after its answer.

    stage: "intent" before; then "done", "refused" (an error answer: nothing changed) or "unknown" (no answer: it may have happened).
    verb: create, patch, scale, delete. change: canonical JSON of the body sent. error: text of the error, else empty.
    """

    stage: Literal["intent", "done", "refused", "unknown"]
    verb: str
    ref: Ref
    change: str
    started_at: datetime
    status: int = 0
    error: str = ""


# Raising from the hook at stage "intent" keeps the call from being made: without the record nothing changes.
OnCall = Callable[[Call], None]


class Transport:
    """Base of all parts of `Cluster`."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
