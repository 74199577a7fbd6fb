"""What deploy/kubernetes gives and fences in, applied to a cluster as the guide says, holds for the service accounts that it makes."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.client import ApiError, Client, Object
from sandbox.kinds import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, Resource
from tests.contract.place import Place, new_place
from tests.support.cluster_process import Sandbox

As = Callable[[str], Client]
EVERYWHERE = ("namespace.yaml", "accounts.yaml", "rbac.yaml", "admission.yaml")


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox, repository_root: Path) -> Iterator[Client]:
    """An administrator, who has applied what holds everywhere. Other tests of this process meet nothing of it."""
    made: list[tuple[Resource, str]] = []
    with Client.from_kubeconfig(sandbox.kubeconfig, field_manager="installer") as client:
        for file in EVERYWHERE:
            made += install(client, repository_root / "deploy/kubernetes" / file)
        yield client
        for resource, name in reversed(made):
            # The roles were there before; what is in the namespace goes with it.
            if resource.kind != "ClusterRole" and not resource.namespaced:
                client.delete(resource, name)


def install(
    client: Client, file: Path, namespace: str = "", *, dry_run: bool = False
) -> list[tuple[Resource, str]]:
    """Applies a file, what has no namespace to `namespace`; the resource and name of each object."""
    made = []
    for body in yaml.safe_load_all(file.read_text()):
        # The sandbox's own identities are bound under the same names already.
        if body["kind"] == "ClusterRoleBinding":
            body["metadata"]["name"] += "-installed"
        resource = client.mapping(body["apiVersion"], body["kind"])
        if namespace and resource.namespaced:
            body["metadata"].setdefault("namespace", namespace)
        client.apply(resource, body, force=True, dry_run=dry_run)
        made.append((resource, str(body["metadata"]["name"])))
    return made


@pytest.fixture(scope="module")
def as_account(admin: Client, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[As]:
    """A client with a token of a service account of namespace holdfast."""
    made: list[Client] = []

    def make(name: str) -> Client:
        path = f"/api/v1/namespaces/holdfast/serviceaccounts/{name}/token"
        token = admin.request("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        config: Any = yaml.safe_load(sandbox.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": token}
        file = tmp_path_factory.mktemp("account") / name
        file.write_text(yaml.safe_dump(config))
        made.append(Client.from_kubeconfig(file))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def place(admin: Client, repository_root: Path) -> Iterator[Place]:
    """A namespace that is enrolled."""
    made = new_place(admin)
    install(admin, repository_root / "deploy/kubernetes/enrol.yaml", made.namespace)
    yield made
    made.remove()


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(ApiError) as caught:
        ask()
    return caught.value.message


def test_the_prober_asks_for_a_deletion_and_never_makes_one(place: Place, as_account: As) -> None:
    place.claim("data", storageClassName="no-such-class")
    prober = as_account("holdfast-prober")
    prober.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace, dry_run=True)
    said = refusal(lambda: prober.delete(PERSISTENT_VOLUME_CLAIMS, "data", place.namespace))
    assert "asks with dryRun=All and never changes anything" in said
    collection = PERSISTENT_VOLUME_CLAIMS.path(place.namespace)
    assert "cannot deletecollection" in refusal(lambda: prober.request("DELETE", collection))
    claim = place.get(PERSISTENT_VOLUME_CLAIMS, "data")
    assert claim is not None and "deletionTimestamp" not in claim["metadata"]


def test_the_fence_stands_whatever_rights_the_prober_is_given(
    place: Place, admin: Client, as_account: As
) -> None:
    """Also where somebody binds it to more, in error."""
    binding: Object = {
        "metadata": {"name": "in-error"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "holdfast-prober", "namespace": "holdfast"}],
    }
    bindings = admin.mapping("rbac.authorization.k8s.io/v1", "RoleBinding")
    admin.create(bindings, binding, place.namespace)
    place.create(CONFIG_MAPS, "kept")
    place.claim("data", storageClassName="no-such-class")
    prober = as_account("holdfast-prober")
    labels: Object = {"metadata": {"labels": {"a": "b"}}}
    phase: Object = {"phase": "Lost"}
    pod: Object = {"metadata": {"name": "one"}, "spec": place.pod_spec("true")}
    for ask in (
        lambda: prober.create(CONFIG_MAPS, {"metadata": {"name": "one"}}, place.namespace),
        lambda: prober.create(PODS, pod, place.namespace),
        lambda: prober.patch(CONFIG_MAPS, "kept", labels, place.namespace),
        lambda: prober.patch_status(PERSISTENT_VOLUME_CLAIMS, "data", phase, place.namespace),
        lambda: prober.delete(CONFIG_MAPS, "kept", place.namespace),
    ):
        assert "never changes anything" in refusal(ask)


def test_the_worker_makes_no_pod_of_its_own(place: Place, as_account: As) -> None:
    worker = as_account("holdfast-worker")
    pod: Object = {"metadata": {"name": "one"}, "spec": place.pod_spec("true")}
    worker.create(PODS, deepcopy(pod), place.namespace, dry_run=True)
    assert "never makes one" in refusal(lambda: worker.create(PODS, deepcopy(pod), place.namespace))


def test_the_worker_changes_of_a_volume_what_a_migration_needs(place: Place, as_account: As) -> None:
    _claim, volume = place.bound_claim("data")
    name, worker = volume["metadata"]["name"], as_account("holdfast-worker")
    worker.patch(PERSISTENT_VOLUMES, name, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    worker.patch(PERSISTENT_VOLUMES, name, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    for change, complaint in (
        ({"spec": {"mountOptions": ["exec"]}}, "no mount option"),
        ({"spec": {"storageClassName": "another"}}, "no storage class"),
        ({"spec": {"capacity": {"storage": "9Gi"}}}, "no capacity"),
        ({"metadata": {"finalizers": None}}, "no finalizer"),
    ):
        assert complaint in refusal(lambda change=change: worker.patch(PERSISTENT_VOLUMES, name, change))  # type: ignore[misc]


def test_the_pods_of_holdfast_are_admitted_to_their_namespace(admin: Client, repository_root: Path) -> None:
    """It enforces Pod Security level restricted, which refuses pods, not the Deployments that make them."""
    admitted = []
    for body in yaml.safe_load_all((repository_root / "deploy/kubernetes/apps.yaml").read_text()):
        resource = admin.mapping(body["apiVersion"], body["kind"])
        admin.apply(resource, deepcopy(body), force=True, dry_run=True)
        if "template" in body["spec"]:
            name = body["metadata"]["name"]
            pod: Object = {"metadata": {"name": name}, "spec": body["spec"]["template"]["spec"]}
            admin.create(PODS, pod, "holdfast", dry_run=True)
            admitted.append(name)
    assert len(admitted) == 5


@pytest.mark.parametrize("file", ["settings.yaml", "kyverno.yaml", "enrol-flux.yaml"])
def test_the_other_files_are_accepted(place: Place, repository_root: Path, file: str) -> None:
    install(place.client, repository_root / "deploy/kubernetes" / file, place.namespace, dry_run=True)
