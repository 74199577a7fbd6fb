"""Runs the API server in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn

from sandbox.apiserver.app import Application
from sandbox.apiserver.bootstrap import bootstrap
from sandbox.apiserver.maintenance import keep_quota_status
from sandbox.apiserver.pki import ServerIdentity
from sandbox.apiserver.server import Cluster, open_cluster

_STOP_S = 1
_LAST_WORDS_S = 0.2


class _Server(uvicorn.Server):
    """Leaves the signals to the caller, and ends open watches when it stops."""

    def __init__(self, config: uvicorn.Config, cluster: Cluster) -> None:
        super().__init__(config)
        self._cluster = cluster

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._cluster.store.closing = True
        self._cluster.store.wake_all()
        await asyncio.sleep(_LAST_WORDS_S)
        # A TLS connection closes only when the other side says so too; an idle client says nothing for long.
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit this; without it an answer of two packets waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    listener.listen(512)
    return listener


async def serve(
    data: Path,
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[Cluster], None],
    *,
    history: int = 4000,
    before_end: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Opens the cluster under `data`, serves it on the socket, calls `started`, returns after `stop` is set.

    `before_end` runs while the API still answers: those who use it get to finish.
    """
    cluster = open_cluster(data, history)
    bootstrap(cluster)
    identity = ServerIdentity(data / "pki")
    config = uvicorn.Config(
        Application(cluster),
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_STOP_S,
        timeout_keep_alive=75,
        ssl_certfile=identity.certificate,
        ssl_keyfile=identity.key,
    )
    server = _Server(config, cluster)
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if not serving.done():
        started(cluster)
    quotas = asyncio.create_task(keep_quota_status(cluster))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if before_end is not None:
        await before_end()
    quotas.cancel()
    server.should_exit = True
    await serving
    cluster.store.close()
