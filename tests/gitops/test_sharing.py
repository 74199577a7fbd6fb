"""Who else uses a file: other sources of the same repository, and files that are used in other roles."""

from pathlib import Path

import pytest

from gitops.change import Tree
from gitops.errors import Reason, Refusal
from gitops.flux import comparable
from gitops.remove import remove
from gitops.sharing import flux_kustomizations
from gitops.values import FluxPath, ObjectRef

CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: media}\n"
DATA = ObjectRef.claim("media", "data")
FLEET = "https://git.example.org/team/fleet"


def cluster(name: str, source: str, url: str = "", *, kind: str = "GitRepository") -> dict[str, str]:
    files = {
        f"clusters/{name}/apps.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        "metadata: {name: apps, namespace: flux-system}\n"
        f"spec: {{path: ./apps, sourceRef: {{kind: {kind}, name: {source}}}}}\n"
    }
    if url:
        files[f"clusters/{name}/source.yaml"] = (
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n"
            f"metadata: {{name: {source}, namespace: flux-system}}\nspec: {{url: '{url}'}}\n"
        )
    return files


def repository(root: Path, *clusters: dict[str, str], **more: str) -> Tree:
    files = {"apps/kustomization.yaml": "resources: [data.yaml, more.yaml]\n", "apps/data.yaml": CLAIM}
    files["apps/more.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: media}\n"
    for each in (*clusters, more):
        files |= each
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Tree.of(root)


@pytest.mark.parametrize("url", ["", "ssh://git@git.example.org:22/team/Fleet.git/", "https://${HOST}/x"])
def test_a_cluster_that_names_the_same_repository_otherwise_keeps_its_claim(tmp_path: Path, url: str) -> None:
    tree = repository(tmp_path, cluster("a", "flux-system", FLEET), cluster("b", "fleet", url))
    with pytest.raises(Refusal) as refused:
        remove(tree, FluxPath("apps", source="flux-system"), DATA)
    assert refused.value.reason is Reason.SHARED
    assert "clusters/b/apps.yaml" in refused.value.what


def test_the_only_kustomization_that_is_stated_may_be_that_of_another_source(tmp_path: Path) -> None:
    tree = repository(tmp_path, cluster("b", "fleet"))
    with pytest.raises(Refusal) as refused:
        remove(tree, FluxPath("apps", source="flux-system"), DATA)
    assert refused.value.reason is Reason.SHARED
    assert remove(tree, FluxPath("apps", source="fleet"), DATA).paths


@pytest.mark.parametrize(
    "other",
    [
        cluster("b", "charts", "https://git.example.org/team/charts"),
        cluster("b", "oci", kind="OCIRepository"),
    ],
)
def test_a_kustomization_of_another_repository_uses_nothing_of_this_one(
    tmp_path: Path, other: dict[str, str]
) -> None:
    tree = repository(tmp_path, cluster("a", "flux-system", FLEET), other)
    assert [where for where, _ in flux_kustomizations(tree, "flux-system")] == [
        "clusters/a/apps.yaml: flux-system/apps"
    ]
    assert remove(tree, FluxPath("apps", source="flux-system"), DATA).paths == (
        "apps/data.yaml",
        "apps/kustomization.yaml",
    )


def test_the_source_that_the_flux_operator_makes_is_known_by_its_instance(tmp_path: Path) -> None:
    instance = (
        "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux, namespace: flux-system}\n"
        f"spec: {{sync: {{kind: GitRepository, url: '{FLEET}'}}}}\n"
    )
    other = cluster("b", "charts", "https://git.example.org/team/charts")
    tree = repository(tmp_path, cluster("a", "flux-system"), other, **{"clusters/a/flux.yaml": instance})
    assert len(flux_kustomizations(tree, "flux-system")) == 1
    tree.write("clusters/a/flux.yaml", None)
    assert len(flux_kustomizations(tree, "flux-system")) == 2


def test_urls_of_one_repository_compare_equal_however_they_are_written() -> None:
    ways = [
        "https://git.example.org/team/fleet",
        "https://bot@git.example.org/team/fleet.git",
        "ssh://git@git.example.org:2222/team/fleet.git/",
        "git@git.example.org:team/fleet.git",
    ]
    assert {comparable(way) for way in ways} == {"git.example.org/team/fleet"}
    assert comparable("https://git.example.org/team/fleet2") != comparable(ways[0])


@pytest.mark.parametrize(
    "use",
    [
        "configMapGenerator: [{name: manifests, files: [claim.yaml=../apps/data.yaml]}]",
        "configMapGenerator: [{name: manifests, files: [../apps/data.yaml]}]",
        "secretGenerator: [{name: manifests, files: [./../apps//data.yaml]}]",
        "configMapGenerator: [{name: manifests, envs: [../apps/data.yaml]}]",
        "patches: [{path: ../apps/data.yaml}]",
        "patchesStrategicMerge: [../apps/data.yaml]",
        "patchesJson6902: [{target: {kind: Job}, path: ../apps/data.yaml}]",
        "replacements: [{path: ../apps/data.yaml}]",
        "generators: [../apps/data.yaml]",
        "transformers: [../apps/data.yaml]",
    ],
)
def test_a_file_that_another_kustomization_uses_in_another_role_is_neither_deleted_nor_edited(
    tmp_path: Path, use: str
) -> None:
    tree = repository(tmp_path, **{"jobs/kustomization.yaml": f"{use}\n"})
    assert remove(tree, FluxPath("apps"), DATA).paths == ("apps/kustomization.yaml",)
    assert b"$patch: delete" in tree.read("apps/kustomization.yaml")
    assert tree.read("apps/data.yaml").decode() == CLAIM


def test_a_generator_of_the_same_kustomization_keeps_the_file_too(tmp_path: Path) -> None:
    top = "resources: [data.yaml, more.yaml]\nconfigMapGenerator: [{name: manifests, files: [data.yaml]}]\n"
    tree = repository(tmp_path, **{"apps/kustomization.yaml": top})
    assert remove(tree, FluxPath("apps"), DATA).paths == ("apps/kustomization.yaml",)
