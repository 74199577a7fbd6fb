"""The cluster that the contract is stated about: the sandbox, or the one that HOLDFAST_TEST_KUBECONFIG names."""

import os
from collections.abc import Iterator

import pytest

from sandbox.client import Client
from tests.contract.place import Place, new_place
from tests.support.cluster_process import running_sandbox


@pytest.fixture(scope="session")
def contract_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An administrator's client of the cluster under test."""
    if kubeconfig := os.environ.get("HOLDFAST_TEST_KUBECONFIG"):
        with Client.from_kubeconfig(kubeconfig, field_manager="holdfast-contract") as client:
            yield client
        return
    with (
        running_sandbox(tmp_path_factory.mktemp("contract"), scenario="none") as running,
        Client.from_kubeconfig(running.kubeconfig, field_manager="holdfast-contract") as client,
    ):
        yield client


@pytest.fixture
def place(contract_client: Client) -> Iterator[Place]:
    """A namespace of the test's own, removed afterwards."""
    made = new_place(contract_client)
    yield made
    made.remove()
