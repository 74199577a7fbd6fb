"""python -m sandbox.flux --kubeconfig FILE --data DIR: installs the CRDs and runs the controllers until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from sandbox.answers import ApiError
from sandbox.children import mark_ready
from sandbox.client import Client
from sandbox.flux.controllers import RESOURCES, Controllers
from sandbox.flux.crds import FLUX_DEFINITIONS, install
from sandbox.kinds import Resource

_ESTABLISH_TIMEOUT_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.flux", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s flux %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client = Client.from_kubeconfig(options.kubeconfig, user_agent="flux")
    install(client, FLUX_DEFINITIONS)
    for resource in RESOURCES:
        wait_served(client, resource, stop)
    controllers = Controllers(client, options.data).start()
    mark_ready(options.data, "flux")
    stop.wait()
    controllers.stop()


def wait_served(client: Client, resource: Resource, stop: threading.Event) -> None:
    """Waits until a new kind can be listed. TimeoutError after half a minute."""
    for _ in range(int(_ESTABLISH_TIMEOUT_S / 0.1)):
        try:
            client.list(resource)
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            return
        if stop.wait(0.1):
            return
    raise TimeoutError(f"{resource.plural}.{resource.group} is not served after {_ESTABLISH_TIMEOUT_S:.0f} s")


if __name__ == "__main__":
    main()
