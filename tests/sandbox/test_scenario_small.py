# ruff: noqa: PTH115, PTH116, PTH118, PTH119, PTH123
"""The small scenario: what it holds, that it is the same every time, and that it can be gone on with."""

import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from sandbox.client import Client
from sandbox.flux.values import dig
from sandbox.kinds import CONFIG_MAPS, KUSTOMIZATIONS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sandbox.scenario import fleet, tree
from sandbox.scenario.seed import MARKER, NAMESPACE, Scenario, seed
from sandbox.scenario.volumes import directory_of
from tests.support.cluster_process import Sandbox, running_sandbox

PHOTOS = {"photos-library", "photos-cache", "data-photos-db-0"}


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client.from_kubeconfig(sandbox.kubeconfig)


def listing(root: Path) -> dict[bytes, tuple[int, int, int, bytes]]:
    """Path -> mode, size, mtime and content or target, of everything below a root."""
    found: dict[bytes, tuple[int, int, int, bytes]] = {}
    top = os.fsencode(root)
    for folder, names, leaves in os.walk(top):
        for name in [*names, *leaves]:
            path = os.path.join(folder, name)
            facts = os.lstat(path)
            content = b""
            if stat.S_ISLNK(facts.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK):
                with open(path, "rb") as stream:
                    content = stream.read()
            when = 0 if stat.S_ISLNK(facts.st_mode) else facts.st_mtime_ns
            size = 0 if stat.S_ISDIR(facts.st_mode) else facts.st_size
            found[os.path.relpath(path, top)] = (facts.st_mode, size, when, content)
    return found


def test_the_application_has_three_bound_claims_with_files(sandbox: Sandbox, client: Client) -> None:
    claims = {one["metadata"]["name"]: one for one in client.list(PERSISTENT_VOLUME_CLAIMS, "media")}
    assert set(claims) == PHOTOS
    for claim in claims.values():
        assert dig(claim, "status", "phase") == "Bound"
        directory = directory_of(claim, sandbox.data / "state")
        assert directory is not None
        assert len(listing(directory)) > 20


def test_claims_from_git_are_protected_and_those_of_the_database_are_not(client: Client) -> None:
    claims = {one["metadata"]["name"]: one for one in client.list(PERSISTENT_VOLUME_CLAIMS, "media")}
    key = "kustomize.toolkit.fluxcd.io/prune"
    assert dig(claims["photos-library"], "metadata", "annotations", key) == "disabled"
    assert dig(claims["data-photos-db-0"], "metadata", "annotations", key) is None
    inventory = dig(client.get(KUSTOMIZATIONS, "media-photos", NAMESPACE), "status", "inventory", "entries")
    assert "media_photos-library__PersistentVolumeClaim" in {one["id"] for one in inventory}


def test_the_destination_is_ready_and_empty(client: Client) -> None:
    item = client.get(KUSTOMIZATIONS, "photos", NAMESPACE)
    assert dig(item, "spec", "path") == "./apps/photos-new"
    assert dig(item, "status", "inventory", "entries") == []
    assert client.list(PERSISTENT_VOLUME_CLAIMS, "photos") == []


def test_seeding_again_changes_nothing(tmp_path: Path) -> None:
    # A sandbox of its own: in the shared one, seeding would wait for claims that other tests leave pending on purpose.
    with running_sandbox(tmp_path / "sandbox") as own:
        _seed_again(own, Client.from_kubeconfig(own.kubeconfig))


def _seed_again(sandbox: Sandbox, client: Client) -> None:
    def versions() -> Counter[str]:
        items = [*client.list(PERSISTENT_VOLUME_CLAIMS), *client.list(PERSISTENT_VOLUMES)]
        return Counter(one["metadata"]["uid"] for one in items)

    before = versions()
    client.delete(CONFIG_MAPS, MARKER, NAMESPACE)  # as if it had stopped just before its end
    scenario = Scenario(client, sandbox.data / "state", "small")
    seed(scenario)
    seed(scenario)
    assert versions() == before


def test_the_same_seed_makes_the_same_tree(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tree.fill_library(tmp_path / name, 7, 20)
    assert listing(tmp_path / "one") == listing(tmp_path / "two")


def test_a_tree_has_every_odd_kind_of_file(tmp_path: Path) -> None:
    tree.fill_library(tmp_path, 7, 20)
    found = listing(tmp_path)
    kinds = Counter(stat.S_IFMT(mode) for mode, *_ in found.values())
    assert kinds[stat.S_IFIFO] == 1
    assert kinds[stat.S_IFLNK] > 8
    assert b"names/caf\xe9.txt" in found
    assert b"names/new\nline" in found
    assert max(len(os.path.basename(path)) for path in found) == 255
    assert os.stat(tmp_path / "albums/all/first.jpg").st_nlink == 3
    sparse = os.stat(tmp_path / "sizes/sparse.img")
    assert sparse.st_blocks * 512 < sparse.st_size / 10
    assert found[b"modes/setuid"][0] & stat.S_ISUID
    assert found[b"modes/sticky-dir"][0] & stat.S_ISVTX
    assert (tmp_path / "empty/below/below").is_dir()


def test_an_ordinary_user_gets_no_file_that_its_snapshots_could_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree.os, "geteuid", lambda: 1000)
    tree.fill_library(tmp_path, 7, 20)
    denied = [
        path
        for path, (mode, *_) in listing(tmp_path).items()
        if not stat.S_ISLNK(mode) and not mode & stat.S_IRUSR
    ]
    assert not denied


def test_the_repository_is_made_once(tmp_path: Path) -> None:
    bare = fleet.create(tmp_path, "small")
    head = (bare / "refs/heads/main").read_text() if (bare / "refs/heads/main").exists() else "packed"
    assert fleet.create(tmp_path, "small") == bare
    again = (bare / "refs/heads/main").read_text() if (bare / "refs/heads/main").exists() else "packed"
    assert again == head
