"""python -m sandbox.scenario --kubeconfig FILE --data DIR --name demo: seeds a cluster once, then exits."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.scenario.seed import CLUSTERS, Scenario, seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.scenario", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--name", "--scenario", dest="name", default="demo", choices=sorted(CLUSTERS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s scenario %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    client = Client.from_kubeconfig(options.kubeconfig, field_manager="sandbox-scenario")
    try:
        seed(Scenario(client, options.data.resolve(), options.name))
    except (ApiError, TimeoutError) as error:
        print(
            f"The scenario {options.name} stopped: {error}. Start again to go on from there.", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
