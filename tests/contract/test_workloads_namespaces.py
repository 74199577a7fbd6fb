"""What the deletion of a namespace takes with it, and what stops it."""

import pytest

from sandbox.kinds import NAMESPACES, PERSISTENT_VOLUME_CLAIMS, SERVICE_ACCOUNTS
from tests.contract.place import Place, condition

pytestmark = pytest.mark.contract


def test_a_namespace_gets_its_default_service_account(place: Place) -> None:
    place.wait(SERVICE_ACCOUNTS, "default", bool)


def test_a_deleted_namespace_takes_its_claims(place: Place) -> None:
    other = place.another()
    other.bound_claim()
    other.remove_namespace()
    other.wait_gone(NAMESPACES, other.namespace)
    assert other.get(PERSISTENT_VOLUME_CLAIMS, "data") is None


def test_a_namespace_waits_for_content_that_is_held(place: Place) -> None:
    other = place.another()
    other.claim()
    held = {"metadata": {"finalizers": ["example.com/hold", "kubernetes.io/pvc-protection"]}}
    other.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", held, other.namespace)
    other.remove_namespace()
    waiting = other.wait(
        NAMESPACES, other.namespace, lambda item: condition(item, "NamespaceFinalizersRemaining")
    )
    assert waiting["status"]["phase"] == "Terminating"
    assert "example.com/hold" in (condition(waiting, "NamespaceFinalizersRemaining") or {})["message"]
    other.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"metadata": {"finalizers": []}}, other.namespace)
    other.wait_gone(NAMESPACES, other.namespace)
