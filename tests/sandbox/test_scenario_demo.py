"""The demo's cluster: who lives there."""

from collections.abc import Iterator

import pytest

from sandbox.answers import ApiError
from sandbox.client import Client
from sandbox.flux.values import dig
from sandbox.kinds import (
    KUSTOMIZATIONS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_QUOTAS,
    STATEFUL_SETS,
    VOLUME_SNAPSHOTS,
)
from tests.support.cluster_process import Sandbox
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo-sandbox")]
PRUNE = "kustomize.toolkit.fluxcd.io/prune"
OWNER = "kustomize.toolkit.fluxcd.io/name"


@pytest.fixture(scope="module")
def demo(demo_sandbox: Sandbox) -> Iterator[Client]:
    with Client.from_kubeconfig(demo_sandbox.kubeconfig) as client:
        yield client


def test_a_dozen_namespaces_and_some_thirty_claims(demo: Client) -> None:
    assert len(demo.list(NAMESPACES)) > 12
    claims = demo.list(PERSISTENT_VOLUME_CLAIMS)
    assert 30 <= len(claims) <= 40
    waiting = {one["metadata"]["name"] for one in claims if dig(one, "status", "phase") != "Bound"}
    assert waiting == {"scratch"}


def test_every_kind_of_owner_and_protection_is_there(demo: Client) -> None:
    claims = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}": one
        for one in demo.list(PERSISTENT_VOLUME_CLAIMS)
    }

    def meta(claim: str, *path: str) -> object:
        return dig(claims[claim], "metadata", *path)

    assert meta("media/photos-library", "annotations", PRUNE) == "disabled"
    assert meta("code/code-registry-data", "labels", PRUNE) == "disabled"
    assert meta("code/code-gitea-repositories", "annotations", PRUNE) == "Disabled"
    assert meta("media/jellyfin-transcodes", "annotations", PRUNE) is None
    assert meta("office/paperless-inbox", "annotations", PRUNE) == "enabled"
    assert meta("media/data-photos-db-0", "labels", OWNER) is None
    assert meta("monitoring/grafana", "labels", "helm.toolkit.fluxcd.io/name") == "grafana"
    assert "argocd.argoproj.io/tracking-id" in str(meta("wiki/wiki-pages", "annotations"))
    assert "Cluster" in str(meta("databases/accounts-1", "ownerReferences"))
    assert dig(claims["vms/windows-disk"], "spec", "volumeMode") == "Block"
    assert dig(claims["home/camera-recordings"], "status", "allocatedResourceStatuses")
    # Orphans: labelled by a Kustomization that does not exist, and by one that does not list it.
    assert meta("legacy/old-wiki-data", "labels", OWNER) == "legacy-wiki"
    assert meta("office/notes-attachments", "labels", OWNER) == "office-notes"
    owner = demo.get(KUSTOMIZATIONS, "office-notes", "flux-system")
    assert "notes-attachments" not in str(dig(owner, "status", "inventory"))


def test_what_the_checks_of_a_migration_will_find(demo: Client) -> None:
    runner = demo.get(STATEFUL_SETS, "runner", "ci")
    assert dig(runner, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete"
    labels = demo.get(NAMESPACES, "finance")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    quota = demo.get(RESOURCE_QUOTAS, "storage", "analytics")
    assert dig(quota, "status", "used", "requests.storage") == "95Gi"
    released = [one for one in demo.list(PERSISTENT_VOLUMES) if dig(one, "status", "phase") == "Released"]
    assert [dig(one, "spec", "persistentVolumeReclaimPolicy") for one in released] == ["Retain"]
    ages = {dig(one, "status", "creationTime") for one in demo.list(VOLUME_SNAPSHOTS)}
    assert len(ages) == 7


def test_a_protected_claim_cannot_be_deleted_and_another_can(demo: Client) -> None:
    def probe(namespace: str, name: str) -> int:
        path = PERSISTENT_VOLUME_CLAIMS.path(namespace, name)
        try:
            demo.request("DELETE", path, params={"dryRun": "All"})
        except ApiError as error:
            assert "prevent-protected-pvc-deletion" in error.message
            return error.status
        return 200

    # Others took the engine away for a moment.
    until(lambda: probe("media", "photos-library") == 400, timeout_s=40, what="the engine to deny")
    assert probe("code", "code-registry-data") == 400
    assert probe("code", "code-gitea-repositories") == 400
    assert probe("media", "jellyfin-transcodes") == 200
