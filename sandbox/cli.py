"""Starts the sandbox: the API server in this process, each group of controllers in a child process.

    python -m sandbox --data DIR [--port 0] [--kubeconfig FILE] [--scenario demo|small|none] [--only-api]

Prints one JSON line with url and kubeconfig when the API answers and a scenario, if any, is in place.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from sandbox.apiserver.auth import PEOPLE, PROGRAMS
from sandbox.apiserver.pki import ServerIdentity
from sandbox.apiserver.serve import listen, serve
from sandbox.apiserver.server import Cluster
from sandbox.children import Children
from sandbox.kubeconfig import write_kubeconfig

_SERVICES = ("controllers", "flux", "kyverno")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local cluster that speaks the Kubernetes API."
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of all state")
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        help="the port on loopback; 0 takes the one of the last start, or a free one",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="where to write the kubeconfig (default: DIR/kubeconfig)"
    )
    parser.add_argument(
        "--scenario", default="none", help="what to seed at the first start: demo, small or none"
    )
    parser.add_argument("--only-api", action="store_true", help="the API server alone, without controllers")
    parser.add_argument(
        "--without", action="append", default=[], choices=_SERVICES, help="leave out a group of controllers"
    )
    parser.add_argument(
        "--watch-history", type=int, default=4000, help="how many changes a watch can catch up with"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    data = options.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    try:
        listener = listen(options.port or _last_port(data))
    except OSError as error:
        if options.port:
            print(
                f"Port {options.port} cannot be used ({error.strerror}). Choose another with --port.",
                file=sys.stderr,
            )
            return 1
        listener = listen(0)
    (data / "port").write_text(str(listener.getsockname()[1]))
    uvloop.run(_run(options, data, listener))
    return 0


def _last_port(data: Path) -> int:
    """The port of the last start, so that kubeconfigs in use stay right; 0 when there was none."""
    path = data / "port"
    return int(path.read_text()) if path.exists() else 0


async def _run(options: argparse.Namespace, data: Path, listener) -> None:  # type: ignore[no-untyped-def]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    tasks: list[asyncio.Task[None]] = []
    children = Children()

    def started(cluster: Cluster) -> None:
        kubeconfig = (options.kubeconfig or data / "kubeconfig").resolve()
        people = {name: cluster.tokens.by_user[name] for name in PEOPLE}
        authority = ServerIdentity(data / "pki").authority_data
        write_kubeconfig(kubeconfig, url, authority, people, "admin")
        for name in PROGRAMS:
            token = cluster.tokens.by_user[f"sandbox:{name}"]
            write_kubeconfig(
                data / f"{name}.kubeconfig", url, authority, {f"sandbox:{name}": token}, f"sandbox:{name}"
            )
        tasks.append(asyncio.create_task(_start_rest(options, data, url, kubeconfig, children, stop)))

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await children.stop()

    try:
        await serve(data, listener, stop, started, history=options.watch_history, before_end=end)
    finally:
        await end()


async def _start_rest(
    options: argparse.Namespace,
    data: Path,
    url: str,
    kubeconfig: Path,
    children: Children,
    stop: asyncio.Event,
) -> None:
    seeded = True
    try:
        if not options.only_api:
            services = [name for name in _SERVICES if name not in options.without and _exists(name)]
            for name in services:
                await children.keep(data, name, _command(name, data))
            await children.wait_ready(data, services)
            if options.scenario != "none" and _exists("scenario"):
                command = [*_command("scenario", data), "--scenario", options.scenario]
                seeded = await children.run_once("scenario", command) == 0
                if not seeded:
                    logging.getLogger(__name__).error("the scenario could not be seeded; see the lines above")
        ready = {
            "url": url,
            "kubeconfig": str(kubeconfig),
            "data": str(data),
            "pid": os.getpid(),
            "seeded": seeded,
        }
        print(json.dumps(ready), flush=True)
    except Exception:
        logging.getLogger(__name__).exception("the sandbox could not start")
        stop.set()


def _exists(name: str) -> bool:
    """Whether a group of controllers is installed."""
    try:
        return importlib.util.find_spec(f"sandbox.{name}.__main__") is not None
    except ModuleNotFoundError:
        return False


def _command(name: str, data: Path) -> list[str]:
    kubeconfig = data / f"{name}.kubeconfig"
    return [sys.executable, "-m", f"sandbox.{name}", "--kubeconfig", str(kubeconfig), "--data", str(data)]
