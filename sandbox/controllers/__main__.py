"""python -m sandbox.controllers --kubeconfig FILE --data DIR"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from sandbox.answers import ApiError
from sandbox.children import mark_ready
from sandbox.client import Client
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.node.isolation import DESCRIPTIONS, probe
from sandbox.controllers.node.kubelet import Kubelet
from sandbox.controllers.node.nodes import install_nodes
from sandbox.controllers.registry import build_controllers
from sandbox.controllers.storage.classes import install_storage
from sandbox.kinds import PODS

log = logging.getLogger("sandbox.controllers")

_PATIENCE_S = 60.0


def main() -> int:
    options = _parse()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client = Client.from_kubeconfig(options.kubeconfig, user_agent="kube-controller-manager")
    context = Context(client, options.data.resolve())
    for folder in ("volumes", "snapshots", "pods", "logs"):
        (context.data / folder).mkdir(parents=True, exist_ok=True)
    mode = probe()
    log.info("containers run in %s", DESCRIPTIONS[mode])
    try:
        _patiently(lambda: install_storage(context))
        context.recorder.start()
        _patiently(lambda: install_nodes(context, mode))
        run_all(context, [*build_controllers(context), Kubelet(context, mode)])
    except (ApiError, TimeoutError) as error:
        log.error("cannot start: %s", error)
        return 1
    mark_ready(context.data, "controllers")
    log.info("controllers are running")
    stop.wait()
    client.close()
    # Containers end with this process (PDEATHSIG); threads that wait for the API need no farewell.
    logging.shutdown()
    os._exit(0)


def run_all(context: Context, controllers: list[Controller]) -> None:
    """Fills the caches, clears what is left of pods that are gone, then starts all workers."""
    for cache in context.caches():
        cache.start()
    for cache in context.caches():
        cache.wait_synced(_PATIENCE_S)
    _sweep(context)
    for controller in controllers:
        controller.start()


def _sweep(context: Context) -> None:
    live = {pod["metadata"]["uid"] for pod in context.cache(PODS).list()}
    for folder in ("pods", "logs"):
        for entry in (context.data / folder).iterdir():
            if entry.name not in live:
                shutil.rmtree(entry, ignore_errors=True)


def _patiently(action) -> None:  # type: ignore[no-untyped-def]
    """Retries while the API server is still starting."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            action()
            return
        except ApiError as error:
            # 404: a definition that was just made is not served yet.
            if error.status not in (0, 404, 503) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.controllers")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="volumes, snapshots and logs are kept here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
