"""Fixtures of the Flux and Kyverno facts. They need the sandbox's controllers, which can be asked for single passes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.kinds import KUSTOMIZATIONS, Resource
from tests.contract.fleet import Fleet, new_fleet
from tests.contract.place import Place
from tests.support.waiting import until

needs_sandbox = pytest.mark.skipif(
    bool(os.environ.get("HOLDFAST_TEST_KUBECONFIG")),
    reason="needs Flux and Kyverno that the test can step, which a real cluster has not",
)


def served(client: Client, resource: Resource) -> bool:
    """Whether a kind is there: the sandbox's controllers install theirs while they start."""
    try:
        client.list(resource)
    except ApiError as error:
        if error.not_found:
            return False
        raise
    return True


@pytest.fixture
def fleet(place: Place, tmp_path: Path) -> Iterator[Fleet]:
    """A repository and a source of the test's own."""
    until(lambda: served(place.client, KUSTOMIZATIONS), timeout_s=30, what="Flux installed")
    made = new_fleet(place, tmp_path)
    yield made
    made.remove()
