"""Seeds a cluster step by step. Each step can be done again; what is done is noted in a ConfigMap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux import conditions
from sandbox.flux.__main__ import wait_served
from sandbox.flux.crds import FLUX_DEFINITIONS, install
from sandbox.flux.values import dig
from sandbox.kinds import (
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    GIT_REPOSITORIES,
    HELM_RELEASES,
    KUSTOMIZATIONS,
    PERSISTENT_VOLUME_CLAIMS,
)
from sandbox.kyverno.crds import KYVERNO_DEFINITIONS
from sandbox.scenario import fleet, history, inhabitants
from sandbox.scenario.apply import ensure, wait_until
from sandbox.scenario.volumes import fill_all

log = logging.getLogger(__name__)

NAMESPACE = "flux-system"
MARKER = "sandbox-scenario"
CLUSTERS = {"demo": "demo-east", "small": "small"}
# Claims that stay Pending on purpose.
_PENDING = {("vms", "scratch")}


@dataclass(frozen=True)
class Scenario:
    """One run: `name` is demo or small, `data` the sandbox's folder."""

    client: Client
    data: Path
    name: str

    @property
    def is_small(self) -> bool:
        return self.name == "small"

    @property
    def interval(self) -> str:
        """How often the source is asked."""
        return "1s" if self.is_small else "2s"


def seed(scenario: Scenario) -> None:
    """Brings a cluster to the scenario's state, or goes on where an earlier run stopped. TimeoutError, ApiError."""
    if _done(scenario) == "all":
        log.info("scenario %s is in place", scenario.name)
        return
    for step in _STEPS:
        if scenario.is_small and step in _ONLY_DEMO:
            continue
        started = time.monotonic()
        step(scenario)
        log.info("%s: %.1f s", step.__name__.strip("_"), time.monotonic() - started)
    _note(scenario, "all")


def _definitions(scenario: Scenario) -> None:
    extra = () if scenario.is_small else inhabitants.DEFINITIONS
    install(scenario.client, (*FLUX_DEFINITIONS, *extra))
    # Kyverno installs its own; if it is left out of the sandbox, the policy in Git still needs its kind.
    install(scenario.client, KYVERNO_DEFINITIONS)
    for resource in (GIT_REPOSITORIES, KUSTOMIZATIONS, HELM_RELEASES, CLUSTER_POLICIES):
        wait_served(scenario.client, resource, threading.Event())


def _repository(scenario: Scenario) -> None:
    bare = fleet.create(scenario.data, CLUSTERS[scenario.name])
    ensure(scenario.client, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    source: Object = {
        "apiVersion": GIT_REPOSITORIES.api_version,
        "kind": "GitRepository",
        "metadata": {"name": "fleet", "namespace": NAMESPACE},
        "spec": {"interval": scenario.interval, "url": f"file://{bare}", "ref": {"branch": fleet.BRANCH}},
    }
    root: Object = {
        "apiVersion": KUSTOMIZATIONS.api_version,
        "kind": "Kustomization",
        "metadata": {"name": "flux-system", "namespace": NAMESPACE},
        "spec": {
            "interval": "10s",
            "retryInterval": "2s",
            "path": f"./clusters/{CLUSTERS[scenario.name]}",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
        },
    }
    for item in (source, root):
        ensure(scenario.client, item, manager="flux")


def _applied(scenario: Scenario) -> None:
    def missing() -> str | bool:
        items = scenario.client.list(KUSTOMIZATIONS, NAMESPACE)
        behind = [one["metadata"]["name"] for one in items if not conditions.is_true(one)]
        expected = _expected(scenario)
        absent = expected - {one["metadata"]["name"] for one in items}
        return ", ".join(sorted([*behind, *absent])) or True

    wait_until("applying the fleet", missing, 120.0)


def _expected(scenario: Scenario) -> set[str]:
    directory = fleet.SOURCE / "clusters" / CLUSTERS[scenario.name]
    lines = [line for path in directory.glob("*.yaml") for line in path.read_text().splitlines()]
    # The only names at this indent are those of the Kustomizations themselves.
    return {line.removeprefix("  name: ") for line in lines if line.startswith("  name: ")}


def _inhabitants(scenario: Scenario) -> None:
    inhabitants.all_of_them(scenario.client)


def _bound(scenario: Scenario) -> None:
    def unbound() -> str | bool:
        waiting = [
            f"{one['metadata']['namespace']}/{one['metadata']['name']}"
            for one in scenario.client.list(PERSISTENT_VOLUME_CLAIMS)
            if dig(one, "status", "phase") != "Bound"
            and (one["metadata"]["namespace"], one["metadata"]["name"]) not in _PENDING
        ]
        database = scenario.client.find(PERSISTENT_VOLUME_CLAIMS, "data-photos-db-0", "media")
        return ", ".join(waiting) or (True if database else "media/data-photos-db-0")

    wait_until("binding the claims", unbound, 120.0)


def _files(scenario: Scenario) -> None:
    fill_all(scenario.client, scenario.data, small=scenario.is_small)


def _history(scenario: Scenario) -> None:
    history.released_volume(scenario.client)
    history.resize(scenario.client)
    history.snapshots(scenario.client)


_STEPS: tuple[Callable[[Scenario], None], ...] = (
    _definitions,
    _repository,
    _applied,
    _inhabitants,
    _bound,
    _files,
    _history,
)
_ONLY_DEMO = (_inhabitants, _history)


def _done(scenario: Scenario) -> str:
    marker = scenario.client.find(CONFIG_MAPS, MARKER, NAMESPACE)
    return str(dig(marker, "data", scenario.name, default=""))


def _note(scenario: Scenario, what: str) -> None:
    body: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": MARKER, "namespace": NAMESPACE},
        "data": {},
    }
    ensure(scenario.client, body)
    scenario.client.patch(CONFIG_MAPS, MARKER, {"data": {scenario.name: what}}, NAMESPACE)
