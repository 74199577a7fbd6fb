"""How to reach a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClusterConfig:
    """`kubeconfig` None means: the service account of the pod that we run in. `context` None: the current one.

    A kubeconfig can run programs (exec plugins): take it from an administrator's file only, never from an upload.
    """

    name: str
    kubeconfig: Path | None = None
    context: str | None = None
    connect_timeout_s: float = 5
    read_timeout_s: float = 30
