"""Copies of claims and workloads to another namespace."""

from pathlib import Path

import pytest

from gitops.change import Tree
from gitops.errors import Reason, Refusal
from gitops.relocate import Copy, copy_to
from gitops.remove import remove
from gitops.values import FluxPath, ObjectRef
from tests.gitops.building import applied, difference, needs_kustomize

SOURCE = FluxPath("./apps/media")
DESTINATION = FluxPath("./apps/video")
CLAIM = """# the library, do not touch
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: library # of films
  annotations:
    kustomize.toolkit.fluxcd.io/prune: enabled
spec:
  accessModes:
    - ReadWriteOnce
  resources:
    requests:
      storage: 10Gi # grows
  storageClassName: 'ceph-block'
  volumeName: pvc-0123
  dataSource:
    kind: VolumeSnapshot
    name: old
  volumeMode: Filesystem
"""
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: player
spec:
  replicas: 2 # two of them
  selector:
    matchLabels: {app: player}
  template:
    metadata:
      labels: {app: player}
    spec:
      serviceAccountName: player
      containers:
        - name: player
          image: ghcr.io/example/player:1.0 # {"$imagepolicy": "flux-system:player"}
          envFrom:
            - secretRef:
                name: player-secret
            - configMapRef: {name: player-settings}
      volumes:
        - name: library
          persistentVolumeClaim: {claimName: library}
        - name: other
          persistentVolumeClaim:
            claimName: elsewhere
"""
LIBRARY = ObjectRef.claim("media", "library")
PLAYER = ObjectRef("Deployment", "media", "player")
FILES = {
    "apps/media/kustomization.yaml": "namespace: media\nresources:\n  - all.yaml\n",
    "apps/media/all.yaml": DEPLOYMENT + "---\n" + CLAIM,
    "apps/video/kustomization.yaml": "namespace: video\nresources:\n  - settings.yaml\n",
    "apps/video/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: player-settings\n",
}


def repository(root: Path, **changed: str) -> Tree:
    for path, text in (FILES | changed).items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode())
    return Tree.of(root)


def test_a_claim_and_its_workload_are_copied_as_written(tmp_path: Path) -> None:
    tree = repository(tmp_path)
    change = copy_to(tree, SOURCE, [LIBRARY, PLAYER], DESTINATION, "video", Copy(rename={"library": "films"}))
    assert change.paths == (
        "apps/video/films-pvc.yaml",
        "apps/video/kustomization.yaml",
        "apps/video/player-deployment.yaml",
    )
    assert tree.read("apps/video/kustomization.yaml").decode() == (
        FILES["apps/video/kustomization.yaml"] + "  - films-pvc.yaml\n  - player-deployment.yaml\n"
    )
    assert tree.read("apps/video/player-deployment.yaml").decode() == DEPLOYMENT.replace(
        "claimName: library", "claimName: films"
    )
    assert tree.read("apps/video/films-pvc.yaml").decode() == CLAIM.replace(
        "name: library", "name: films"
    ).replace("  volumeName: pvc-0123\n  dataSource:\n    kind: VolumeSnapshot\n    name: old\n", "").replace(
        "prune: enabled", "prune: disabled"
    )
    assert change.notes == (
        "Deployment player refers to ConfigMap player-settings, which is not copied.",
        "Deployment player refers to Secret player-secret, which is not copied.",
        "Deployment player refers to ServiceAccount player, which is not copied.",
    )


def test_kustomize_builds_the_copies_and_leaves_the_source_alone(tmp_path: Path) -> None:
    needs_kustomize()
    change = copy_to(repository(tmp_path), SOURCE, [LIBRARY, PLAYER], DESTINATION, "video")
    before, after = Tree.of(tmp_path), applied(tmp_path, change)
    assert difference(before, after, "apps/media") == []
    assert difference(before, after, "apps/video") == [
        "added Deployment video/player",
        "added PersistentVolumeClaim video/library",
    ]


def test_class_size_and_replicas_follow_the_plan(tmp_path: Path) -> None:
    tree = repository(tmp_path)
    options = Copy(storage_class={"library": "fast"}, size={"library": "20Gi"}, replicas=0)
    copy_to(tree, SOURCE, [LIBRARY, PLAYER], DESTINATION, "video", options)
    claim = tree.read("apps/video/library-pvc.yaml").decode()
    assert "      storage: 20Gi # grows\n" in claim
    assert "  storageClassName: 'fast'\n" in claim
    assert "  replicas: 0 # two of them\n" in tree.read("apps/video/player-deployment.yaml").decode()


def test_a_directory_without_a_namespace_of_its_own_gets_it_written(tmp_path: Path) -> None:
    tree = repository(tmp_path)
    tree.write(
        "plain/note.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note, namespace: video}\n"
    )
    copy_to(tree, SOURCE, [LIBRARY, PLAYER], FluxPath("plain"), "video", directory="plain/films")
    assert "  namespace: video\n" in tree.read("plain/films/library-pvc.yaml").decode()
    assert "  namespace: video\n" in tree.read("plain/films/player-deployment.yaml").decode()


def test_prefixes_of_both_sides_are_taken_into_account(tmp_path: Path) -> None:
    tree = repository(
        tmp_path,
        **{
            "apps/media/kustomization.yaml": "namespace: media\nnamePrefix: old-\nresources:\n  - all.yaml\n",
            "apps/video/kustomization.yaml": "namespace: video\nnamePrefix: new-\nresources: [settings.yaml]\n",
        },
    )
    source = ObjectRef.claim("media", "old-library")
    with pytest.raises(Refusal) as refused:
        copy_to(tree, SOURCE, [source], DESTINATION, "video")
    assert refused.value.reason is Reason.NAMESPACE
    copy_to(tree, SOURCE, [source], DESTINATION, "video", Copy(rename={"old-library": "new-films"}))
    assert b"name: films # of films" in tree.read("apps/video/new-films-pvc.yaml")


def used_twice(root: Path, top: str = "namespace: media\nresources: [../../uses/a, ../../uses/b]\n") -> Tree:
    claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n"
    workload = DEPLOYMENT.replace("name: player\nspec", "name: app\nspec").replace(
        "{claimName: library}", "{claimName: data}"
    )
    return repository(
        root,
        **{
            "apps/media/kustomization.yaml": top,
            "uses/a/kustomization.yaml": "namePrefix: a-\nresources: [../../base]\n",
            "uses/b/kustomization.yaml": "namePrefix: b-\nresources: [../../base]\n",
            "base/kustomization.yaml": "resources: [app.yaml, data.yaml]\n",
            "base/app.yaml": workload,
            "base/data.yaml": claim,
        },
    )


@pytest.mark.parametrize("use", ["a", "b"])
def test_a_workload_of_a_base_that_is_used_twice_mounts_the_claim_of_its_own_use(
    tmp_path: Path, use: str
) -> None:
    tree = used_twice(tmp_path)
    copied = [ObjectRef.claim("media", f"{use}-data"), ObjectRef("Deployment", "media", f"{use}-app")]
    copy_to(tree, SOURCE, copied, DESTINATION, "video")
    made = tree.read(f"apps/video/{use}-app-deployment.yaml").decode()
    assert f"claimName: {use}-data" in made
    assert "claimName: elsewhere" in made


def test_a_mounted_name_that_may_mean_several_claims_is_refused(tmp_path: Path) -> None:
    top = "namespace: media\nresources: [../../uses/a, ../../uses/b, all.yaml]\n"
    tree = used_twice(tmp_path, top)
    tree.write(
        "apps/media/all.yaml", DEPLOYMENT.replace("{claimName: library}", "{claimName: data}").encode()
    )
    with pytest.raises(Refusal) as refused:
        copy_to(tree, SOURCE, [PLAYER], DESTINATION, "video")
    assert refused.value.reason is Reason.TRANSFORMED
    assert "a-data, b-data" in refused.value.what


@pytest.mark.parametrize(
    "extra",
    [
        "images:\n  - name: ghcr.io/example/player\n    newTag: '2.0'\n",
        "replicas:\n  - name: player\n    count: 5\n",
        "commonLabels: {team: films}\n",
        "commonAnnotations: {team: films}\n",
        "labels: [{pairs: {team: films}, includeSelectors: true}]\n",
        "patches:\n  - target: {kind: Deployment}\n    patch: |-\n      - {op: add, path: /spec/paused, value: true}\n",
    ],
)
def test_a_workload_that_the_source_changes_further_is_not_copied_unasked(tmp_path: Path, extra: str) -> None:
    tree = repository(
        tmp_path, **{"apps/media/kustomization.yaml": FILES["apps/media/kustomization.yaml"] + extra}
    )
    with pytest.raises(Refusal) as refused:
        copy_to(tree, SOURCE, [PLAYER], DESTINATION, "video")
    assert refused.value.reason is Reason.TRANSFORMED
    change = copy_to(tree, SOURCE, [PLAYER], DESTINATION, "video", Copy(allow_transformed=True))
    assert "does not have these changes" in change.notes[0]


def test_labels_that_the_destination_gives_as_well_are_not_lost(tmp_path: Path) -> None:
    labels = "commonLabels: {team: films}\n"
    files = {
        f"apps/{name}/kustomization.yaml": FILES[f"apps/{name}/kustomization.yaml"] + labels
        for name in ("media", "video")
    }
    assert copy_to(repository(tmp_path, **files), SOURCE, [LIBRARY, PLAYER], DESTINATION, "video").paths
    files["apps/video/kustomization.yaml"] = files["apps/video/kustomization.yaml"].replace("films", "other")
    with pytest.raises(Refusal) as refused:
        copy_to(repository(tmp_path, **files), SOURCE, [PLAYER], DESTINATION, "video")
    assert "commonLabels team: films in apps/media/kustomization.yaml" in refused.value.what


def test_a_refused_copy_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    tree = repository(tmp_path)
    with pytest.raises(Refusal) as refused:
        copy_to(tree, SOURCE, [LIBRARY, ObjectRef.claim("media", "missing")], DESTINATION, "video")
    assert refused.value.reason is Reason.NOT_FOUND
    with pytest.raises(Refusal) as refused:
        copy_to(tree, SOURCE, [LIBRARY], DESTINATION, "games")
    assert refused.value.reason is Reason.NAMESPACE
    assert tree.change("").edits == ()


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    tree = repository(tmp_path)
    copy_to(tree, SOURCE, [LIBRARY], DESTINATION, "video")
    with pytest.raises(Refusal) as refused:
        copy_to(tree, SOURCE, [LIBRARY], DESTINATION, "video")
    assert refused.value.reason is Reason.EXISTS


def test_requests_follow_each_other_on_one_tree(tmp_path: Path) -> None:
    tree = repository(tmp_path)
    copy_to(tree, SOURCE, [LIBRARY, PLAYER], DESTINATION, "video")
    remove(tree, SOURCE, PLAYER)
    assert applied(tmp_path, tree.change("")).read("apps/media/all.yaml").decode() == "---\n" + CLAIM
    remove(tree, SOURCE, LIBRARY)
    whole = tree.change("Everything")
    assert len(whole.edits) == 5
    after = applied(tmp_path, whole)
    assert not after.exists("apps/media/all.yaml")
    assert after.read("apps/media/kustomization.yaml") == b"namespace: media\nresources: []\n"
