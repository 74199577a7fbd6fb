"""python -m sandbox.kyverno --kubeconfig FILE --data DIR: installs the CRDs and runs the engine until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from sandbox.answers import Object
from sandbox.children import mark_ready
from sandbox.client import Client
from sandbox.flux.__main__ import wait_served
from sandbox.flux.crds import install
from sandbox.kinds import CUSTOM_RESOURCE_DEFINITIONS
from sandbox.kyverno.config import DEFAULT_DATA, NAMESPACE
from sandbox.kyverno.crds import FOLLOWED, KYVERNO_DEFINITIONS
from sandbox.kyverno.runtime import DEPLOYMENT, Engine, install_engine

_LABELS = {
    "app.kubernetes.io/component": "admission-controller",
    "app.kubernetes.io/instance": "kyverno",
    "app.kubernetes.io/part-of": "kyverno",
    "app.kubernetes.io/version": "v1.19.0",
}


def engine_deployment() -> Object:
    """The Deployment that stands for the engine. Its pod does nothing: this process is the engine."""
    container = {"name": "kyverno", "image": "reg.kyverno.io/kyverno/kyverno:v1.19.0"}
    return {
        "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE, "labels": _LABELS},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/component": "admission-controller"}},
            "template": {"metadata": {"labels": _LABELS}, "spec": {"containers": [container]}},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.kyverno", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s kyverno %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client = Client.from_kubeconfig(options.kubeconfig, user_agent="kyverno")
    set_up(client, stop)
    engine = Engine(client, options.data).start()
    mark_ready(options.data, "kyverno")
    stop.wait()
    engine.stop()


def set_up(client: Client, stop: threading.Event) -> None:
    """Installs Kyverno once: a Deployment that somebody deleted later stays deleted."""
    is_new = client.find(CUSTOM_RESOURCE_DEFINITIONS, "clusterpolicies.kyverno.io") is None
    install(client, KYVERNO_DEFINITIONS)
    for resource in FOLLOWED:
        wait_served(client, resource, stop)
    if is_new:
        install_engine(client, engine_deployment(), DEFAULT_DATA)


if __name__ == "__main__":
    main()
