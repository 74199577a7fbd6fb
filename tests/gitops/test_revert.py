"""Undoing a change after others went on."""

from pathlib import Path

import pytest

from gitops.change import Tree
from gitops.errors import Reason, Refusal
from gitops.remove import remove
from gitops.revert import revert
from gitops.values import FluxPath, ObjectRef
from tests.gitops.building import applied
from tests.gitops.remotes import CLAIM

DATA = ObjectRef.claim("media", "jellyfin-data")
FLUX = FluxPath("apps/jellyfin")
KUSTOMIZATION = "apps/jellyfin/kustomization.yaml"
FILES = {
    KUSTOMIZATION: "namespace: media\n\n\nresources:\n  - cache.yaml\n  - data.yaml\n\n\n\nlabels: []\n",
    "apps/jellyfin/data.yaml": CLAIM.format(name="jellyfin-data"),
    "apps/jellyfin/cache.yaml": CLAIM.format(name="jellyfin-cache"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tmp_path


def test_an_undone_change_leaves_no_trace(root: Path) -> None:
    tree = Tree.of(root)
    back = revert(tree, remove(tree, FLUX, DATA))
    assert back.paths == ("apps/jellyfin/data.yaml", KUSTOMIZATION)
    assert tree.change("").edits == ()


def test_what_others_changed_meanwhile_stays(root: Path) -> None:
    change = remove(Tree.of(root), FLUX, DATA)
    tree = applied(root, change)
    tree.write(KUSTOMIZATION, b"# new\n" + tree.read(KUSTOMIZATION))
    revert(tree, change)
    assert tree.read(KUSTOMIZATION).decode() == "# new\n" + FILES[KUSTOMIZATION]


def test_undoing_twice_changes_nothing_more(root: Path) -> None:
    change = remove(Tree.of(root), FLUX, DATA)
    assert revert(Tree.of(root), change).edits == ()


def test_a_change_in_the_same_place_is_refused_with_the_patch(root: Path) -> None:
    change = remove(Tree.of(root), FLUX, DATA)
    for path, content in (
        (KUSTOMIZATION, b"resources:\n  - other.yaml\n"),
        ("apps/jellyfin/data.yaml", b"a: 1\n"),
    ):
        tree = applied(root, change)
        tree.write(path, content)
        with pytest.raises(Refusal) as refused:
            revert(tree, change)
        assert refused.value.reason is Reason.UNCERTAIN
        assert "+  - data.yaml" in refused.value.by_hand
        assert tree.read(path) == content
